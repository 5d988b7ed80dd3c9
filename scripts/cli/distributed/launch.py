"""From one process to several: their strategy, and what the first one decides for all."""

import inspect
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from jsonargparse import Namespace
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from callbacks.private.lightning import timeout_of
from callbacks.run.processes import wait_for_children
from lightning_modules.layers.sequence import blocks
from scripts.cli.errors import UsageError

T = TypeVar("T")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true", "fsdp")
OTHERS = {  # Lightning's, by how their names begin
    "ddp_": "; ddp starts processes of its own, from a script and not from a notebook",
    "dp": "; ddp is one process a device",
    "deepspeed": "; fsdp shards",
    "fsdp": "; fsdp shards, without offloading",
}
WAIT_SECONDS = 20  # for processes to end after a run: one that is stopped never would

_SYNC_BUFFERS: Any = (  # at every step; renamed in torch 2.14
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    else "broadcast_buffers"
)


def settle_devices(config: Namespace, given: Callable[[str], bool]) -> None:
    """Set the numbers of devices and nodes to torchrun's, if it has started this process.

    Args:
        config: the parsed options; modified.
        given: whether an option was given by the user.

    Raises:
        UsageError: the options contradict torchrun.
    """
    if not TorchElasticEnvironment.detect():
        return
    devices = int(os.environ["LOCAL_WORLD_SIZE"])
    nodes = int(os.environ["WORLD_SIZE"]) // devices
    for name, value in (("devices", devices), ("num_nodes", nodes)):
        found = config.trainer[name]
        if given(f"--trainer.{name}") and str(found) not in (str(value), "auto", "-1"):
            raise UsageError(f"--trainer.{name} {found} and torchrun's {value} contradict each other; leave it out")
        config.trainer[name] = value


def pick_strategy(options: dict[str, Any], model: LightningModule, timeout: float) -> Strategy | str:
    """The strategy of several processes: DDP, unless the user names another.

    Args:
        options: of the trainer.
        model: whose several optimizers, if any, step in turn, each without some of the weights.
        timeout: seconds without progress after which the watchdog ends a process; the network waits longer.

    Raises:
        UsageError: the model cannot be sharded, or there is only one process.
    """
    devices, cpu = options["devices"], str(options["accelerator"]) == "cpu"
    if devices in ("auto", "-1", -1):  # all available, which on a CPU is one
        devices = 1 if cpu else max(1, torch.cuda.device_count())
    several = devices not in (1, "1", [0]) or options["num_nodes"] > 1
    limit = timedelta(seconds=timeout + 60)
    name = options["strategy"]
    if isinstance(name, str) and name not in STRATEGIES:
        instead = next((text for start, text in OTHERS.items() if name.startswith(start)), "")
        raise UsageError(f"--trainer.strategy {name}: expected one of {', '.join(STRATEGIES)}{instead}")
    if name == "fsdp":
        if not any(blocks(model)):
            raise UsageError(
                f"--trainer.strategy fsdp: shards the blocks of Transformers, BERTs, LLMs, "
                f"of which {type(model).__name__} has none; use ddp"
            )
        if not several:
            raise UsageError("--trainer.strategy fsdp: there is one process; give --trainer.devices 2 or more")
        if options["precision"] not in ("32", "bf16-mixed"):
            raise UsageError(
                f"--trainer.strategy fsdp and --trainer.precision {options['precision']} contradict each other: "
                f"expected 32 or bf16-mixed"
            )
        from scripts.cli.distributed.fsdp import FSDPStrategy  # brings what shards: a second, and few runs need it

        return FSDPStrategy(timeout=limit)
    if (isinstance(name, str) and name.startswith("ddp")) or (name == "auto" and several):
        unused = name == "ddp_find_unused_parameters_true"
        ddp: dict[str, Any] = {
            "find_unused_parameters": unused or not model.automatic_optimization,
            "gradient_as_bucket_view": True,
            _SYNC_BUFFERS: False,  # see callbacks/run/processes.py
        }
        return DDPStrategy(timeout=limit, **ddp)
    return name


def environment_plugins() -> list[ClusterEnvironment]:
    """SLURM's environment, if it has started this process, without Lightning's own requeueing; torchrun comes first.

    The batch script requeues, see scripts/submit.py.
    """
    if TorchElasticEnvironment.detect():
        return [TorchElasticEnvironment()]
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []


def broadcast_from_rank_zero(trainer: Trainer, decide: Callable[[], T]) -> T:
    """The first process's decision, in every process; starts the others, if they are not running.

    Raises:
        Exception: what `decide` raised, in every process.
    """

    def joined() -> tuple[T | None, Exception | None]:
        join_again(strategy)
        try:
            strategy.setup_environment()
        except distributed.DistNetworkError as error:
            if "EADDRINUSE" not in str(error):
                raise
            raise UsageError(
                f"port {os.environ.get('MASTER_PORT')} is taken on {socket.gethostname()}; set MASTER_PORT to another "
                f"one, the same for all processes"
            ) from error
        answer: tuple[T | None, Exception | None] = (None, None)
        if strategy.is_global_zero:
            try:
                answer = decide(), None
            except Exception as error:  # the others wait for the broadcast
                answer = None, error
        return strategy.broadcast(answer)

    strategy = trainer.strategy
    launcher = strategy.launcher
    value, error = joined() if launcher is None else launcher.launch(joined, trainer=trainer)
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def join_again(strategy: Strategy) -> None:
    """Join the processes that torchrun has restarted, under a prefix of their own.

    Its store outlives them, and would return the addresses of those that have ended (torch 2.14).
    """
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if not isinstance(strategy, DDPStrategy) or restarts == "0" or distributed.is_initialized():
        return
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    world_size, timeout = int(os.environ["WORLD_SIZE"]), timeout_of(strategy)
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = distributed.TCPStore(address, port, world_size, is_master=False, timeout=timeout)  # type: ignore[attr-defined]
    distributed.init_process_group(
        strategy.process_group_backend or distributed.get_default_backend_for_device(strategy.root_device),
        store=distributed.PrefixStore(f"restart_{restarts}", store),  # type: ignore[attr-defined]
        rank=int(os.environ["RANK"]),
        world_size=world_size,
        timeout=timeout,
    )


def job() -> str | None:
    """The identifier of this job, which stays the same when SLURM or torchrun restarts it; None outside one."""
    if TorchElasticEnvironment.detect():
        return f"torchrun {socket.gethostname()} {os.getppid()} {os.environ['TORCHELASTIC_RUN_ID']}"  # its agent stays
    if SLURMEnvironment.detect():
        task = os.environ.get("SLURM_ARRAY_TASK_ID")
        return f"slurm {os.environ.get('SLURM_ARRAY_JOB_ID', os.environ['SLURM_JOB_ID'])}{f'_{task}' if task else ''}"
    return None


def started_again() -> bool:
    """Whether SLURM or torchrun has restarted this job."""
    restarts = "TORCHELASTIC_RESTART_COUNT" if TorchElasticEnvironment.detect() else "SLURM_RESTART_COUNT"
    return job() is not None and int(os.environ.get(restarts, 0)) > 0


def wait_for_others(trainer: Trainer) -> None:
    """Wait for the end of the processes that this one has started."""
    wait_for_children(trainer, WAIT_SECONDS)

"""What has started this process, and whether its options ask for that: an error at once, not a wait for peers."""

import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.mpi import MPIEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from datamodules.loading.die_with_parent import LAUNCHER
from scripts.cli.errors import UsageError

COMMAND = "scripts/fit.py …"
OTHERS = (LSFEnvironment, MPIEnvironment)


def check_start(devices: Any, nodes: int) -> None:
    """Refuse a start of which some processes would wait in vain, or for nobody; take another port than a taken one.

    Args:
        devices: of each node, as `--trainer.devices` has them.
        nodes: `--trainer.num_nodes`.

    Raises:
        UsageError: a variable is left over from another start, or another number of processes has been started.
    """
    if TorchElasticEnvironment.detect():
        return
    if "LOCAL_RANK" in os.environ:
        if os.environ.get(LAUNCHER) not in (str(os.getppid()), str(os.getpid())):  # which has set it for itself
            raise UsageError(
                f"LOCAL_RANK={os.environ['LOCAL_RANK']} is set, but neither torchrun nor a run has started this "
                f"process, which would wait for others; `unset LOCAL_RANK` first"
            )
    elif SLURMEnvironment.detect():
        check_slurm(os.environ, devices, nodes)
    elif nodes > 1 and not {"NODE_RANK", "GROUP_RANK"} & {*os.environ} and not any(each.detect() for each in OTHERS):
        raise UsageError(
            f"--trainer.num_nodes {nodes}: nothing has started processes on the other nodes; start each with `torchrun "
            f"--nnodes={nodes} --nproc-per-node=… --rdzv-endpoint=HOST:PORT -- {COMMAND}`, or use scripts/submit.py"
        )
    elif nodes == 1 and str(devices) != "1":
        use_free_port()


def check_slurm(variables: Mapping[str, str], devices: Any, nodes: int) -> None:
    """Refuse options that ask for other processes than SLURM has started.

    Args:
        variables: of the environment.
        devices: of each node, as `--trainer.devices` has them.
        nodes: `--trainer.num_nodes`.

    Raises:
        UsageError: with the line that starts them.
    """
    tasks = int(variables.get("SLURM_NTASKS", 1))
    each = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdecimal() else None
    processes = tasks if each is None else each * nodes
    in_step = "SLURM_STEP_ID" in variables
    if tasks == processes and (tasks == 1 or (in_step and "SLURM_NTASKS_PER_NODE" in variables)):
        return
    srun = f"`srun --nodes={nodes} --ntasks-per-node={max(processes // nodes, 1)} python {COMMAND}`"
    if in_step and tasks == processes:  # Lightning computes ranks from the tasks of a node
        raise UsageError(f"SLURM has started {tasks} tasks without --ntasks-per-node; start them with {srun}")
    if in_step and tasks > 1:
        raise UsageError(
            f"SLURM has started {tasks} tasks, but --trainer.devices {devices} and --trainer.num_nodes {nodes} ask for "
            f"{processes}; give as many devices as each node has tasks, or start them with {srun}"
        )
    if processes == 1:
        raise UsageError(
            f"the job has {tasks} tasks, but this process was started without srun and would wait for the others; "
            f"{srun} starts it alone"
        )
    torchrun = f", or with `torchrun --nproc-per-node={processes} -- {COMMAND}`" if nodes == 1 else ""
    raise UsageError(
        f"{processes} processes are asked for, but this one was started without the others, in a job of {tasks} "
        f"{'task' if tasks == 1 else 'tasks'}; start them with {srun}{torchrun}"
    )


def use_free_port() -> None:
    """Take another port than $MASTER_PORT where that is taken: this process starts the others itself."""
    port = os.environ.get("MASTER_PORT", "")
    if not port.isdecimal() or not _is_taken(int(port)):
        return
    with socket.socket() as free:
        free.bind(("", 0))
        os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    print(f"note: $MASTER_PORT {port} is taken; port {os.environ['MASTER_PORT']} is used", file=sys.stderr)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False

"""From a resolved command line to the objects of a run: data, model, trainer."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import MixedPrecision

from callbacks.loggers.csv_file import MetricsFile
from callbacks.loggers.description import Description
from callbacks.loggers.progress import Progress
from callbacks.loggers.showcase import Showcase
from callbacks.loggers.tensorboard import Dashboard
from callbacks.run.checkpoint_file import AtomicCheckpointIO
from callbacks.run.checkpoints import Checkpoints
from callbacks.run.processes import SameBuffers, SameData
from callbacks.run.run_folder import FolderGoneError, RunFolder, gone
from callbacks.run.signals import Signals
from callbacks.run.throughput import Throughput
from callbacks.run.watchdog import Watchdog
from callbacks.technique import Technique
from datamodules.base import DataModule
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.options import AUTO, Parser, class_at, constructor_arguments, linked, save_every
from scripts.cli.command_line.recipes import Config, Request
from scripts.cli.command_line.techniques import techniques
from scripts.cli.distributed.fsdp import FSDPStrategy
from scripts.cli.distributed.launch import environment_plugins, pick_strategy
from scripts.cli.distributed.sync_batchnorm import SyncBatchNorms
from scripts.cli.errors import UsageError
from scripts.cli.run.memory import forget_shapes, keep_memory
from scripts.cli.run.pretrained import Start, own_run


@dataclass
class Built:
    """A run's data and model.

    Args:
        data: set up, so that its sizes are known.
        model: of those sizes.
        techniques: that the run uses, by their sections of options.
        start: whose weights it starts from, and how many, in a line, if from an earlier run's.
    """

    data: DataModule
    model: LightningModule
    techniques: dict[str, Technique]
    start: str = ""


def quiet() -> None:
    """Keep off the screen what libraries say of themselves and what a user can do nothing about."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)  # hardware lists, advertisements, "reached max_epochs"
    for message in (
        "The .*_dataloader. does not have many workers",  # the data is in memory: workers would slow it down
        "The number of training batches .* is smaller than the logging interval",  # points are counted over the run
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 says it to torch 2.14 and later
        "`torch.jit.script.*` is deprecated",  # torch_geometric 2.8, the same
        r"It is recommended to use `self.log\(.*sync_dist=True\)`",  # what is logged has been brought together
        "The `srun` command is available",  # scripts/submit.py is the way there
        "Sparse CSR tensor support is in beta state",  # its results are tested against the dense formula
    ):
        warnings.filterwarnings("ignore", message=message)


def build_data(data_class: str, arguments: Config) -> DataModule:
    """The datamodule, not yet set up.

    Raises:
        ValueError: an option is out of its range.
    """
    if arguments.get("batch_size") == AUTO:
        raise ValueError(f"--data.batch_size {AUTO}: scripts/fit.py alone finds it; give a number")
    data = class_at(data_class)(**arguments)
    assert isinstance(data, DataModule)
    if not data.shapes_return:
        forget_shapes()
    return data


def build_model(model_class: str, arguments: Config, data: DataModule) -> LightningModule:
    """The model, with the sizes that the data states."""
    kind = class_at(model_class)
    if "pretrained" not in constructor_arguments(kind):  # it means an earlier run, which `starting_point` reads
        arguments = {name: value for name, value in arguments.items() if name != "pretrained"}
    sizes = {name: getattr(data, name) for name in linked(kind, type(data))}
    if getattr(data, "class_weights", None) is not None and "class_weights" not in sizes:
        raise ValueError(f"--data.balance weights: {kind.__name__} has no loss of classes; expected over or under")
    model = kind(**arguments, **sizes)
    assert isinstance(model, LightningModule)
    return model


def build(request: Request, parser: Parser, config: Namespace) -> Built:
    """Data, read and split, and a model of its sizes, with fresh weights.

    Raises:
        ValueError: the data or an option is not what it has to be.
    """
    keep_memory()
    seed_everything(config.seed_everything, workers=True, verbose=False)
    ready = parser.instantiate(config)
    data = build_data(request.data, dict(ready.data))
    arguments = dict(ready.model)
    start = starting_point(request.model, arguments)
    if start is not None:
        start.hand_on(data)
        arguments |= start.arguments(constructor_arguments(class_at(request.model)))
    data.prepare_data()
    data.setup("fit")
    model = build_model(request.model, arguments, data)
    taken = start.give(model) if start is not None else ""
    return Built(data, model, prepared(ready, model, data), taken)


def starting_point(model_class: str, arguments: Config) -> Start | None:
    """The earlier run that `--model.pretrained` names; None where it names other weights, or none.

    Raises:
        UsageError: it has no valid checkpoint, or the model knows no weights but those of runs.
    """
    pretrained = arguments["pretrained"]
    if own := own_run(pretrained):
        return Start(own)
    if pretrained is not None and "pretrained" not in constructor_arguments(class_at(model_class)):
        raise UsageError(
            f"--model.pretrained {pretrained}: no run of this project; expected the folder of one, such as "
            f"lightning_logs/cnn/version_0, a checkpoint in it, or safetensors that scripts/export.py made of it"
        )
    return None


def prepared(ready: Namespace, model: LightningModule, data: DataModule) -> dict[str, Technique]:
    """The techniques that the options ask for, after they have prepared the model.

    Raises:
        ValueError: one makes no sense for this model or this data.
    """
    used = techniques(ready)
    for technique in used.values():
        technique.prepare(model, data)
    return used


def pick_precision(wanted: str, accelerator: str) -> str:
    """What `auto` means here: bf16 where the hardware multiplies it natively, 32 bits elsewhere."""
    if wanted != "auto":
        return wanted
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "32"
    if on_cpu(accelerator):
        cpu = torch.backends.cpu.get_cpu_capability()
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        if cpu.startswith("AVX512") and ("amx_bf16" in flags or "avx512_bf16" in flags):
            return "bf16-mixed"
    return "32"


def on_cpu(accelerator: str) -> bool:
    """Whether a run with this `--trainer.accelerator` computes on the CPU."""
    return accelerator == "cpu" or (
        accelerator == "auto" and not torch.cuda.is_available() and not torch.backends.mps.is_available()
    )


def build_trainer(config: Namespace, ready: Namespace, run: Built) -> Trainer:
    """The trainer of a run that has no folder yet: see `settle`.

    Raises:
        ValueError: a trainer's option is out of its range, or asks for a device that is not there.
    """
    options: dict[str, Any] = dict(ready.trainer)
    options["precision"] = pick_precision(options["precision"], str(options["accelerator"]))
    options["strategy"] = pick_strategy(options, run.model, 60 * config.timeout)
    plugins: list[Any] = [AtomicCheckpointIO(), *environment_plugins()]
    if options["precision"] == "16-mixed":  # where a first step that overflows is left out, and no other should be
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)` before")
    if options["precision"] == "16-mixed" and on_cpu(str(options["accelerator"])):
        # Lightning would take bf16 instead. It is not fast there, but what a GPU is to do can be tried.
        plugins.append(MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu")))
        options["precision"] = None
    if isinstance(options["strategy"], FSDPStrategy):
        options["inference_mode"] = False  # weights gathered in it could not be trained on
    options["log_every_n_steps"] = options["log_every_n_steps"] or steps_between_points(options, run.data)
    check_training(options, run.model)
    callbacks: list[Callback] = [
        *run.techniques.values(),
        *_listed(options.pop("callbacks")),
        Showcase(),
        Throughput(),
        SameBuffers(),
        SameData(),
    ]
    if options.pop("enable_progress_bar") is not False:
        callbacks.append(Progress())
    callbacks.append(Watchdog(60 * config.timeout))
    try:
        trainer = Trainer(
            **options,
            enable_model_summary=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            logger=False,
            callbacks=callbacks,
            plugins=plugins,
            use_distributed_sampler=False,
        )
    except Exception as error:  # Lightning raises its own kinds for a device that is not there, a bad share, ...
        raise ValueError(f"--trainer: {error}") from error
    if options["sync_batchnorm"] and trainer.strategy.root_device.type == "cpu":
        trainer.strategy._layer_sync = SyncBatchNorms()  # type: ignore[attr-defined]
    return trainer


def steps_between_points(options: Config, data: DataModule) -> int:
    """So many that at least fifty points make a curve, where the run is long enough."""
    steps, limit = len(data.train_dataloader()), options["limit_train_batches"]
    if limit is not None:
        steps = min(steps, limit) if isinstance(limit, int) else max(1, int(steps * limit))
    total = options["max_steps"] if options["max_steps"] > 0 else steps * (options["max_epochs"] or 1)
    return max(1, min(50, total // 50))


def check_training(options: dict[str, Any], model: LightningModule) -> None:
    """Refuse what the model's way of training does not allow, which Lightning would find out late.

    Raises:
        ValueError: the message names the option.
    """
    if not model.automatic_optimization:
        for name, plain in (("gradient_clip_val", None), ("accumulate_grad_batches", 1)):
            if options[name] not in (plain, None):
                raise ValueError(
                    f"--trainer.{name} {options[name]}: {type(model).__name__} steps its optimizers itself, "
                    f"without it; leave it out"
                )
    endless = options["max_epochs"] is None and options["max_steps"] == -1 and options["max_time"] is not None
    schedule, warmup = getattr(model, "schedule", "constant"), getattr(model, "warmup", 0.0)
    if endless and (schedule not in ("constant", "plateau") or warmup):
        raise ValueError(
            f"--model.schedule {schedule} has to know the run's length, which --trainer.max_time does not say; "
            f"give --trainer.max_epochs, too"
        )
    if type(model).configure_optimizers is Task.configure_optimizers and getattr(model, "optimizer", None) is None:
        raise ValueError("--model.optimizer: expected an Optimizer of torch.optim, such as torch.optim.AdamW, got none")


def settle(trainer: Trainer, config: Namespace, content: Config, model: LightningModule, folder: Path) -> Checkpoints:
    """Give a run its folder: what writes there, and what saves there when a signal asks the run to end.

    Args:
        trainer: of the run.
        config: the parsed options.
        content: the resolved configuration.
        model: of the run.
        folder: where everything goes.
    """
    monitor, mode = str(model.monitor), str(model.mode)
    if trainer.is_global_zero:
        begin_in(folder)
    signals, run = Signals(), RunFolder(folder)
    checkpoints = Checkpoints(folder / "checkpoints", monitor, mode, save_every(config.save_every), signals, run)
    trainer._default_root_dir = str(folder)  # type: ignore[attr-defined]  # where Lightning looks for SLURM's files
    trainer.loggers = loggers(run)
    trainer.callbacks[:0] = [Description(content, monitor, mode)]  # type: ignore[attr-defined]
    rates = LearningRateMonitor("step")
    trainer.callbacks += [rates, checkpoints, Minded(signals)]  # type: ignore[attr-defined]
    return checkpoints


def begin_in(folder: Path) -> None:
    """Make the checkpoints' folder, so that from the beginning it is seen when it or the run's is deleted.

    Raises:
        FolderGoneError: the run's was deleted as soon as it was there.
    """
    try:
        (folder / "checkpoints").mkdir(exist_ok=True)
    except FileNotFoundError:
        raise FolderGoneError(gone(folder)) from None


class Minded(Callback):
    """Minds signals from the first moment of a run to its last, which Lightning would do otherwise.

    Args:
        signals: to mind.
    """

    def __init__(self, signals: Signals) -> None:
        self.signals = signals

    def _mind(self, *args: Any, **kwargs: Any) -> None:
        self.signals.install()

    setup = on_sanity_check_start = on_train_start = on_test_start = _mind


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def loggers(run: RunFolder) -> list[Logger]:
    """TensorBoard events and a CSV file in the run's folder."""
    folder = run.path
    return [Dashboard(folder.parent.parent, name=folder.parent.name, version=folder.name), MetricsFile(folder, run)]

"""The one Trainer of a run, complete with its loggers and callbacks."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import Logger as LightningLogger
from lightning.pytorch.plugins import MixedPrecision

from callbacks.loggers.boards import LogExamples
from callbacks.loggers.logger import Logger, loggers
from callbacks.loggers.metadata import RunMetadata
from callbacks.loggers.outcomes import CollectOutcomes
from callbacks.loggers.pictures import Pictures
from callbacks.loggers.progress import Progress
from callbacks.loggers.training_monitor import TrainingMonitor
from callbacks.private.lightning import skip_idle_hooks
from callbacks.private.torch import ask_no_driver
from callbacks.run.baselines import FILE, FitBaselines
from callbacks.run.bf16_convolutions import BF16Convolutions
from callbacks.run.checkpoint_file import AtomicCheckpointIO
from callbacks.run.checkpoints import Checkpoints, SaveEvery
from callbacks.run.costs import Costs
from callbacks.run.dropout_masks import DropoutMasks
from callbacks.run.processes import BroadcastBuffers, DataConsistencyCheck
from callbacks.run.reference import ComputeReference
from callbacks.run.run_folder import RunFolder
from callbacks.run.signals import HandleSignals, Signals
from callbacks.run.small_maps import SmallMaps
from callbacks.run.throughput import Throughput
from callbacks.run.waiting import WaitingForData
from callbacks.run.watchdog import Watchdog
from callbacks.technique import Technique
from datamodules.base import DataModule
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.recipes import Config
from scripts.cli.command_line.trust import INSTEAD
from scripts.cli.distributed.launch import environment_plugins, pick_strategy
from scripts.cli.distributed.sync_batchnorm import SyncBatchNorms
from scripts.cli.errors import UsageError
from scripts.cli.run.precision import on_cpu, pick_precision


def build_trainer(
    instantiated: Namespace,
    model: LightningModule,
    data: DataModule,
    techniques: Sequence[Technique],
    recorded: "Recorded | None" = None,
) -> Trainer:
    """The Trainer of a run.

    Args:
        instantiated: the parsed options, with the objects that they describe.
        model: to train.
        data: set up.
        techniques: that have prepared the model.
        recorded: what the run leaves; None for one that neither logs nor saves.

    Raises:
        ValueError: a trainer's option is out of its range, or requests a device that is not there.
    """
    skip_idle_hooks()
    ask_no_driver()
    options: dict[str, Any] = dict(instantiated.trainer)
    accelerator, timeout = str(options["accelerator"]), 60 * instantiated.timeout
    options["precision"] = pick_precision(options["precision"], accelerator)
    if options["strategy"] == "fsdp":
        options["inference_mode"] = False  # weights gathered in it could not be trained on
    options["strategy"] = pick_strategy(options, model, timeout)
    check_training(options, model)
    check_optimizer(model)
    plugins: list[Any] = [AtomicCheckpointIO(), *environment_plugins()]
    if options["precision"] == "16-mixed":  # where a first step that overflows is left out, and no other should be
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler.step\(\)` before")
    if options["precision"] == "16-mixed" and on_cpu(accelerator):
        # Lightning would take bf16 instead. It is not fast there, but what a GPU is to do can be tried.
        plugins.append(MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu")))
        options["precision"] = None
    if options["sync_batchnorm"] and on_cpu(accelerator):
        plugins.append(SyncBatchNorms())
        options["sync_batchnorm"] = False
    if instantiated.profile:
        options["profiler"] = Costs()
    given = _listed(options.pop("callbacks"))
    check_callbacks(given, model)
    throughput = Throughput()
    callbacks = [
        *techniques,
        *given,
        CollectOutcomes(),
        *([] if recorded is None or not instantiated.pictures else [LogExamples(Pictures(recorded.folder))]),
        throughput,
        TrainingMonitor(throughput),
        WaitingForData(),
        BroadcastBuffers(),
        BF16Convolutions(),
        DropoutMasks(),
        SmallMaps(),
        ComputeReference(),
        DataConsistencyCheck(),
    ]
    if options.pop("enable_progress_bar") is not False:
        callbacks.append(Progress(lines_stay=recorded is not None))
    callbacks.append(Watchdog(timeout))
    if recorded is not None:
        callbacks = recorded.callbacks(model, callbacks)
        if not getattr(model, "monitor", ""):
            name = type(model).__name__
            data.note(f"{name} has no `monitor`, the name of a metric that it logs: the last weights are tested")
    try:
        trainer = Trainer(
            **options,
            default_root_dir=recorded.logs if recorded else None,
            enable_model_summary=False,
            enable_progress_bar=False,
            enable_checkpointing=recorded is not None,
            logger=recorded.loggers() if recorded else False,
            callbacks=callbacks,
            plugins=plugins,
            use_distributed_sampler=False,
        )
    except Exception as error:  # Lightning raises types of its own for a device that is not there, a bad fraction, …
        raise ValueError(f"--trainer: {error}") from error
    if options["log_every_n_steps"] is None:
        trainer.log_every_n_steps = steps_between_points(trainer, data)  # type: ignore[attr-defined]
    return trainer


class Recorded:
    """What a run leaves in its folder: logs, checkpoints, and its own configuration in both.

    Args:
        folder: of the run; its path may be settled later, when the processes agree on it.
        config: the resolved configuration.
        save_every: how often the last checkpoint is saved.
        logger: names of loggers, separated by commas, or `none`.
        logs: the folder of all runs.
        row: what the table of runs has of this one.
        texts: in Markdown, that the loggers show of the run, by their names.
        baselines: whether classical methods are fitted for the test.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        save_every: SaveEvery,
        logger: str,
        logs: Path,
        row: Callable[[], dict[str, Any]],
        texts: Callable[[Trainer], dict[str, str]],
        baselines: bool = True,
    ) -> None:
        self.baselines = FitBaselines(baselines, lambda: folder.path / FILE)
        self.folder = folder
        self.config = config
        self.save_every = save_every
        self.logger = logger
        self.logs = logs
        self.row = row
        self.texts = texts
        self.signals = Signals()
        self.started: list[Logger] = []

    def callbacks(self, model: LightningModule, others: list[Callback]) -> list[Callback]:
        """All callbacks: the configuration first, and checkpoints last, with what all others have done."""
        monitor, mode = str(getattr(model, "monitor", "")), str(getattr(model, "mode", "min"))
        metadata = RunMetadata(self.config, monitor, mode, self.row, self.texts)
        checkpoints = Checkpoints(self.folder, monitor, mode, self.save_every, self.signals)
        return [
            metadata,
            *others,
            LearningRateMonitor("step"),
            self.baselines,
            HandleSignals(self.signals),
            checkpoints,
        ]

    def loggers(self) -> list[LightningLogger]:
        """The loggers that `--logger` names."""
        self.started = loggers(self.logger, self.folder)
        return [*self.started]


def steps_between_points(trainer: Trainer, data: DataModule) -> int:
    """The logging interval: a curve has at least fifty points, where the run is long enough."""
    batches, limit = data.num_batches("train"), trainer.limit_train_batches
    if batches is None:
        return 50
    steps = min(batches, limit) if isinstance(limit, int) else max(1, int(batches * limit))
    epochs = trainer.max_epochs or 1
    total = trainer.max_steps if trainer.max_steps > 0 else steps * (epochs if epochs > 0 else 50)
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
    endless = options["max_epochs"] == -1 or (options["max_epochs"] is None and options["max_time"] is not None)
    endless = endless and options["max_steps"] == -1
    schedule, warmup = getattr(model, "schedule", "constant"), getattr(model, "warmup", 0.0)
    if endless and (schedule not in ("constant", "plateau") or warmup):
        raise ValueError(
            f"--model.schedule {schedule} has to know the run's length, which is not known without "
            f"--trainer.max_epochs or --trainer.max_steps; give one of them, or --model.schedule constant"
        )
    if type(model).configure_optimizers is Task.configure_optimizers and getattr(model, "optimizer", None) is None:
        raise ValueError("--model.optimizer: expected an Optimizer of torch.optim, such as torch.optim.AdamW, got none")


def check_optimizer(model: LightningModule) -> None:
    """Refuse an optimizer that cannot be built on the model's parameters, or takes no step with their gradients.

    Raises:
        UsageError: with the optimizer's own words.
    """
    if not isinstance(model, Task) or model.optimizer is None:
        return
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.zeros(2, 2)
    try:
        model.new_optimizer(model)
        model.optimizer([weight]).step(lambda: torch.zeros(()))  # type: ignore[arg-type, return-value]
    except (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"--model.optimizer: {error}") from error


def check_callbacks(callbacks: Sequence[Callback], model: LightningModule) -> None:
    """Refuse callbacks of the user that would do something else than is meant.

    Raises:
        UsageError: one saves checkpoints, or stops at a metric that the model has not or that is better the other way.
    """
    for callback in callbacks:
        if isinstance(callback, Checkpoint):
            raise UsageError(f"--trainer.callbacks: leave {type(callback).__name__} out; {INSTEAD['ModelCheckpoint']}")
        if isinstance(callback, EarlyStopping) and isinstance(model, Task):
            known, monitor = model.monitors(), callback.monitor
            if monitor not in known:
                raise UsageError(f"--trainer.callbacks.monitor {monitor}: expected one of {', '.join(known)}")
            if callback.mode != (mode := model.mode_of(monitor)):
                raise UsageError(
                    f"--trainer.callbacks.mode {callback.mode}: of {monitor} a {mode} is best; give {mode}, or in "
                    f"place of this callback --early_stopping.patience {callback.patience}"
                )


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]

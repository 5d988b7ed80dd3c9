"""How any kind of problem is trained and judged. Holds no network."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, distributed, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric, MetricCollection

from datamodules.base import DataModule
from datamodules.export.exportable import ExportableModule
from lightning_modules.optim.parameter_groups import head_of, parameter_groups
from lightning_modules.optim.schedules import Plateau, Schedule, schedule_factor


class Step(NamedTuple):
    """What one batch came to.

    Args:
        loss: scalar, to be minimised.
        prediction: (B, …), as the task's metrics take it.
        target: (B, …)
        num_targets: scalar, of how many the loss is the mean, where that is not B.
    """

    loss: Tensor
    prediction: Tensor
    target: Tensor
    num_targets: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """What the loss weighs among those of other batches and other processes."""
        if self.num_targets is None:
            return self.loss.new_tensor(len(self.target), dtype=torch.float)
        return self.num_targets.float()


class Board(Protocol):
    """Where a task shows pictures and texts."""

    def text(self, name: str, markdown: str) -> None:
        """Show a text."""

    def image(self, name: str, image: Tensor) -> None:
        """Show a picture, (C, H, W), from 0 to 1."""

    def figure(self, name: str, figure: Any) -> None:
        """Show a matplotlib figure."""


class Task(LightningModule):
    """Training, validation, test and prediction for one kind of problem.

    Logs `train/loss`, and `loss` and each metric under `val/` and `test/`. Beside the test metrics it computes those
    of trivial baselines on the same batches, under `baseline/`.

    Args:
        optimizer: built on the parameters; every recipe names one.
        schedule: how the learning rate changes over the run.
        warmup: share of the run over which the rate first rises from near 0.
        monitor: the metric whose best value decides which checkpoint is best, such as val/loss.
        plateau_factor: by which `--model.schedule plateau` multiplies the rate when the monitored metric stays.
        plateau_patience: validations in a row without a better value after which it does.
    """

    default_monitor = "val/loss"
    lower_is_better: frozenset[str] = frozenset({"loss"})
    rebuild: dict[str, Any] | None = None  # arguments in place of files that need not be there when it is loaded
    head_names: tuple[str, ...] = ("head",)  # of the layers that judge what the rest, the backbone, has seen
    backbone_rate = 1.0  # the backbone's learning rate as a share of the head's, see callbacks/finetuning.py

    def __init__(
        self,
        optimizer: OptimizerCallable | None = None,
        schedule: Schedule = "constant",
        warmup: float = 0.0,
        monitor: str | None = None,
        plateau_factor: float = 0.1,
        plateau_patience: int = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["optimizer"], logger=False)
        self.optimizer = optimizer
        self.schedule: Schedule = schedule
        self.warmup = warmup
        self.monitor = monitor or self.default_monitor
        schedule_factor(schedule, 1, warmup)  # a warm-up out of range is refused here, not at the first step
        if not 0 < plateau_factor < 1:
            raise ValueError(f"--model.plateau_factor: expected more than 0 and less than 1, got {plateau_factor}")
        self.plateau_factor = plateau_factor
        self.plateau_patience = plateau_patience
        self.mean_loss = MeanMetric()
        self.val_metrics = self.metrics().clone(prefix="val/")
        known = self.monitors()
        if self.monitor not in known:
            raise ValueError(f"--model.monitor {self.monitor}: expected one of {', '.join(known)}")
        if schedule == "plateau" and not self.monitor.startswith("val/"):
            raise ValueError(
                f"--model.schedule plateau waits for validations, which --model.monitor {self.monitor} is none of"
            )

    @property
    def mode(self) -> str:
        """Whether a `min` or a `max` of the monitored metric is best."""
        return "min" if self.monitor.split("/")[-1] in self.lower_is_better else "max"

    def monitors(self) -> list[str]:
        """The names that `monitor` accepts."""
        return ["val/loss", *(str(name) for name in self.val_metrics), "train/loss"]

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """The metrics of this kind of problem, named without a split."""

    @abstractmethod
    def step(self, batch: Any) -> Step:
        """Loss, prediction and target of one batch."""

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """What the model has to beat: functions from a batch to a prediction, by what goes before their metrics' names.

        The one called "" is the answer of someone who knows no more than the training split's targets.
        """
        return {}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step; Lightning minimises what it returns."""
        step = self.step(batch)
        loss = self.shared(step)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (self.global_step + 1) % every == 0:  # logging costs a millisecond
            self.log("train/loss", loss, batch_size=len(step.target))
        return loss

    def shared(self, step: Step) -> Tensor:
        """The loss of the whole batch, which all processes share, with the gradient of this one's part of it.

        DDP takes the mean of the gradients: it is that of one process with the whole batch.
        """
        if self.trainer.world_size == 1:
            return step.loss
        weight = step.weight
        total, weighted = self.sum_of_processes(torch.stack([weight, step.loss.detach().float() * weight]))
        part = step.loss * (weight * self.trainer.world_size / total)
        return part + (weighted / total - part.detach())

    def sum_of_processes(self, value: Tensor) -> Tensor:
        """The sum over all processes, which all call this."""
        if self.trainer.world_size > 1:
            distributed.all_reduce(value)
        return value

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Judge one batch of the validation split."""
        step = self.step(batch)
        self.mean_loss.update(step.loss, step.weight)
        self.val_metrics.update(step.prediction, step.target)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's metrics."""
        if not self.trainer.sanity_checking:  # a batch or two before training, too few to judge by
            self.log_dict({"val/loss": self.mean_loss.compute(), **self.val_metrics.compute()})
        self.mean_loss.reset()
        self.val_metrics.reset()

    def on_validation_end(self) -> None:
        """Let a schedule that waits for a better value know the new one."""
        value = self.trainer.callback_metrics.get(self.monitor)
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, Plateau) and value is not None and not self.trainer.sanity_checking:
                config.scheduler.judge(float(value))

    def on_test_epoch_start(self) -> None:
        """Make the test's own metrics; in training they would only be carried along."""
        self.test_metrics = self.metrics().clone(prefix="test/").to(self.device)
        self.baseline_metrics = {
            name: self.metrics().clone(prefix=f"baseline/{name}").to(self.device) for name in self.baselines()
        }

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Judge one batch of the test split, and the baselines on it."""
        step = self.step(batch)
        self.mean_loss.update(step.loss, step.weight)
        self.test_metrics.update(step.prediction, step.target)
        self.test_judged(step)
        for name, baseline in self.baselines().items():
            self.baseline_metrics[name].update(baseline(batch), step.target)

    def test_judged(self, step: Step) -> None:
        """Take note of a test batch, for what is shown at the end."""

    def on_test_epoch_end(self) -> None:
        """Log the test metrics, and the baselines'."""
        self.log_dict({"test/loss": self.mean_loss.compute(), **self.test_metrics.compute()})
        self.mean_loss.reset()
        for metrics in self.baseline_metrics.values():
            self.log_dict(metrics.compute())

    @abstractmethod
    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """One plain dictionary an example, ready to be written as a row."""

    @property
    def supports_ensembling(self) -> bool:
        """Whether the answers of several models can be averaged to one, see `mean_of`."""
        return False

    def mean_of(self, answers: Tensor) -> Tensor:
        """The mean of what `forward` gives in several models, (M, …)."""
        return answers.mean(0)

    def export_inputs(self, data: DataModule) -> ExportableModule:
        """The trained network with the inputs of an exported file: the tensors of the data's batches."""
        return data.export_inputs(self)

    def show(self, batch: Any, board: Board) -> None:
        """Show what the model makes of a batch, in the terms of the task."""

    def details(self) -> dict[str, Any]:
        """What is to be said of the whole test split besides its metrics, as plain types."""
        return {}

    def show_results(self, board: Board) -> None:
        """Show what the whole test split came to."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the model is to be built from again, where that is not its own arguments."""
        if self.rebuild is not None:
            checkpoint["rebuild"] = self.rebuild

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer, and its schedule over all of the run's optimizer steps."""
        return self.optimizer_of(self)

    def optimizer_of(self, part: nn.Module) -> Any:
        """An optimizer of a part's weights, and its schedule over all of the run's optimizer steps."""
        if self.optimizer is None:
            raise ValueError("no optimizer: pass one, such as optimizer=torch.optim.Adam, or use a recipe")
        optimizer = self.optimizer(part.parameters())
        groups = parameter_groups(part, head_of(self, self.head_names), optimizer.defaults, self.backbone_rate)
        if len(groups) > 1:
            optimizer = self.optimizer(groups)
        if self.schedule == "constant" and not self.warmup:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.scheduler_of(optimizer), "interval": "step"}}

    def scheduler_of(self, optimizer: Optimizer) -> LambdaLR:
        """What changes an optimizer's rates at each of the run's optimizer steps."""
        total = 1.0  # without a warm-up, a plateau needs no length
        if self.schedule != "plateau" or self.warmup:
            total = self.trainer.estimated_stepping_batches
        if not math.isfinite(total):
            raise ValueError(
                f"--model.schedule {self.schedule} has to know the run's length; give --trainer.max_epochs"
            )
        factor = schedule_factor(self.schedule, int(total), self.warmup)
        if self.schedule == "plateau":
            return Plateau(optimizer, factor, self.mode, self.plateau_factor, self.plateau_patience)
        return LambdaLR(optimizer, factor)

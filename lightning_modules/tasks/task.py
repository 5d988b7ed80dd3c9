"""Training, evaluation and prediction for any type of problem. Contains no network."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, distributed, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric, Metric, MetricCollection

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline, Predictor
from datamodules.export.exportable import ExportableModule
from lightning_modules.layers.shards import is_shard
from lightning_modules.optim.fused import fuse
from lightning_modules.optim.parameter_groups import head_of, parameter_groups
from lightning_modules.optim.schedules import Extension, Plateau, Schedule, schedule_factor
from lightning_modules.tasks.results.outcomes import LOSS, Outcomes
from lightning_modules.tasks.results.results import Results

OUTCOMES = "outcomes"  # in what a test step returns: the columns of its examples


class Step(NamedTuple):
    """Loss, predictions and targets of a batch.

    Args:
        loss: scalar, to be minimised.
        prediction: (B, …), as the task's metrics accept it.
        target: (B, …)
        num_targets: scalar, over how many targets the loss is averaged, where that is not B.
    """

    loss: Tensor
    prediction: Tensor
    target: Tensor
    num_targets: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """The weight of the loss in a mean over batches and processes."""
        if self.num_targets is None:
            return self.loss.new_tensor(len(self.target), dtype=torch.float)
        return self.num_targets.float()


class Board(Protocol):
    """A place, such as TensorBoard, where a task shows images and texts.

    Args:
        names: where each example of the batch that is shown is from; none where that is not known.
    """

    names: Sequence[str]

    def text(self, name: str, markdown: str) -> None:
        """Show a text."""

    def image(self, name: str, image: Tensor) -> None:
        """Show an image, (C, H, W), from 0 to 1."""

    def figure(self, name: str, figure: Any) -> None:
        """Show a matplotlib figure."""

    def pixels(self, batch: Any) -> Tensor | None:
        """The images of a batch as they were before they were normalised, (B, C, H, W) from 0 to 1; None without."""
        return None

    def embedding(self, name: str, vectors: Tensor, labels: Sequence[str], images: Tensor | None = None) -> None:
        """Show points in space.

        Args:
            name: of them.
            vectors: (N, D)
            labels: of each.
            images: (N, C, H, W) from 0 to 1, a thumbnail of each.
        """


@runtime_checkable
class Preparation(Protocol):
    """A callback that is told how far something is that comes before the first step."""

    def on_preparation(self, trainer: Trainer, stage: str, done: int, total: int) -> None:
        """So many steps are done."""


class Task(LightningModule):
    """Training, validation, test and prediction for one type of problem.

    Logs `train/loss`, and `loss` and each metric under `val/` and `test/`. Those of the baselines on the test
    batches are logged under `baseline/`.

    Args:
        optimizer: built on the parameters; every recipe names one.
        schedule: of the learning rate over the run.
        warmup: fraction of the run over which the learning rate first rises from near 0.
        final_rate: fraction of the learning rate that a schedule which falls ends with.
        monitor: the metric that decides which checkpoint is best, such as val/loss.
        plateau_factor: by which `--model.schedule plateau` multiplies the rate when the monitored metric stagnates.
        plateau_patience: consecutive validations without improvement after which it does.
    """

    default_monitor = "val/loss"
    lower_is_better: frozenset[str] = frozenset({"loss"})
    rebuild: dict[str, Any] | None = None  # arguments that replace files which may be gone when a checkpoint is loaded
    head_names: tuple[str, ...] = ("head",)  # of the layers on top of the others, which are the backbone
    backbone_rate = 1.0  # ratio of the backbone's learning rate to the head's, see callbacks/finetuning.py
    extension: Extension | None = None  # of a run that is made longer
    averages_own_weights: ClassVar[bool] = False  # whether what is evaluated and saved already is a running mean
    learned: Mapping[str, Predictor] = {}  # baselines, fitted to the training split by callbacks/run/baselines.py

    def __init__(
        self,
        optimizer: OptimizerCallable | None = None,
        schedule: Schedule = "constant",
        warmup: float = 0.0,
        monitor: str | None = None,
        plateau_factor: float = 0.1,
        plateau_patience: int = 10,
        final_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["optimizer"], logger=False)
        self.optimizer = optimizer
        self.schedule: Schedule = schedule
        self.warmup = warmup
        self.monitor = monitor or self.default_monitor
        schedule_factor(schedule, 1, warmup, final_rate)  # raises for a value out of range
        self.final_rate = final_rate
        if not 0 < plateau_factor < 1:
            raise ValueError(f"--model.plateau_factor: expected more than 0 and less than 1, got {plateau_factor}")
        self.plateau_factor = plateau_factor
        self.plateau_patience = plateau_patience
        self.mean_loss = MeanMetric()
        self._weights: list[Tensor] = []  # of the losses whose gradients are being accumulated
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
        return self.mode_of(self.monitor)

    def mode_of(self, metric: str) -> str:
        """Whether a `min` or a `max` of a metric, named with or without its split, is best."""
        return "min" if metric.split("/")[-1] in self.lower_is_better else "max"

    def units(self, target: str) -> dict[str, str]:
        """The unit of each metric that has one.

        Args:
            target: in words, the unit of the data's target, such as the name of its column.
        """
        return {}

    def monitors(self) -> list[str]:
        """The names that `monitor` accepts."""
        return ["val/loss", *(str(name) for name in self.val_metrics), "train/loss"]

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """The metrics of this type of problem, named without a split."""

    def metrics_of_test(self) -> MetricCollection:
        """The test's metrics, where they are not those of a validation."""
        return self.metrics()

    def results(self) -> Results | None:
        """What a test keeps of each example, and what is made of it; None where it keeps nothing."""
        return None

    def breakdown(self) -> dict[str, Metric]:
        """Metrics of the test whose values are tables, such as a confusion matrix, and not logged but shown."""
        return {}

    @abstractmethod
    def step(self, batch: Any) -> Step:
        """Loss, prediction and target of one batch."""

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Predictions from a batch without the model, by the prefix of their metrics' names.

        The one called "" uses no more than the training split's targets.
        """
        return {}

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Baselines that learn from the training split, by name.

        Those of the data where the metrics accept what they predict; none by default.
        """
        return {}

    def of_learned(self, output: Any, batch: Any) -> Any:
        """What such a baseline predicts for a batch, as the test's metrics accept it."""
        return output.to(self.device) if isinstance(output, Tensor) else output

    def all_baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Those that need no training, and those that have learned."""

        def answer(predict: Predictor, batch: Any) -> Any:
            with torch.autocast(self.device.type, enabled=False):
                return self.of_learned(predict(batch), batch)

        return self.baselines() | {f"{name}_": partial(answer, predict) for name, predict in self.learned.items()}

    def on_train_start(self) -> None:
        """Use the learning rates of a run that is made longer from its first further step on."""
        for config in self.trainer.lr_scheduler_configs if self.extension else []:
            scheduler: Any = config.scheduler
            for group, base, factor in zip(
                scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = base * factor(scheduler.last_epoch)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step; Lightning minimises what it returns."""
        step = self.step(batch)
        loss, weight = self.global_loss(step)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (self.global_step + 1) % every == 0:  # logging costs a millisecond
            self.log("train/loss", loss, batch_size=len(step.target))
        return loss if self.trainer.accumulate_grad_batches == 1 else self._accumulated(loss, weight)

    def _accumulated(self, loss: Tensor, weight: Tensor) -> Tensor:
        """The loss of a batch times its weight, relative to that of the first batch of the optimizer step."""
        self._weights.append(weight)
        return loss * (weight / self._first_weight)

    @property
    def _first_weight(self) -> Tensor:
        return self._weights[0].clamp(min=1e-8)  # a batch may have no target

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Give accumulated gradients their scale."""
        self.scale_accumulated()

    def scale_accumulated(self) -> None:
        """Make accumulated gradients those of the mean over the targets of all batches, not over the batches' means.

        A second call for the same gradients does nothing.
        """
        if not self._weights:
            return
        total = torch.stack(self._weights).sum().clamp(min=1e-8)
        factor = self.trainer.accumulate_grad_batches * self._first_weight / total
        self._weights = []
        for parameter in self.parameters():
            if parameter.grad is not None:  # of sharded weights a DTensor, which takes no other tensor
                parameter.grad.mul_(float(factor) if is_shard(parameter.grad) else factor)

    def global_loss(self, step: Step) -> tuple[Tensor, Tensor]:
        """The loss of the batches of all processes together, with the gradient of this one's part, and its weight.

        DDP averages the gradients, which gives the gradient of a single process with all batches.
        """
        weight = step.weight
        if self.trainer.world_size == 1:
            return step.loss, weight
        sums = torch.stack([weight, step.loss.detach().float() * weight])
        distributed.all_reduce(sums)
        total, weighted = sums
        part = step.loss * (weight * self.trainer.world_size / total)
        return part + (weighted / total - part.detach()), total

    def answers(self, batch: Any, step: Step) -> tuple[Any, Any]:
        """Predictions and targets of a batch as the metrics accept them."""
        return step.prediction, step.target

    def answers_of_test(self, batch: Any, step: Step) -> tuple[Any, Any]:
        """Predictions and targets of a batch as the test's metrics accept them."""
        return self.answers(batch, step)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Evaluate a batch of the validation split."""
        step = self.step(batch)
        self.mean_loss.update(step.loss, step.weight)
        self.val_metrics.update(*self.answers(batch, step))

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's metrics."""
        if not self.trainer.sanity_checking:  # with a batch or two
            self.log_scores({"val/loss": self.mean_loss.compute(), **self.val_metrics.compute()})
        self.mean_loss.reset()
        self.val_metrics.reset()

    def log_scores(self, scores: Mapping[str, Tensor]) -> None:
        """Log the scores of a validation.

        In training not by `log_dict`, which makes a metric of each and copies it, 1.5 ms: more than a small step takes.
        """
        if self.trainer.state.fn != TrainerFn.FITTING:
            self.log_dict(scores)
            return
        self.trainer.callback_metrics.update(scores)
        self.trainer._logger_connector.log_metrics({**scores})  # which alone knows the step that Lightning logs at

    def on_validation_end(self) -> None:
        """Report the monitored metric to a schedule that depends on it."""
        value = self.trainer.callback_metrics.get(self.monitor)
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, Plateau) and value is not None and not self.trainer.sanity_checking:
                config.scheduler.judge(float(value))

    def on_test_epoch_start(self) -> None:
        """Create the metrics of the test."""
        metrics = self.metrics_of_test().to(self.device)
        self.test_metrics = metrics.clone(prefix="test/")
        self.baseline_metrics = {name: metrics.clone(prefix=f"baseline/{name}") for name in self.all_baselines()}
        self.breakdown_metrics = MetricCollection(dict(self.breakdown()), compute_groups=False).to(self.device)

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Evaluate a batch of the test split, and the baselines on it; return what is kept of each example."""
        step = self.step(batch)
        self.mean_loss.update(step.loss, step.weight)
        prediction, target = self.answers_of_test(batch, step)
        self.test_metrics.update(prediction, target)
        self.breakdown_metrics.update(prediction, target)
        for name, baseline in self.all_baselines().items():
            self.baseline_metrics[name].update(baseline(batch), target)
        kept = self.results()
        return {} if kept is None else {OUTCOMES: kept.kept(batch, prediction, target)}

    def outcomes(self, batch: Any, step: Step) -> Outcomes:
        """What a test keeps of the examples of one batch, where it keeps anything."""
        results = self.results()
        assert results is not None
        columns = results.kept(batch, *self.answers_of_test(batch, step))
        return Outcomes(torch.arange(len(columns[LOSS])), columns)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test and of the baselines."""
        self.log_dict({"test/loss": self.mean_loss.compute(), **self.test_metrics.compute()})
        self.mean_loss.reset()
        for metrics in self.baseline_metrics.values():  # some say nothing of a metric
            self.log_dict({name: value for name, value in metrics.compute().items() if not value.isnan().all()})
        self.tables = self.breakdown_metrics.compute()

    @abstractmethod
    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """A dictionary of plain types for each example, to be written as a row."""

    @property
    def supports_ensembling(self) -> bool:
        """Whether the outputs of several models can be averaged, see `mean_of`."""
        return False

    def mean_of(self, answers: Tensor) -> Tensor:
        """The mean of the outputs of `forward` of several models, (M, …)."""
        return answers.mean(0)

    def output_facts(self) -> dict[str, Any]:
        """What an exported model's output is, as plain types: its `kind`, and what leads from it to predictions.

        Without a kind, the default, no script that predicts is written beside an exported model.
        """
        return {}

    def export_inputs(self, data: DataModule) -> ExportableModule:
        """The trained network with the inputs of an exported file: the tensors of the data's batches."""
        return data.export_inputs(self)

    def show_first(self, batch: Any, board: Board) -> None:
        """Show the run's first training batch, as the model gets it; images are shown without this.

        Args:
            batch: as the model gets it.
            board: where.
        """

    def show(self, batch: Any, board: Board) -> None:
        """Show the model's predictions for a batch: of validation, or the worst ones of the test, worst first.

        Args:
            batch: as the model gets it.
            board: where; it knows where each example is from.
        """

    def details(self) -> dict[str, Any]:
        """Results of the test besides its metrics, as plain types."""
        return {}

    def show_results(self, board: Board, outcomes: Outcomes | None = None) -> None:
        """Show the results of the test.

        Args:
            board: where.
            outcomes: of each example of the test split; None where nothing was kept of it.
        """

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the arguments with which the model is built again, where they are not its own."""
        if self.rebuild is not None:
            checkpoint["rebuild"] = self.rebuild

    def compile_targets(self) -> list[tuple[nn.Module, str]]:
        """Modules, each with the name of its method that torch.compile is to compile."""
        return [(self, "step")]

    def flops_per_token(self) -> float | None:
        """Floating-point operations of a training step for each token; None where it is not known."""
        return None

    def report_preparation(self, stage: str, done: int, total: int) -> None:
        """Tell the callbacks that ask for it how far something is that is no training step.

        Args:
            stage: what it is.
            done: steps.
            total: of them.
        """
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Preparation):
                callback.on_preparation(self.trainer, stage, done, total)

    def skip_preparation(self) -> None:
        """Omit what is no training step, so that a benchmark measures training steps only."""

    def plain_step(self, trainer: Trainer) -> Callable[[Any], None]:
        """A training step on a batch as a hand-written loop takes it: no hooks, no logs, no schedule.

        Args:
            trainer: whose precision and gradient clipping apply.
        """
        optimizer: Any = self.new_optimizer(self)
        precision = trainer.precision_plugin.forward_context

        def closure(batch: Any) -> Tensor:
            optimizer.zero_grad()
            with precision():
                loss = self.step(batch).loss
            loss.backward()
            if trainer.gradient_clip_val:
                nn.utils.clip_grad_norm_(self.parameters(), trainer.gradient_clip_val)
            return loss

        return lambda batch: optimizer.step(partial(closure, batch))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer, and its schedule over all of the run's optimizer steps."""
        return self.optimizer_of(self)

    def optimizer_of(self, part: nn.Module) -> Any:
        """An optimizer of a part's parameters, and its schedule over all of the run's optimizer steps."""
        optimizer = self.new_optimizer(part)
        if self.schedule == "constant" and not self.warmup:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.scheduler_of(optimizer), "interval": "step"}}

    def new_optimizer(self, part: nn.Module) -> Optimizer:
        """An optimizer of a part's parameters, in groups.

        Raises:
            ValueError: there is none.
        """
        if self.optimizer is None:
            raise ValueError("no optimizer: pass one, such as optimizer=torch.optim.Adam, or use a recipe")
        optimizer: Optimizer = self.optimizer(part.parameters())
        groups = parameter_groups(part, head_of(self, self.head_names), optimizer.defaults, self.backbone_rate)
        if len(groups) > 1:
            optimizer = self.optimizer(groups)
        fuse(optimizer)
        return optimizer

    def scheduler_of(self, optimizer: Optimizer) -> LambdaLR:
        """The schedule of an optimizer's learning rates over the run's optimizer steps."""
        total = 1.0  # without a warm-up, a plateau needs no length
        if self.schedule != "plateau" or self.warmup:
            total = self.trainer.estimated_stepping_batches
        if not math.isfinite(total):
            raise ValueError(
                f"--model.schedule {self.schedule} has to know the run's length; give --trainer.max_epochs"
            )
        schedule = self.extension.schedule_factor if self.extension else schedule_factor
        factor = schedule(self.schedule, int(total), self.warmup, self.final_rate)
        if self.schedule == "plateau":
            return Plateau(optimizer, factor, self.mode, self.plateau_factor, self.plateau_patience)
        return LambdaLR(optimizer, factor)

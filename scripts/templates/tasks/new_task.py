"""A problem of its own: what its loss, its metrics and its baseline are. TODO: what it is. Contains no network."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MetricCollection

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from lightning_modules.tasks.task import Step, Task


class NewTask(Task):
    """Absolute error; a batch is `(inputs, target)`, and `forward(inputs)` gives (B,), standardised. TODO: what it is.

    The metric mae and the predictions are in the data's own units. The baseline always predicts the mean of the
    training split. TODO: what each is here.

    Args:
        target_mean: of the training split, in the data's units; stated by the data, as is target_std.
        target_std: its standard deviation.
        kwargs: as for Task.
    """

    default_monitor = "val/mae"  # decides which checkpoint is the best
    lower_is_better = frozenset({"loss", "mae"})

    def __init__(self, target_mean: float = 0.0, target_std: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_mean = target_mean
        self.target_std = target_std

    def metrics(self) -> MetricCollection:
        """Mean absolute error. What is counted over a split is a torchmetrics metric: so several processes agree."""
        return MetricCollection({"mae": MeanAbsoluteError()})

    def units(self, target: str) -> dict[str, str]:
        """The unit of each metric that has one, in words; `target` is that of the data's target."""
        return {"mae": target} if target else {}

    def step(self, batch: Any) -> Step:
        """Loss, prediction and target of one batch; the loss is the mean over the targets."""
        inputs, target = batch
        output = self(inputs)
        loss = F.l1_loss(output, (target - self.target_mean) / self.target_std)
        return Step(loss, self.in_units(output), target)

    def in_units(self, output: Tensor) -> Tensor:
        """Standardised values in the data's units."""
        return output.float() * self.target_std + self.target_mean

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """What the model has to beat, shown with each test metric."""
        return {"": self.mean}

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Those that learn from the training split: the data's, whose values are in its own units as the metrics'."""
        return data.baselines()

    def mean(self, batch: Any) -> Tensor:
        """The training split's mean for every example."""
        _, target = batch
        return torch.full_like(target, self.target_mean)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """A row of predictions.csv for each example; of a batch without targets."""
        return [{"prediction": value} for value in self.in_units(self(batch)).cpu().tolist()]

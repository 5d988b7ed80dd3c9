"""Classification: each example belongs to one of several classes."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MulticlassAccuracy,
    MulticlassAveragePrecision,
    MulticlassF1Score,
)
from torchmetrics.functional.classification import multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.tasks import pictures
from lightning_modules.tasks.losses import class_losses
from lightning_modules.tasks.task import Board, Step, Task

Loss = Literal["cross_entropy", "focal"]
IMBALANCE_RATIO = 10  # times fewer examples than the largest class has, and always guessing that one looks good


def _probability(logits: Tensor) -> Tensor:
    """Of the last of two classes."""
    score = logits[:, 1] - logits[:, 0]
    return score.float().sigmoid()  # torchmetrics leaves it out in batches whose scores all lie from 0 to 1


class _OfPositives(BinaryAveragePrecision):
    """Average precision of the last of two classes, from (B, 2) logits."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_probability(preds), target)


class _OfClasses(MulticlassAveragePrecision):
    """Mean over the classes that occur of the average precision of each against all others, from (B, C) logits."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.float().softmax(-1), target)

    def compute(self) -> Tensor:  # type: ignore[override]
        preds, target = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        found = F.one_hot(target, self.num_classes)
        occurs = found.any(0)  # of a class without examples there is none, of which torchmetrics would warn
        if occurs.sum() == 1:
            return preds.new_ones(())
        return multilabel_average_precision(preds[:, occurs], found[:, occurs], int(occurs.sum()))


class _Auroc(BinaryAUROC):
    """Area under the ROC curve of the last of two classes, from (B, 2) logits."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_probability(preds), target)


class Classifier(Task):
    """Cross-entropy over classes; a batch is `(inputs, target)`, and `forward(inputs)` gives (B, num_classes) logits.

    Whatever trains, `val/loss` and `test/loss` are the plain cross-entropy (of a model with a loss of its own, that),
    in which all examples weigh the same: so runs can be compared.

    Metrics: accuracy; f1, the mean of the classes' F1; balanced_accuracy, the mean of their recalls; with two
    classes also average_precision and auroc of the last one, with more average_precision in the test alone, the mean
    over the classes. The baseline always gives the classes their shares of
    the training split.

    Args:
        num_classes: C
        class_names: of the classes, for predictions and pictures; their numbers by default.
        class_counts: training examples of each class, for the baseline.
        class_weights: what an example of each class weighs in the training loss; all the same by default.
        loss: that trains: `cross_entropy`, or `focal`, in which an example counts less the surer the model is of it.
        gamma: how much less; 2 by default.
        label_smoothing: share of each training target that is spread evenly over all classes.
        kwargs: as for Task.

    Raises:
        ValueError: a number is out of its range, or an option does not go with this model's loss.
    """

    own_loss: ClassVar[bool] = False  # a model that is not taught by cross-entropy says so
    class_weights: Tensor | None

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        class_counts: Sequence[int] | None = None,
        class_weights: Sequence[float] | None = None,
        loss: Loss = "cross_entropy",
        gamma: float | None = None,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if loss not in get_args(Loss):
            raise ValueError(f"--model.loss: expected one of {', '.join(get_args(Loss))}, got {loss}")
        if gamma is not None and loss != "focal":
            raise ValueError(f"--model.gamma {gamma}: belongs to --model.loss focal, not to {loss}")
        if gamma is not None and not gamma >= 0:
            raise ValueError(f"--model.gamma: expected at least 0, got {gamma}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"--model.label_smoothing: expected a share from 0 to below 1, got {label_smoothing}")
        if self.own_loss and (loss != "cross_entropy" or label_smoothing):
            option = f"loss {loss}" if loss != "cross_entropy" else f"label_smoothing {label_smoothing}"
            raise ValueError(
                f"--model.{option}: {type(self).__name__} has a loss of its own, which knows nothing of it"
            )
        self.num_classes = num_classes
        super().__init__(**kwargs)
        self.class_names = list(class_names or map(str, range(num_classes)))
        self.class_counts = class_counts
        self.gamma = 0.0 if loss == "cross_entropy" else 2.0 if gamma is None else gamma  # 2 is the paper's
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float)
        self.register_buffer("class_weights", weights, persistent=False)  # the data says it again

    def metrics(self) -> MetricCollection:
        """Accuracy, macro F1, balanced accuracy; for two classes also average precision and AUROC."""
        classes = self.num_classes
        metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "f1": MulticlassF1Score(classes, average="macro"),
                "balanced_accuracy": MulticlassAccuracy(classes, average="macro"),
            }
        )
        if classes == 2:
            metrics.add_metrics({"average_precision": _OfPositives(), "auroc": _Auroc()})
        return metrics

    def on_fit_start(self) -> None:
        """Say so where a seldom class makes what is monitored a poor judge."""
        counts = self.class_counts
        if (
            not counts
            or IMBALANCE_RATIO * min(counts) > max(counts)
            or self.monitor.split("/")[1] not in ("loss", "accuracy")
        ):
            return
        better = "val/average_precision" if self.num_classes == 2 else "val/f1"
        if self.trainer.is_global_zero:
            print(
                f"note: only {min(counts)} of {sum(counts)} training examples are of class "
                f"{self.class_names[counts.index(min(counts))]}: {self.monitor} hardly shows how well it is found; "
                f"--model.monitor {better} does",
                file=sys.stderr,
            )

    def step(self, batch: Any) -> Step:
        """The loss of one batch."""
        inputs, target = batch
        logits = self(inputs)
        return Step(self.cost(logits, target), logits, target)

    def cost(self, logits: Tensor, target: Tensor) -> Tensor:
        """What (B, C) logits cost: in training by the loss that was chosen, else by the cross-entropy."""
        if not self.training:
            return F.cross_entropy(logits, target)
        return self.mean(class_losses(logits, target, self.gamma, self.label_smoothing), target)

    def mean(self, losses: Tensor, target: Tensor) -> Tensor:
        """The mean of (B,) losses, in which in training each example has its class's weight."""
        if self.class_weights is None or not self.training:
            return losses.mean()
        weights = self.weights(target)
        return (losses * weights).sum() / weights.sum()

    def weights(self, target: Tensor) -> Tensor:
        """The class weight of each example, (B,)."""
        assert self.class_weights is not None
        return target @ self.class_weights if target.is_floating_point() else self.class_weights[target]

    def shared(self, step: Step) -> Tensor:
        """As a task's, where a process's part weighs as much as its examples together."""
        if self.class_weights is not None:
            step = step._replace(num_targets=self.weights(step.target).sum())
        return super().shared(step)

    @property
    def supports_ensembling(self) -> bool:
        """Yes, unless a model is judged by more than its logits."""
        return not self.own_loss

    def mean_of(self, answers: Tensor) -> Tensor:
        """The logarithms of the mean probabilities, from the logits of several models, (M, …, C)."""
        return answers.log_softmax(-1).logsumexp(0) - math.log(len(answers))

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The majority class, where the classes' shares are known."""
        return {"": self.shares} if self.class_counts is not None else {}

    def shares(self, batch: Any) -> Tensor:
        """The classes' shares of the training split, whatever the input: the majority class wins."""
        _, target = batch
        shares = torch.tensor(self.class_counts, dtype=torch.float, device=self.device)
        return (shares / shares.sum()).log().expand(len(target), -1)

    def on_test_epoch_start(self) -> None:
        """Judge the ranking of many classes, too, which takes too long for a validation; count the confusions."""
        super().on_test_epoch_start()
        if self.num_classes > 2:
            for metrics in (self.test_metrics, *self.baseline_metrics.values()):
                metrics.add_metrics({"average_precision": _OfClasses(self.num_classes).to(self.device)})
        self.confusion = torch.zeros(self.num_classes, self.num_classes, dtype=torch.long, device=self.device)

    def test_judged(self, step: Step) -> None:
        """Count the batch."""
        pairs = step.target * self.num_classes + step.prediction.argmax(-1)
        self.confusion += torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.confusion)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics; add up the counts."""
        super().on_test_epoch_end()
        self.confusion = self.sum_of_processes(self.confusion)

    def show(self, batch: Any, board: Board) -> None:
        """The images of the batch that were judged worst, with their classes; inputs of other kinds are left out."""
        inputs, target = batch
        if isinstance(inputs, Tensor) and inputs.dim() == 4:
            order, texts = pictures.worst(self(inputs), target, self.class_names)
            board.image("worst mistakes", pictures.grid(inputs.cpu()[order]))
            board.text("worst mistakes", pictures.table(texts))

    def details(self) -> dict[str, Any]:
        """Precision, recall and F1 of each class, and how many examples of it were tested."""
        columns = zip(self.class_names, *(part.tolist() for part in of_classes(self.confusion)), strict=True)
        keys = ("precision", "recall", "f1")
        examples = self.confusion.sum(1).tolist()
        return {
            "per_class": {
                name: dict(zip(keys, scores, strict=True)) | {"examples": number}
                for (name, *scores), number in zip(columns, examples, strict=True)
            }
        }

    def show_results(self, board: Board) -> None:
        """The confusion matrix, with each class's precision, recall and F1."""
        if self.num_classes <= 50:
            board.text("confusion", confusion_table(self.confusion, self.class_names))

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each example's class and the probability of every class."""
        return self.rows(self(batch))

    def rows(self, logits: Tensor) -> list[dict[str, Any]]:
        """Each example's class and the probability of every class, from (B, C) logits."""
        probabilities = logits.float().softmax(dim=-1).cpu()
        return [
            {
                "prediction": self.class_names[int(row.argmax())],
                "probabilities": dict(zip(self.class_names, row.tolist(), strict=True)),
            }
            for row in probabilities
        ]


class Scores(NamedTuple):
    """Of each class, (C,)."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def of_classes(confusion: Tensor) -> Scores:
    """Each class's scores; 0 where there is nothing to judge by.

    Args:
        confusion: (C, C) counts, a row for each true class, a column for each predicted one.
    """
    right, true, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return Scores(
        right / predicted.clamp(min=1), right / true.clamp(min=1), 2 * right / (true + predicted).clamp(min=1)
    )


def confusion_table(confusion: Tensor, names: Sequence[str]) -> str:
    """A confusion matrix as a Markdown table: a row for each true class, a column for each predicted one.

    Args:
        confusion: (C, C) counts.
        names: of the classes.
    """
    precision, recall, f1 = (scores.tolist() for scores in of_classes(confusion))
    cells = [name.replace("|", "\\|") for name in names]
    lines = [f"| true \\ predicted | {' | '.join(cells)} | recall | F1 |", "| --- |" + " ---: |" * (len(cells) + 2)]
    for name, row, share, score in zip(cells, confusion.tolist(), recall, f1, strict=True):
        lines.append(f"| {name} | {' | '.join(map(str, row))} | {share:.3f} | {score:.3f} |")
    lines.append(f"| precision | {' | '.join(f'{share:.3f}' for share in precision)} | | |")
    return "\n".join(lines)

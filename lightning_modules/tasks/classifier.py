"""Classification: each example belongs to one of several classes."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MultilabelConfusionMatrix,
)

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from lightning_modules.tasks.average_precision import MAX_SCORES, MeanAveragePrecision
from lightning_modules.tasks.confusion_matrix import class_scores
from lightning_modules.tasks.losses import class_losses
from lightning_modules.tasks.multilabel import (
    THRESHOLD,
    label_losses,
    label_metrics,
    label_rows,
    log_odds_of_mean,
    scores_of,
)
from lightning_modules.tasks.pretrained_features import pretrained_features
from lightning_modules.tasks.results.classes import ClassResults, LabelResults
from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.scores import class_rows, log_mean_probabilities
from lightning_modules.tasks.shows.classes import show_images, show_test
from lightning_modules.tasks.shows.inputs import show_inputs
from lightning_modules.tasks.task import Board, Step, Task

Loss = Literal["cross_entropy", "focal"]
IMBALANCE_RATIO = 10  # of the largest class to the smallest, from which always predicting the largest looks good


def _probability(logits: Tensor) -> Tensor:
    """The probability of the last of two classes."""
    score = logits[:, 1] - logits[:, 0]
    return score.float().sigmoid()  # torchmetrics omits it in batches whose scores all are from 0 to 1


class _BinaryAveragePrecision(BinaryAveragePrecision):
    """Average precision of the last of two classes, from (B, 2) logits."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_probability(preds), target)


class _OneVsRestAveragePrecision(MeanAveragePrecision):
    """One-vs-rest average precision, the mean over the classes that occur, from (B, C) logits."""

    def update(self, probabilities: Tensor, target: Tensor) -> None:
        super().update(probabilities.float().softmax(-1), target)


class _BinaryAUROC(BinaryAUROC):
    """Area under the ROC curve of the last of two classes, from (B, 2) logits."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(_probability(preds), target)


class Classifier(Task):
    """Cross-entropy over classes; a batch is `(inputs, target)`, and `forward(inputs)` gives (B, num_classes) logits.

    Of two classes a network may give the logit of the second alone, (B, 1).

    Whatever the training loss, `val/loss` and `test/loss` are the unweighted cross-entropy (or the model's own loss),
    so that runs can be compared.

    With several labels an example, the loss is the mean binary cross-entropy of the classes, and a class is predicted
    from a probability of 1/2.

    Metrics: accuracy; f1, the mean of the classes' F1; balanced_accuracy, the mean of their recalls; with two
    classes also average_precision and auroc of the last one, with more average_precision in the test alone, the mean
    over the classes. With several labels: average_precision, the mean over the classes; f1; f1_micro, of all decisions
    together. The baseline always predicts the class frequencies of the training split.

    Args:
        num_classes: C
        class_names: for predictions and tables; the class indices by default.
        class_counts: training examples of each class, for the baseline.
        class_weights: of each class's examples in the training loss; equal by default.
        multilabel: whether an example has any number of the classes; the target is then (B, C), 0 or 1.
        num_examples: of the training split, for the baseline of several labels.
        loss: in training: `cross_entropy`, or `focal`, which gives less weight to confidently classified examples.
        gamma: focusing parameter of the focal loss; 2 by default.
        label_smoothing: fraction of each training target that is distributed evenly over all classes.
        kwargs: as for Task.

    Raises:
        ValueError: an argument is out of range, or does not apply to this model's loss.
    """

    own_loss: ClassVar[bool] = False  # whether the model is trained with another loss than cross-entropy
    class_weights: Tensor | None

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        class_counts: Sequence[int] | None = None,
        class_weights: Sequence[float] | None = None,
        multilabel: bool | None = None,
        num_examples: int | None = None,
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
            raise ValueError(f"--model.label_smoothing: expected a fraction from 0 to below 1, got {label_smoothing}")
        if self.own_loss and (loss != "cross_entropy" or label_smoothing):
            option = f"loss {loss}" if loss != "cross_entropy" else f"label_smoothing {label_smoothing}"
            raise ValueError(
                f"--model.{option}: {type(self).__name__} has a loss of its own, to which this does not apply"
            )
        if self.own_loss and multilabel:
            raise ValueError(
                f"--data.multilabel true: {type(self).__name__} has a loss of its own, of one class an image"
            )
        self.num_classes = num_classes
        self.multilabel = bool(multilabel)
        self.num_examples = num_examples or 0
        super().__init__(**kwargs)
        self.class_names = list(class_names or map(str, range(num_classes)))
        self.class_counts = class_counts
        self.gamma = 0.0 if loss == "cross_entropy" else 2.0 if gamma is None else gamma  # 2 is the paper's
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float)
        self.register_buffer("class_weights", weights, persistent=False)  # it is computed from the data again

    def metrics(self) -> MetricCollection:
        """Accuracy, macro F1, balanced accuracy; for two classes also average precision and AUROC."""
        classes = self.num_classes
        if self.multilabel:
            return label_metrics(classes)
        metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "f1": MulticlassF1Score(classes, average="macro"),
                "balanced_accuracy": MulticlassAccuracy(classes, average="macro"),
            }
        )
        if classes == 2:
            metrics.add_metrics({"average_precision": _BinaryAveragePrecision(), "auroc": _BinaryAUROC()})
        return metrics

    def metrics_of_test(self) -> MetricCollection:
        """Of more than two classes also the average precision, which takes too long for a validation."""
        metrics = super().metrics_of_test()
        if self.num_classes > 2 and not self.multilabel:
            metrics.add_metrics({"average_precision": _OneVsRestAveragePrecision(self.num_classes)})
        return metrics

    def on_test_epoch_end(self) -> None:
        """Say how exact the average precision is, where its scores were too many to be kept."""
        super().on_test_epoch_end()
        precision = dict(self.test_metrics.items(keep_base=True)).get("average_precision")
        if isinstance(precision, MeanAveragePrecision) and precision.error and self.trainer.is_global_zero:
            print(
                f"note: test/average_precision is of scores rounded to {precision.num_bins:,} values, since there are "
                f"more than {MAX_SCORES:,}; the exact value is at most {precision.error:.2g} away",
                file=sys.stderr,
            )

    def breakdown(self) -> dict[str, Metric]:
        """The confusion matrix; of several labels one for each class."""
        if self.multilabel:
            return {"confusion": MultilabelConfusionMatrix(self.num_classes)}
        return {"confusion": MulticlassConfusionMatrix(self.num_classes)}

    def results(self) -> ClassResults | LabelResults:
        """Classes and their probabilities."""
        return LabelResults(self.class_names) if self.multilabel else ClassResults(self.class_names)

    def on_fit_start(self) -> None:
        """Print a note where the monitored metric says little about a rare class."""
        counts = self.class_counts
        if (
            not counts
            or self.multilabel
            or IMBALANCE_RATIO * min(counts) > max(counts)
            or self.monitor.split("/")[1] not in ("loss", "accuracy")
        ):
            return
        better = "val/average_precision" if self.num_classes == 2 else "val/f1"
        if self.trainer.is_global_zero:
            print(
                f"note: only {min(counts)} of {sum(counts)} training examples are of class "
                f"{self.class_names[counts.index(min(counts))]}: {self.monitor} hardly shows how well it is predicted; "
                f"--model.monitor {better} does",
                file=sys.stderr,
            )

    def step(self, batch: Any) -> Step:
        """The loss of one batch."""
        inputs, target = batch
        logits = self.logits_of(self(inputs))
        return Step(self.cost(logits, target), logits, target)

    def logits_of(self, output: Tensor) -> Tensor:
        """The logits of every class, (…, C), from what the network gives: of two classes also (…, 1), of the second.

        The cross-entropy of the two is the binary cross-entropy of the one: the other logit is 0.
        """
        if self.num_classes != 2 or self.multilabel or output.shape[-1] != 1:
            return output
        return torch.cat([torch.zeros_like(output), output], dim=-1)

    def cost(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of (B, C) logits: in training the one that was chosen, otherwise cross-entropy."""
        if not self.training:
            return label_losses(logits, target).mean() if self.multilabel else F.cross_entropy(logits, target)
        losses_of = label_losses if self.multilabel else class_losses
        return self.mean(losses_of(logits, target, self.gamma, self.label_smoothing), target)

    def answers(self, batch: Any, step: Step) -> tuple[Tensor, Tensor]:
        """Logits and classes; of several labels their probabilities, and which there are."""
        if self.multilabel:
            return step.prediction.float().sigmoid(), step.target.long()
        return step.prediction, step.target

    def mean(self, losses: Tensor, target: Tensor) -> Tensor:
        """The mean of (B,) losses, in training weighted by class."""
        if self.class_weights is None or not self.training:
            return losses.mean()
        weights = self.weights(target)
        return (losses * weights).sum() / weights.sum()

    def weights(self, target: Tensor) -> Tensor:
        """The class weight of each example, (B,)."""
        assert self.class_weights is not None
        return target @ self.class_weights if target.is_floating_point() else self.class_weights[target]

    def global_loss(self, step: Step) -> tuple[Tensor, Tensor]:
        """The loss of all processes, each with the sum of the class weights of its examples as its weight."""
        if self.class_weights is not None:
            step = step._replace(num_targets=self.weights(step.target).sum())
        return super().global_loss(step)

    @property
    def supports_ensembling(self) -> bool:
        """Yes, unless the loss needs more than the logits."""
        return not self.own_loss

    def mean_of(self, answers: Tensor) -> Tensor:
        """The logarithms of the mean probabilities, from the logits of several models, (M, …, C)."""
        answers = self.logits_of(answers)
        return log_odds_of_mean(answers) if self.multilabel else log_mean_probabilities(answers)

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The majority class, where the class frequencies are known."""
        return {"": self.frequencies} if self.class_counts is not None else {}

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Those of the data; and on its features, where the model has started from a pretrained network."""
        learned, features = data.baselines(), pretrained_features(self)
        if features is not None:
            on_features = {f"pretrained_{name}": baseline.on(features) for name, baseline in learned.items()}
            learned |= {name: baseline for name, baseline in on_features.items() if baseline is not None}
        return learned

    def frequencies(self, batch: Any) -> Tensor:
        """The logarithms of the class frequencies of the training split, for each example; of labels themselves."""
        _, target = batch
        counts = torch.tensor(self.class_counts, dtype=torch.float, device=self.device)
        frequencies = counts / max(self.num_examples, 1) if self.multilabel else (counts / counts.sum()).log()
        return frequencies.expand(len(target), -1)

    def attention_of_edges(self, graphs: Any) -> Tensor | None:
        """How much the model heeds each edge of a batch of graphs, (E,) from 0 to 1; None where all count the same."""
        return None

    def show(self, batch: Any, board: Board) -> None:
        """The images of the batch with the worst predictions; inputs other than images are not shown."""
        show_images(self, batch, board)

    def reconstructed(self, images: Tensor) -> Tensor | None:
        """The images as the model makes them again of what it has seen, normalised; None where it makes none."""
        return None

    def details(self) -> dict[str, Any]:
        """Precision, recall and F1 of each class, and its number of test examples."""
        confusion = self.tables["confusion"]
        if self.multilabel:
            return {"per_class": scores_of(confusion, self.class_names)}
        columns = [*class_scores(confusion), confusion.sum(1)]
        keys = ("precision", "recall", "f1", "examples")
        rows = zip(self.class_names, *(column.tolist() for column in columns), strict=True)
        return {"per_class": {name: dict(zip(keys, scores, strict=True)) for name, *scores in rows}}

    def show_results(self, board: Board, outcomes: Outcomes | None = None) -> None:
        """The confusion matrix with the scores of each class, curves, features, and where it looks in its inputs."""
        show_test(self, board, outcomes)
        show_inputs(self, board, outcomes)

    def output_facts(self) -> dict[str, Any]:
        """Logits of the classes."""
        if self.multilabel:
            steps = "the sigmoid is each class's probability; those of at least the threshold are predicted"
            return {"kind": "labels", "classes": self.class_names, "threshold": THRESHOLD, "steps": steps}
        steps = "the softmax over the last axis is each class's probability; a single logit is that of the second class"
        return {"kind": "classes", "classes": self.class_names, "steps": steps}

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each example's class and the probability of every class."""
        return self.rows(self(batch))

    def rows(self, output: Tensor) -> list[dict[str, Any]]:
        """Each example's class, or its labels, and the probability of every class, from what the network gives."""
        logits = self.logits_of(output)
        if self.multilabel:
            return label_rows(logits, self.class_names)
        return class_rows(logits.float().softmax(dim=-1), self.class_names)

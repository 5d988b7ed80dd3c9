"""What a test of a classifier keeps: each example's class, and the probabilities of all classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.tasks.multilabel import THRESHOLD
from lightning_modules.tasks.results.intervals import Intervals, Ranking, Scores, of_pairs, of_weights
from lightning_modules.tasks.results.outcomes import Column, Outcomes
from lightning_modules.tasks.results.results import Results

MAX_CURVES = 100  # classes whose probabilities are kept; of more, those of the predicted and the true one


class ClassResults(Results):
    """One class an example.

    Args:
        names: of the C classes.
    """

    loss_name = "cross-entropy"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """Classes, probabilities, and the negative logarithm of the true class's probability."""
        log_probability = prediction.detach().float().log_softmax(-1)
        confidence, predicted = log_probability.max(-1)
        kept: dict[str, Column] = {
            "target": target.cpu(),
            "prediction": predicted.cpu(),
            "probability": confidence.exp().cpu(),
            "loss": F.nll_loss(log_probability, target, reduction="none").cpu(),
        }
        if len(self.names) <= MAX_CURVES:
            kept["probabilities"] = log_probability.exp().cpu()
        return kept

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """Names of the classes, whether they agree, and the predicted one's probability."""
        true, predicted = outcomes["target"], outcomes["prediction"]
        return {
            "target": [self.names[index] for index in true.tolist()],
            "prediction": [self.names[index] for index in predicted.tolist()],
            "probability": outcomes["probability"].tolist(),
            "correct": (true == predicted).int().tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of accuracy, F1 and balanced accuracy, and of the areas under the curves."""
        true, predicted = outcomes["target"], outcomes["prediction"]
        found = of_pairs(true, predicted, len(self.names), class_scores_of)
        if "probabilities" not in outcomes:
            return found
        probabilities = outcomes["probabilities"]
        if len(self.names) == 2:
            ranking = Ranking(probabilities[:, 1], true == 1)
            return found | of_weights(len(outcomes), lambda weights: areas(ranking, weights))
        rankings = [Ranking(probabilities[:, index], true == index) for index in true.unique().tolist()]
        return found | of_weights(len(outcomes), lambda weights: mean_average_precision(rankings, weights))

    def one_vs_rest(self, outcomes: Outcomes) -> tuple[Tensor, Tensor]:
        """The probability of each class, and whether it is the true one, (N, C) each."""
        return outcomes["probabilities"], F.one_hot(outcomes["target"], len(self.names)).bool()

    def decisions(self, outcomes: Outcomes) -> tuple[Tensor, Tensor]:
        """The probability of each predicted class, and whether it is the true one, (N,) each."""
        return outcomes["probability"], outcomes["prediction"] == outcomes["target"]


class LabelResults(Results):
    """Any number of labels an example.

    Args:
        names: of the C labels.
    """

    loss_name = "binary cross-entropy"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """Labels, probabilities, and the mean binary cross-entropy."""
        loss = F.binary_cross_entropy(prediction.float(), target.float(), reduction="none").mean(1)
        return {"target": target.cpu(), "probabilities": prediction.detach().float().cpu(), "loss": loss.cpu()}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """The labels, whether all of them are right, and the probability of each label."""
        predicted, true = outcomes["probabilities"] >= THRESHOLD, outcomes["target"].bool()
        return {
            "target": [self.named(row) for row in true.tolist()],
            "prediction": [self.named(row) for row in predicted.tolist()],
            **{f"p({name})": outcomes["probabilities"][:, index].tolist() for index, name in enumerate(self.names)},
            "correct": (predicted == true).all(1).int().tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def one_vs_rest(self, outcomes: Outcomes) -> tuple[Tensor, Tensor]:
        """The probability of each label, and whether it is there, (N, C) each."""
        return outcomes["probabilities"], outcomes["target"].bool()

    def decisions(self, outcomes: Outcomes) -> tuple[Tensor, Tensor]:
        """The probability of every label of every example, and whether it is there, (N · C,) each."""
        probabilities, positive = self.one_vs_rest(outcomes)
        return probabilities.flatten(), positive.flatten()

    def named(self, row: Sequence[bool]) -> str:
        """The labels of an example, separated by commas."""
        return ", ".join(name for name, has in zip(self.names, row, strict=True) if has)

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of average precision and both F1."""
        true, probabilities = outcomes["target"].bool(), outcomes["probabilities"]
        predicted = probabilities >= THRESHOLD
        statistics = torch.cat([true & predicted, predicted, true], dim=1).double()
        rankings = [Ranking(probabilities[:, index], true[:, index]) for index in true.any(0).nonzero()[:, 0].tolist()]

        def scores(weights: Tensor) -> Scores:
            correct, guessed, present = (weights @ statistics).chunk(3, dim=1)
            found = {
                "f1": (2 * correct / (guessed + present).clamp(min=1)).mean(1),
                "f1_micro": 2 * correct.sum(1) / (guessed + present).sum(1).clamp(min=1),
            }
            return found | (mean_average_precision(rankings, weights) if rankings else {})

        return of_weights(len(outcomes), scores)


def class_scores_of(correct: Tensor, predicted: Tensor, true: Tensor) -> Scores:
    """Accuracy, F1 and balanced accuracy of replicates, from the counts of each class, (R, C) each.

    The means leave out classes that neither occur nor are predicted.
    """
    occurs = (true + predicted > 0).double()
    f1, recall = 2 * correct / (true + predicted).clamp(min=1), correct / true.clamp(min=1)
    return {
        "accuracy": correct.sum(1) / true.sum(1),
        "f1": (f1 * occurs).sum(1) / occurs.sum(1),
        "balanced_accuracy": (recall * occurs).sum(1) / occurs.sum(1),
    }


def areas(ranking: Ranking, weights: Tensor) -> Scores:
    """Both areas under the curves of replicates."""
    return {"average_precision": ranking.average_precision(weights), "auroc": ranking.auroc(weights)}


def mean_average_precision(rankings: Sequence[Ranking], weights: Tensor) -> Scores:
    """The mean over the classes that a replicate has."""
    scores = torch.stack([ranking.average_precision(weights) for ranking in rankings])
    return {"average_precision": scores.nanmean(0)}

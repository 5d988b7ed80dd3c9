"""What a test of preferences keeps: of each pair, the answers and the margin of their rewards."""

from collections.abc import Callable
from typing import Any

from torch.nn import functional as F

from lightning_modules.tasks.results.intervals import Intervals, of_means
from lightning_modules.tasks.results.language import MAX_CHARS
from lightning_modules.tasks.results.outcomes import Column, Outcomes
from lightning_modules.tasks.results.results import Results


class PreferenceResults(Results):
    """Pairs of answers; the loss is that of training.

    Args:
        answers_of: the better and the worse answers of a batch.
    """

    def __init__(self, answers_of: Callable[[Any], tuple[list[str], list[str]]]) -> None:
        self.answers_of = answers_of

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """The beginnings of the answers, and the margin."""
        margin = prediction[:, 0].float().cpu()
        better, worse = ([text[:MAX_CHARS] for text in texts] for texts in self.answers_of(batch))
        return {"target": better, "prediction": worse, "margin": margin, "loss": -F.logsigmoid(margin)}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """The answers, whether the better one has the larger reward, and by how much."""
        margin = outcomes["margin"]
        return {
            "target": outcomes["target"],
            "prediction": [
                better if right else worse
                for better, worse, right in zip(
                    outcomes["target"], outcomes["prediction"], (margin > 0).tolist(), strict=True
                )
            ],
            "correct": (margin > 0).int().tolist(),
            "margin": margin.tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of the accuracy and of the margin; pairs are sampled."""
        margin = outcomes["margin"]
        return of_means({"accuracy": (margin > 0).float(), "margin": margin})

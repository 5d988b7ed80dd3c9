"""What a test of a language model keeps: of each row, its text and how well it was predicted."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_modules.tasks.results.intervals import Intervals, Scores, of_sums
from lightning_modules.tasks.results.outcomes import Column, Outcomes
from lightning_modules.tasks.results.results import Results

MAX_CHARS = 200  # of a row's text


class LanguageResults(Results):
    """Rows of text; the loss is a row's bits per byte.

    Args:
        text_of: the text of each row of a batch.
    """

    loss_name = "bits per byte"

    def __init__(self, text_of: Callable[[Any], list[str]]) -> None:
        self.text_of = text_of

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """The beginning of the text, and the sums over its targets."""
        sums = torch.cat([prediction, target], dim=1).float().cpu()  # nats, right ones, bytes, targets
        bits = sums[:, 0] / math.log(2) / sums[:, 2].clamp(min=1)
        return {"target": [text[:MAX_CHARS] for text in self.text_of(batch)], "sums": sums, "loss": bits}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """The text, how many of its tokens are predicted right, and its bits per byte."""
        nats, right, size, targets = outcomes["sums"].unbind(1)
        return {
            "target": outcomes["target"],
            "prediction": [f"{int(some)} of {int(all_of)} tokens" for some, all_of in zip(right, targets, strict=True)],
            "nats": nats.tolist(),
            "bytes": size.int().tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of all metrics; rows are sampled."""

        def scores(sums: Tensor) -> Scores:
            nats, right, size, targets = sums.unbind(1)
            return {
                "bits_per_byte": nats / math.log(2) / size,
                "perplexity": (nats / targets).exp(),
                "accuracy": right / targets,
            }

        return of_sums(outcomes["sums"], scores)

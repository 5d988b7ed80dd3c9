"""What a practitioner would otherwise use: fitted to the training split in seconds, and kept as plain types."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

Fitted = dict[str, Any]  # tensors, and plain types
Predictor = Callable[[Any], Any]  # from a batch


class Baseline(ABC):
    """A classical method that learns from the training split.

    It reads batches as a model gets them in evaluation: scaled, normalised, not augmented. Everything that it computes
    is computed on the CPU, and depends on nothing but the batches: the numbers are the same on every device, for any
    number of processes, and the global random state is neither read nor changed.
    """

    max_examples = 20_000  # of the training split, that it is fitted to: a stratified sample where there are more
    transfers = True  # whether it predicts for other data than that of which its training split is a part

    def on(self, features: Callable[[Any], Any]) -> "Baseline | None":
        """The same method on a pretrained network's features of the inputs; None where there is no such."""
        return None

    @abstractmethod
    def fit(self, batches: Iterable[Any]) -> Fitted:
        """Learn from batches with their targets.

        Raises:
            ValueError: they cannot be learned from.
        """

    @abstractmethod
    def predictor(self, fitted: Fitted) -> Predictor:
        """What predicts for a batch: logits (B, C) of classes, probabilities of labels, or values in their own units.

        Args:
            fitted: of `fit`.
        """

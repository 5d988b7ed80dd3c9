"""Texts too long for one token sequence: each is encoded as several pieces, which share its batch."""

from torch import Tensor
from torch.nn import functional as F

from datamodules.loading.sampling import ranges
from datamodules.tokenizing.tokens import Ragged, Text


class Pieces:
    """The pieces of all examples, end to end.

    Args:
        tokens: token ids of each piece.
        counts: (N,) number of pieces of each example.
    """

    def __init__(self, tokens: Ragged, counts: Tensor) -> None:
        self.tokens = tokens
        self.counts = counts
        self.start = self.counts.cumsum(0) - self.counts
        ends = F.pad(self.tokens.lengths.cumsum(0), (1, 0))
        self.lengths = ends[self.start + self.counts] - ends[self.start]  # all tokens of each example

    def rows(self, index: Tensor) -> Tensor:
        """Indices of the pieces of these examples, one after the other."""
        return ranges(self.start[index], self.counts[index])

    def padded(self, index: Tensor, padding: int) -> Text:
        """The pieces of these examples side by side."""
        return self.tokens.padded(self.rows(index), padding)

    def flat_positions(self, index: Tensor, places: Tensor, width: int) -> Tensor:
        """Positions in the flattened ids of a batch.

        Args:
            index: (B,) examples of the batch.
            places: (B, N, 2) piece of its example and position in this piece.
            width: length of the longest piece in the batch.
        """
        counts = self.counts[index]
        before = counts.cumsum(0) - counts
        return (places[..., 0] + before[:, None]) * width + places[..., 1]

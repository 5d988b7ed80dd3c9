"""Windows over documents that lie end to end: in all of them together, each token is predicted once."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.loading.sampling import Splits
from datamodules.storage.token_stream import TokenStream
from datamodules.tokenizing.packed import IGNORED, Packed

Integers = NDArray[np.int64]


class Windows:
    """The rows of all splits, counted from the first of training to the last of the test.

    The documents of a split lie end to end, and each window begins with the token that the one before it ends with as
    a target. So every token but the first of its document is the target of one window; the rest of the last is padding.

    Args:
        stream: tokens of all documents.
        documents: of each split, indices.
        window: T, the maximum number of tokens of a row; where no split has as many, T is as many as there are.
        bytes_of: (V,) the bytes that each token stands for.
        padding: the token in padding.
        has_begin: whether a document begins with a token that is none of its text.
    """

    def __init__(
        self,
        stream: TokenStream,
        documents: Splits,
        window: int,
        bytes_of: Integers,
        padding: int,
        has_begin: bool,
    ) -> None:
        self.tokens = stream.tokens
        self.bytes_of = bytes_of
        self.padding = padding
        order = torch.cat(list(documents)).numpy()
        lengths = stream.lengths[order]
        # Positions count the tokens of the documents in this order; each document is somewhere else in the stream.
        self.edges = np.concatenate([[0], lengths.cumsum(dtype=np.int64)])  # (D + 1,) where documents begin
        self.moved = (stream.lengths.cumsum(dtype=np.int64) - stream.lengths)[order] - self.edges[:-1]
        self.bounds = self.edges[np.cumsum([0, *map(len, documents)])]  # where each split begins, and after the last
        sizes = np.diff(self.bounds)
        self.width = max(min(window, int(sizes.max()) - 1), 1)
        rows = -(-np.maximum(sizes - 1, 0) // self.width)
        self.first_rows = np.concatenate([[0], rows.cumsum()])  # of each split, and after the last
        # Where tokens stand for other bytes than the text has, as with a space that is put in front of it, the first
        # token of the text accounts for that; it is only a target if there is one before it.
        self.excess = stream.excess[order] if has_begin and stream.excess.any() else None
        self.order = order.astype(np.min_scalar_type(len(stream.lengths)))

    @property
    def splits(self) -> Splits:
        """The rows of each split."""
        return Splits(*(torch.arange(*self.first_rows[split : split + 2].tolist()) for split in range(3)))

    def place(self, row: int) -> tuple[int, int]:
        """The document that a row begins in, and how many of its tokens are before."""
        begin = int(self._begins(np.array([row]))[0][0])
        index = int(self._documents(np.array(begin)))
        return int(self.order[index]), begin - int(self.edges[index])

    def _begins(self, rows: Integers) -> tuple[Integers, Integers]:
        """The positions where some rows begin, and where their splits end, (B,) each."""
        split = np.searchsorted(self.first_rows, rows, "right") - 1
        return self.bounds[split] + (rows - self.first_rows[split]) * self.width, self.bounds[split + 1]

    def _documents(self, positions: Integers) -> Integers:
        """Which documents positions are in."""
        return np.searchsorted(self.edges, positions, "right") - 1

    def batch(self, rows: Tensor) -> Packed:
        """Some rows."""
        begin, end = self._begins(rows.numpy())  # (B,)
        positions = begin[:, None] + np.arange(self.width + 1)  # (B, T + 1)
        inside = positions < end[:, None]
        last = self._documents(end - 1)[:, None]  # document of the split, (B, 1)
        documents = np.where(inside, self._documents(positions), last + 1)
        known = np.where(inside, documents, last)
        tokens = self.tokens.gather(np.where(inside, positions, end[:, None] - 1) + self.moved[known]).astype(np.int64)
        tokens[~inside] = self.padding
        counts = inside[:, 1:] & (documents[:, 1:] == documents[:, :-1])  # (B, T)
        num_bytes = np.where(counts, self.bytes_of[tokens[:, 1:]], 0).sum(1)
        if self.excess is not None:
            second = positions[:, 1:] == self.edges[known[:, 1:]] + 1
            num_bytes -= np.where(counts & second, self.excess[known[:, 1:]], 0).sum(1)
        apart = documents[:, :-1] - documents[:, :1]
        return Packed(
            torch.from_numpy(np.ascontiguousarray(tokens[:, :-1])),
            torch.from_numpy(np.where(counts, tokens[:, 1:], IGNORED)),
            torch.from_numpy(apart) if np.any(apart * inside[:, :-1]) else None,  # nothing counts that reads padding
            torch.from_numpy(num_bytes),
        )


class WindowExamples(Dataset[Any]):
    """Some of the windows; a batch is a Packed.

    Args:
        windows: all of them.
        index: of these.
    """

    def __init__(self, windows: Windows, index: Tensor) -> None:
        self.windows = windows
        self.index = index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Packed:
        return self.windows.batch(self.index[index])

"""The bytes of the text that rows of tokens stand for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.tokenizing.packed import IGNORED, Packed

APART = 0xFF  # the end of a document, and what is before its beginning: a byte that no UTF-8 has


class RowBytes(NamedTuple):
    """The bytes of several rows, end to end.

    Args:
        values: (N,) bytes; of the first token of each row, and of its targets.
        rows: (N,) the row that each is of.
        counts: (N,) whether each is of a target.
    """

    values: NDArray[np.uint8]
    rows: NDArray[np.int64]
    counts: NDArray[np.bool_]


class ByteTable:
    """Rows of tokens as bytes.

    Args:
        bytes_of: (V) the bytes that each token stands for.
        begin: the token before a document; None where there is none.
        end: the token after a document, which becomes APART.
    """

    def __init__(self, bytes_of: Sequence[bytes], begin: int | None, end: int) -> None:
        contents = [*bytes_of]
        for token in (begin, end):
            if token is not None:
                contents[token] = bytes([APART])
        self.begin = -1 if begin is None else begin
        self.lengths = np.array([*map(len, contents)], np.int64)
        self.starts = self.lengths.cumsum() - self.lengths
        self.values = np.frombuffer(b"".join(contents), np.uint8)

    def of(self, batch: Packed) -> RowBytes:
        """The bytes of a batch's rows, as far as their last targets."""
        ids, targets = batch.ids.cpu().numpy(), batch.targets.cpu().numpy()
        counts = np.concatenate([np.zeros((len(ids), 1), bool), targets != IGNORED], 1)  # (B, T + 1)
        tokens = np.concatenate([ids[:, :1], np.where(counts[:, 1:], targets, np.roll(ids, -1, 1))], 1)
        last = counts.shape[1] - counts[:, ::-1].argmax(1)  # after the last target: the rest is padding
        kept = np.arange(counts.shape[1]) < last[:, None]
        kept[:, 1:] &= counts[:, 1:] | (tokens[:, 1:] != self.begin)  # the end before it is enough
        kept &= counts.any(1, keepdims=True)
        flat, rows, is_target = tokens[kept], kept.nonzero()[0], counts[kept]
        lengths = self.lengths[flat]
        places = np.arange(int(lengths.sum())) + np.repeat(self.starts[flat] - (lengths.cumsum() - lengths), lengths)
        return RowBytes(self.values[places], np.repeat(rows, lengths), np.repeat(is_target, lengths))

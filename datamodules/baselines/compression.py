"""What usual compressors make of the test split's text."""

import bz2
import lzma
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from torch import Tensor

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.tokenizing.packed import Packed
from datamodules.tokenizing.row_bytes import APART, ByteTable

MAX_BYTES = 4 * 10**6  # of either text: xz looks back as far as both together, and takes some seconds


class Compression(Baseline):
    """The bits for each byte of the compressed test split, or of its beginning.

    - bz2: that of the text alone, as one would compress it; a block of it has 900 kB, so that no more would help
    - xz: by how much a file of training text grows with it, as a model also knows the training text

    A batch is Packed; a prediction is the nats of each row, (B,): its bytes, all of which cost alike. It is not learned
    from batches alone, as a compressor has no probabilities: it reads the text that it is to be tested on.

    Args:
        method: one of these.
        table: of the bytes of tokens.
        test: gives the rows of the test split.
        row_bytes: that a row has about.
    """

    transfers = False

    def __init__(
        self,
        method: Literal["bz2", "xz"],
        table: ByteTable,
        test: Callable[[], Iterator[Packed]],
        row_bytes: float = 1.0,
    ) -> None:
        self.method = method
        self.table = table
        self.test = test
        self.max_examples = max(int(MAX_BYTES / max(row_bytes, 1.0)), 1)

    def fit(self, batches: Iterable[Packed]) -> Fitted:
        """The `bits` for each byte."""
        text = self._text(self.test())
        if self.method == "bz2":
            return {"bits": 8 * len(bz2.compress(text)) / len(text)}
        training = self._text(batches)
        return {"bits": 8 * (len(lzma.compress(training + text)) - len(lzma.compress(training))) / len(text)}

    def _text(self, batches: Iterable[Packed]) -> bytes:
        """The text of rows, up to MAX_BYTES."""
        parts, size = [], 0
        for batch in batches:
            found = self.table.of(batch)
            parts.append(found.values[found.counts & (found.values != APART)].tobytes())
            size += len(parts[-1])
            if size >= MAX_BYTES:
                break
        return b"".join(parts)[:MAX_BYTES]

    def predictor(self, fitted: Fitted) -> Predictor:
        """The nats of each row."""

        def predict(batch: Packed) -> Tensor:
            return batch.num_bytes.cpu().float() * (fitted["bits"] * math.log(2))

        return predict

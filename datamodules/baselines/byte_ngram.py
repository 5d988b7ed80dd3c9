"""An n-gram model of bytes: what a text costs of which only the frequencies of short sequences are known."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.tokenizing.packed import Packed
from datamodules.tokenizing.row_bytes import APART, ByteTable

MAX_BYTES = 6 * 10**6  # that are learned from, in some seconds, and kept
Integers = NDArray[np.int64]
Keys = NDArray[np.uint64]  # sequences of at most eight bytes as integers, the last byte the lowest


class Order(NamedTuple):
    """What is known of the sequences of some length.

    Args:
        sequences: (S,) ascending.
        counts: (S,) of each, less its discount.
        contexts: (C,) the sequences without their last bytes, ascending.
        totals: (C,) the sum of the counts after each context.
        left: (C,) the sum of the discounts after each context, which goes to shorter ones.
    """

    sequences: Keys
    counts: NDArray[np.float64]
    contexts: Keys
    totals: NDArray[np.float64]
    left: NDArray[np.float64]


class ByteNGram(Baseline):
    """Modified Kneser-Ney smoothing (Chen and Goodman 1999, https://doi.org/10.1006/csla.1999.0128) of bytes.

    A batch is Packed; a prediction is the nats of each row's targets, (B,), the ends of documents among them. As a
    language model does, it reads a row alone, and of it a document alone.

    Args:
        table: of the bytes of tokens.
        row_bytes: that a row has about, by which the number of rows is limited that are learned from.
        context: number of bytes by which the next one is predicted, at most 7.
    """

    def __init__(self, table: ByteTable, row_bytes: float = 1.0, context: int = 6) -> None:
        self.table = table
        self.max_examples = max(int(MAX_BYTES / max(row_bytes, 1.0)), 1)
        self.context = context

    def fit(self, batches: Iterable[Packed]) -> Fitted:
        """The `text` of all rows, and the `lengths` of these; to count sequences in it takes less time than to read."""
        texts, lengths = [], []
        for batch in batches:
            found = self.table.of(batch)
            texts.append(found.values)
            lengths.append(np.bincount(found.rows, minlength=len(batch.ids)))
        text, length = np.concatenate(texts), np.concatenate(lengths)
        return {"text": torch.from_numpy(text), "lengths": torch.from_numpy(length)}

    def predictor(self, fitted: Fitted) -> Predictor:
        """The nats of each row."""
        lengths = fitted["lengths"].numpy()
        rows = np.repeat(np.arange(len(lengths)), lengths)
        orders = _counted(fitted["text"].numpy(), rows, self.context + 1)

        def predict(batch: Packed) -> Tensor:
            text, rows, counts = self.table.of(batch)
            nats = -np.log(_probabilities(text, rows, orders))
            return torch.from_numpy(np.bincount(rows, nats * counts, len(batch.ids)).astype(np.float32))

        return predict


def _before(text: NDArray[np.uint8], rows: Integers) -> Integers:
    """The number of bytes before each that it may be predicted by: back to the row's first, or the last APART."""
    places = np.arange(len(text))
    first = np.where(np.diff(rows, prepend=-1) != 0, places, 0)
    after = np.where(np.concatenate([[0], text[:-1]]) == APART, places - 1, 0)
    return places - np.maximum.accumulate(np.maximum(first, after))


def _sequences(text: NDArray[np.uint8], length: int) -> Keys:
    """The sequence of so many bytes that each byte is the last of."""
    keys = np.zeros(len(text), np.uint64)
    for back in range(min(length, len(text))):
        keys[back:] |= text[: len(text) - back].astype(np.uint64) << np.uint64(8 * back)
    return keys


def _counted(text: NDArray[np.uint8], rows: Integers, longest: int) -> list[Order]:
    """What is known of the sequences of each length, the shortest first.

    Of the longest the occurrences count; of the others how many different bytes are before them, or where there can be
    none, the occurrences.
    """
    before, orders = _before(text, rows), []
    longer: Keys | None = None
    for length in range(longest, 0, -1):
        keys = _sequences(text, length)
        if longer is None:
            keys = keys[before >= length - 1]
        else:
            keys = np.concatenate([keys[before == length - 1], longer & np.uint64(256**length - 1)])
        longer, counts = np.unique(keys, return_counts=True)
        orders.append(_order(longer, counts))
    return orders[::-1]


def _order(sequences: Keys, counts: Integers) -> Order:
    one, two, three, four = (max(int((counts == count).sum()), 1) for count in range(1, 5))
    part = one / (one + 2 * two)
    discounts = np.array([1 - 2 * part * two / one, 2 - 3 * part * three / two, 3 - 4 * part * four / three])
    lost = np.minimum(discounts.clip(0.1)[np.minimum(counts, 3) - 1], counts)  # few counts give no such estimate
    contexts, first = np.unique(sequences >> np.uint64(8), return_index=True)
    sums: list[Any] = [np.add.reduceat(values.astype(np.float64), first) for values in (counts, lost)]
    return Order(sequences, counts - lost, contexts, sums[0], sums[1])


def _probabilities(text: NDArray[np.uint8], rows: Integers, orders: list[Order]) -> NDArray[np.float64]:
    """The probability of each byte, given those before it."""
    before = _before(text, rows)
    found = np.full(len(text), 1 / 256)
    for length, order in enumerate(orders, 1):
        keys = _sequences(text, length)
        place = np.searchsorted(order.contexts, keys >> np.uint64(8)).clip(max=len(order.contexts) - 1)
        known = (before >= length - 1) & (order.contexts[place] == keys >> np.uint64(8))
        at = np.searchsorted(order.sequences, keys).clip(max=len(order.sequences) - 1)
        counts = np.where(order.sequences[at] == keys, order.counts[at], 0.0)
        found = np.where(known, (counts + order.left[place] * found) / order.totals[place], found)
    return found

"""Examples that belong together, so that they are in one split."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits


def groups_of(texts: Iterable[str]) -> NDArray[np.int64]:
    """Which examples have the same text: the number of the text of each, in the order in which they first appear.

    Args:
        texts: of each example; they need not be in memory.
    """
    digests = (xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) for text in texts)
    hashes = np.fromiter(digests, np.uint64)  # a dictionary could be large; the same in every process
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    return first.argsort().argsort()[group]


def split_together(groups: NDArray[np.int64], split: Callable[[Source], Splits]) -> Splits:
    """Splits of examples in which those of a group are together.

    Args:
        groups: the number of each example's.
        split: splits a source, here of the groups.
    """
    group_of = torch.from_numpy(groups)
    parts = split(Source(int(groups.max(initial=-1)) + 1))
    return Splits(*(torch.isin(group_of, part).nonzero().flatten() for part in parts))

"""Examples that belong together, so that they are in one split."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from xxhash import xxh3_64_intdigest

from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits


def split_together(texts: Iterable[str], split: Callable[[Source], Splits]) -> Splits:
    """Splits of examples in which those of equal texts are together.

    Args:
        texts: of each example; they need not be in memory.
        split: splits a source, here of the distinct texts in the order in which they first appear.
    """
    digests = (xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) for text in texts)
    hashes = np.fromiter(digests, np.uint64)  # a dictionary could be large; the same in every process
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    group_of: Tensor = torch.from_numpy(first.argsort().argsort()[group])
    return Splits(*(torch.isin(group_of, part).nonzero().flatten() for part in split(Source(len(first)))))

"""Which examples stand in which split, and in which batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler


class Splits(NamedTuple):
    """Disjoint indices of the examples in each split."""

    train: Tensor
    val: Tensor
    test: Tensor


def generator(*seed: int) -> torch.Generator:
    """A private generator for a tuple of seeds: `(seed, epoch)`, `(seed, step, rank)`.

    The global random state is neither read nor changed.
    """
    mixed = 0
    for part in seed:
        mixed = (mixed * 0x9E3779B97F4A7C15 + part + 1) % 2**63  # golden-ratio hashing: near seeds land far apart
    return torch.Generator().manual_seed(mixed)


def ranges(start: Tensor, length: Tensor) -> Tensor:
    """The numbers `start[i], start[i] + 1, …`, `length[i]` of them, for one i after the other."""
    before = length.cumsum(0) - length
    return torch.arange(int(length.sum())) + torch.repeat_interleave(start - before, length)


def _by_class(index: Tensor, labels: Tensor | None, seed: int) -> Tensor:
    """The indices in random order, one class after the other: dealt out in turn, every hand is stratified."""
    shuffled = index[torch.randperm(len(index), generator=generator(seed))]
    return shuffled if labels is None else shuffled[torch.argsort(labels[shuffled], stable=True)]


def cut(index: Tensor, fraction: float, labels: Tensor | None, seed: int) -> tuple[Tensor, Tensor]:
    """Cut a share off the indices, at random and with the classes' proportions.

    Returns:
        The rest and the share, both in ascending order.
    """
    ordered = _by_class(index, labels, seed)
    steps = (torch.arange(1, len(ordered) + 1, dtype=torch.float64) * fraction + 1e-9).floor()
    taken = steps.diff(prepend=torch.zeros(1, dtype=torch.float64)) > 0
    return ordered[~taken].sort().values, ordered[taken].sort().values


def fold_of(index: Tensor, num_folds: int, fold: int, labels: Tensor | None, seed: int) -> tuple[Tensor, Tensor]:
    """The rest and one of `num_folds` stratified folds, which together cover the indices once."""
    ordered = _by_class(index, labels, seed)
    taken = torch.arange(len(ordered)) % num_folds == fold
    return ordered[~taken].sort().values, ordered[taken].sort().values


class Batches(Sampler[Tensor]):
    """Index tensors, one a batch, in an order that depends only on the seed and the epoch.

    The position comes from the trainer's own progress, which every checkpoint holds: so a resumed run goes on with
    the very batch that the stopped run would have seen next.

    Args:
        size: number of examples.
        batch_size: examples in a batch.
        shuffle: whether each epoch has an order of its own.
        seed: of the order.
        drop_last: leave out an incomplete last batch (training); never an only one.
        position: number of batches that the run has begun; by default the iterations of this object are counted.
        lengths: (size,) of each example; those of like length then share a batch, so that little of it is padding.
    """

    POOL = 50  # batches whose examples are sorted together: enough to waste little, few enough to stay random

    def __init__(
        self,
        size: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        position: Callable[[], int] | None = None,
        lengths: Tensor | None = None,
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last and size >= batch_size
        self.position = position
        self.lengths = lengths
        self.epochs_begun = 0

    def __len__(self) -> int:
        return self.size // self.batch_size if self.drop_last else -(-self.size // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        if self.position is None:
            epoch, done = self.epochs_begun, 0
            self.epochs_begun += 1
        else:
            epoch, done = divmod(self.position(), len(self))
        yield from self._batches(epoch)[done : len(self)]

    def _batches(self, epoch: int) -> Sequence[Tensor]:
        if not self.shuffle:
            order = torch.arange(self.size) if self.lengths is None else torch.argsort(self.lengths, stable=True)
            return order.split(self.batch_size)
        random = generator(self.seed, epoch)
        order = torch.randperm(self.size, generator=random)
        if self.lengths is None:
            return order.split(self.batch_size)
        pools = order.split(self.batch_size * self.POOL)
        order = torch.cat([pool[torch.argsort(self.lengths[pool], stable=True)] for pool in pools])
        batches = order.split(self.batch_size)
        whole = self.size // self.batch_size
        places = [*torch.randperm(whole, generator=random).tolist(), *range(whole, len(batches))]
        return [batches[place] for place in places]  # an incomplete one stays last, where drop_last finds it

"""Which examples stand in which split, and in which batch; and what is drawn at random in a step."""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler

T = TypeVar("T")


class Splits(NamedTuple):
    """Disjoint indices of the examples in each split."""

    train: Tensor
    val: Tensor
    test: Tensor


def chosen(rows: Iterable[T], index: Tensor) -> Iterator[T]:
    """The rows at some positions, in ascending order; they are gone through, and need not be in memory."""
    marks = torch.zeros(int(index.max()) + 1 if len(index) else 0, dtype=torch.bool)
    return compress(rows, marks.index_fill_(0, index, True).numpy())


def mixed(*seed: int) -> int:
    """One seed for several, such as `(seed, epoch)`: near ones land far apart."""
    number = 0
    for part in seed:
        number = (number * 0x9E3779B97F4A7C15 + part + 1) % 2**63  # golden-ratio hashing
    return number


def generator(*seed: int) -> torch.Generator:
    """A private generator; the global random state is neither read nor changed."""
    return torch.Generator().manual_seed(mixed(*seed))


def seed_globally(*seed: int) -> None:
    """Make what is drawn from here on depend on these seeds alone: dropout, noise, augmentation."""
    number = mixed(*seed)
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


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


def check_shard_sizes(size: int, batch_size: int, world_size: int) -> None:
    """Refuse batches of which some process would have nothing.

    Raises:
        ValueError: there are fewer examples, or fewer in a batch, than processes.
    """
    if min(size, batch_size) < world_size:
        raise ValueError(
            f"{min(size, batch_size)} examples in a batch cannot be shared by {world_size} processes; "
            f"expected at least one for each"
        )


class ClassBalancedSampler:
    """Which examples an epoch has, so that every class is in it equally often; drawn anew for each epoch.

    Of a class that is to be in it more often than it has examples, each is repeated equally often, give or take one.

    Args:
        labels: (N,) class of each example.
        quota: examples of each class in an epoch: its own number or fewer, which leaves some out, or more.
        seed: of what is drawn. Members of an ensemble that are each to see another part of the larger classes have
            one each.
    """

    def __init__(self, labels: Tensor, quota: int, seed: int = 0) -> None:
        order = torch.argsort(labels, stable=True)
        self.rows = order.split(torch.bincount(labels).tolist())  # of each class
        self.quota = quota
        self.seed = seed

    def __len__(self) -> int:
        return self.quota * len(self.rows)

    def __call__(self, epoch: int) -> Tensor:
        """The positions of the epoch's examples, class by class."""
        random = generator(self.seed, epoch, 1)  # not what the order is drawn by
        places = torch.arange(self.quota)
        return torch.cat([rows[torch.randperm(len(rows), generator=random)[places % len(rows)]] for rows in self.rows])


class Position(NamedTuple):
    """How far a run is.

    Args:
        begun: batches, over all epochs.
        limit: batches that each epoch has, if they are fewer than there are: the first ones of its own order.
    """

    begun: int
    limit: float = math.inf


class Batches(Sampler[Tensor]):
    """Index tensors, one a batch, in an order that depends only on the seed and the epoch.

    The position comes from the trainer's own progress, which every checkpoint holds: so a resumed run goes on with
    the very batch that the stopped run would have seen next. Several processes share each batch: it is dealt out to
    them example by example, so that together they see what one process would.

    Args:
        size: number of examples.
        batch_size: examples in a batch, of all processes together.
        shuffle: whether each epoch has an order of its own.
        seed: of the order.
        drop_last: leave out an incomplete last batch (training); never an only one.
        position: how far the run is; by default the iterations of this object are counted.
        lengths: (size,) of each example; those of like length then share a batch, so that little of it is padding.
        even: which examples each epoch has; by default each of them once.
        rank: this process's number.
        world_size: number of processes.

    Raises:
        ValueError: there are fewer examples, or fewer in a batch, than processes.
    """

    POOL = 50  # batches whose examples are sorted together: enough to waste little, few enough to stay random

    def __init__(
        self,
        size: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        position: Callable[[], Position] | None = None,
        lengths: Tensor | None = None,
        even: ClassBalancedSampler | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        size = size if even is None else len(even)
        check_shard_sizes(size, batch_size, world_size)
        self.size = size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last and size >= batch_size
        self.position = position
        self.lengths = lengths
        self.even = even
        self.rank = rank
        self.world_size = world_size
        self.epochs_begun = 0

    def __len__(self) -> int:
        whole, left = divmod(self.size, self.batch_size)
        return whole + (left > self.rank and not self.drop_last)

    def __iter__(self) -> Iterator[Tensor]:
        if self.position is None:
            epoch, done, end = self.epochs_begun, 0, len(self)
            self.epochs_begun += 1
        else:
            begun, limit = self.position()
            end = int(min(limit, len(self)))
            epoch, done = divmod(begun, end)
        for batch in self._batches(epoch)[done:end]:
            yield batch[self.rank :: self.world_size]

    def _batches(self, epoch: int) -> Sequence[Tensor]:
        if not self.shuffle:
            order = torch.arange(self.size) if self.lengths is None else torch.argsort(self.lengths, stable=True)
            return order.split(self.batch_size)
        random = generator(self.seed, epoch)
        order = torch.randperm(self.size, generator=random)
        if self.even is not None:
            order = self.even(epoch)[order]
        if self.lengths is None:
            return order.split(self.batch_size)
        pools = order.split(self.batch_size * self.POOL)
        order = torch.cat([pool[torch.argsort(self.lengths[pool], stable=True)] for pool in pools])
        batches = order.split(self.batch_size)
        whole = self.size // self.batch_size
        places = [*torch.randperm(whole, generator=random).tolist(), *range(whole, len(batches))]
        return [batches[place] for place in places]  # an incomplete one stays last, where drop_last finds it


class OrderedBatches(Batches, SequentialSampler):  # type: ignore[misc]  # whose indices are single numbers
    """Batches in one order, which Lightning, told to overfit some, knows by this type: others it would replace."""

"""The assignment of examples to splits and batches, and the seeds of everything random in a step."""

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
LARGE_PART = 0.1  # of the examples of an epoch
EPOCH_STEPS = 10  # that a batch size which nobody has chosen leaves an epoch


class Splits(NamedTuple):
    """Disjoint indices of the examples in each split."""

    train: Tensor
    val: Tensor
    test: Tensor


def chosen(rows: Iterable[T], index: Tensor) -> Iterator[T]:
    """The rows at some positions, in ascending order; the rows are iterated over, and need not be in memory."""
    marks = torch.zeros(int(index.max()) + 1 if len(index) else 0, dtype=torch.bool)
    return compress(rows, marks.index_fill_(0, index, True).numpy())


def mixed(*seed: int) -> int:
    """One seed for several, such as `(seed, epoch)`: similar ones are mapped far apart."""
    seed_of_all = 0
    for part in seed:
        seed_of_all = (seed_of_all * 0x9E3779B97F4A7C15 + part + 1) % 2**63  # golden-ratio hashing
    return seed_of_all


def generator(*seed: int) -> torch.Generator:
    """A new generator; the global random state is neither read nor changed."""
    return torch.Generator().manual_seed(mixed(*seed))


def seed_globally(*seed: int) -> None:
    """Seed all global generators: those of dropout, noise and augmentation."""
    combined = mixed(*seed)
    random.seed(combined)
    np.random.seed(combined % 2**32)
    torch.default_generator.manual_seed(combined)  # torch.manual_seed takes 0.7 ms where no GPU is in use
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(combined)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(combined)


def ranges(start: Tensor, length: Tensor) -> Tensor:
    """The concatenated ranges `start[i], …, start[i] + length[i] - 1`."""
    before = length.cumsum(0) - length
    return torch.arange(int(length.sum()), device=length.device) + torch.repeat_interleave(start - before, length)


def ascending(index: Tensor) -> Tensor:
    """Indices in ascending order, which are counted: a tenth of the time of sorting them."""
    counts = torch.bincount(index)
    return torch.repeat_interleave(torch.arange(len(counts)), counts)


def _by_class(index: Tensor, labels: Tensor | None, seed: int) -> Tensor:
    """The indices in random order, sorted by class: every n-th of them is a stratified sample."""
    shuffled = index[torch.randperm(len(index), generator=generator(seed))]
    return shuffled if labels is None else shuffled[_stable_order(labels[shuffled])]


def _stable_order(labels: Tensor) -> Tensor:
    """The order that sorts labels, and leaves equal ones as they are."""
    whole = len(labels) and not labels.is_floating_point()
    if whole and labels.min() >= 0 and labels.max() <= np.iinfo(np.uint16).max:
        labels_16 = labels.numpy().astype(np.uint16)  # which NumPy sorts by counting, in a tenth of the time
        return torch.from_numpy(np.argsort(labels_16, kind="stable"))
    return torch.argsort(labels, stable=True)


def _except_last(taken: Tensor, ordered: Tensor, labels: Tensor | None) -> Tensor:
    """Which of the indices are taken, where no class may be taken as a whole; sorted by class."""
    if labels is None or not taken.any():
        return taken
    ends = torch.cat([labels[ordered].diff().nonzero()[:, 0] + 1, torch.tensor([len(ordered)])])  # of each class
    of_class = taken.cumsum(0)[ends - 1].diff(prepend=torch.tensor([0]))
    whole = of_class == ends.diff(prepend=torch.tensor([0]))
    return taken.index_fill(0, ends[whole] - 1, False)


def cut(index: Tensor, fraction: float, labels: Tensor | None, seed: int) -> tuple[Tensor, Tensor]:
    """Split a fraction off the indices, at random and stratified by class; of each class at least one stays.

    Returns:
        The rest and the fraction, both in ascending order.
    """
    ordered = _by_class(index, labels, seed)
    steps = torch.arange(len(ordered) + 1, dtype=torch.float64).mul_(fraction).add_(1e-9).floor_()
    taken = _except_last(steps[1:] > steps[:-1], ordered, labels)
    return ascending(ordered[~taken]), ascending(ordered[taken])


def sample(index: Tensor, size: int, labels: Tensor | None = None) -> Tensor:
    """At most so many of the indices, in ascending order, always the same; stratified by class, with each class in it.

    Args:
        index: (N,)
        size: maximum number; a few more where there are more classes than that.
        labels: (N,) class of each.
    """
    if len(index) <= size:
        return index
    ordered = _by_class(torch.arange(len(index)), labels, seed=0)
    taken = ordered[torch.arange(size) * len(index) // size]
    if labels is not None:
        classes = labels[ordered]
        first = torch.cat([torch.ones(1, dtype=torch.bool), classes.diff() != 0])  # of each class
        taken = torch.cat([taken, ordered[first & ~torch.isin(classes, labels[taken])]])
    return index[taken.sort().values]


def fold_of(index: Tensor, num_folds: int, fold: int, labels: Tensor | None, seed: int) -> tuple[Tensor, Tensor]:
    """The rest and one of `num_folds` stratified folds, which together cover the indices once.

    A class that would have all of its examples in one fold keeps one of them in the rest, and it is in no fold.
    """
    ordered = _by_class(index, labels, seed)
    taken = _except_last(torch.arange(len(ordered)) % num_folds == fold, ordered, labels)
    return ascending(ordered[~taken]), ascending(ordered[taken])


def check_shard_sizes(size: int, batch_size: int, world_size: int) -> None:
    """Refuse batches of which some process would get no example.

    Raises:
        ValueError: there are fewer examples, or fewer in a batch, than processes.
    """
    if min(size, batch_size) < world_size:
        raise ValueError(
            f"{min(size, batch_size)} examples in a batch cannot be sharded to {world_size} processes; "
            f"expected at least one for each"
        )


class ClassBalancedSampler:
    """Samples the examples of an epoch so that every class is equally frequent; sampled again for each epoch.

    A class with fewer examples than its quota has each of them repeated equally often, give or take one.

    Args:
        labels: (N,) class of each example.
        quota: number of examples of each class in an epoch.
        seed: of the sampling. Members of an ensemble that are each to see another part of the larger classes have
            different ones.
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
        random = generator(self.seed, epoch, 1)  # not that of the order
        places = torch.arange(self.quota)
        return torch.cat([rows[torch.randperm(len(rows), generator=random)[places % len(rows)]] for rows in self.rows])


class Position(NamedTuple):
    """How far a run is.

    Args:
        begun: number of batches begun, over all epochs.
        limit: maximum number of batches in each epoch: the first ones of its order.
    """

    begun: int
    limit: float = math.inf


class Batches(Sampler[Tensor]):
    """Index tensors, one for each batch, in an order that depends only on the seed and the epoch.

    The position comes from the trainer's own progress, which every checkpoint contains: so a resumed run continues
    with the batch that the stopped run would have seen next. Each batch is sharded to the processes example by example,
    so that together they see what one process would.

    Args:
        size: number of examples.
        batch_size: examples in a batch, of all processes together.
        shuffle: whether each epoch has an order of its own.
        seed: of the order.
        drop_last: drop an incomplete last batch (training), unless it is the only one, or a LARGE_PART of the examples.
        keep_large: whether such a part is kept; earlier versions dropped it.
        position: gives the position of the run; by default the iterations over this object are counted.
        lengths: (size,) of each example; those of similar length then share a batch, for little padding.
        clusters: (size,) cluster of each example; when shuffled, batches then consist of clusters in random order, and
            processes have different ones.
        pooled: without shuffling, sort by length within pools of POOL batches, and not all examples: so what has to be
            in the order of the examples again waits for no more than a pool.
        balanced: the examples of each epoch; by default each of them once.
        rank: of this process.
        world_size: number of processes.

    Raises:
        ValueError: there are fewer examples, or fewer in a batch, than processes.
    """

    POOL = 50  # batches whose examples are sorted together: enough for little padding, few enough to stay random

    def __init__(
        self,
        size: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        keep_large: bool = True,
        position: Callable[[], Position] | None = None,
        lengths: Tensor | None = None,
        clusters: Tensor | None = None,
        pooled: bool = False,
        balanced: ClassBalancedSampler | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        size = size if balanced is None else len(balanced)
        check_shard_sizes(size, batch_size, world_size)
        self.size = size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        left = size % batch_size
        # Half a batch has two examples for each process, which batch norms need, but for the smallest batches.
        is_large = keep_large and left >= max(LARGE_PART * size, batch_size / 2, 2 * world_size)
        self.drop_last = drop_last and size >= batch_size and not is_large
        self.position = position
        self.lengths = lengths
        self.clusters = clusters if shuffle else None
        self.pooled = pooled
        self.balanced = balanced
        self.rank = rank
        self.world_size = world_size
        self.epochs_begun = 0

    def __len__(self) -> int:
        full, left = divmod(self.size, self.batch_size)
        return full + (left > self.rank and not self.drop_last)

    def __iter__(self) -> Iterator[Tensor]:
        if self.position is None:
            epoch, done, end = self.epochs_begun, 0, len(self)
            self.epochs_begun += 1
        else:
            begun, limit = self.position()
            end = int(min(limit, len(self)))
            epoch, done = divmod(begun, end)
        for batch in self.of_all_processes(epoch)[done:end]:
            yield self._shard(batch)

    def _shard(self, batch: Tensor) -> Tensor:
        if self.clusters is not None:
            return batch.tensor_split(self.world_size)[self.rank]  # as many as below
        return batch[self.rank :: self.world_size]

    def shards(self) -> list[Tensor]:
        """The positions of this process's examples in each batch of the first epoch."""
        return [self._shard(batch) for batch in self.of_all_processes(0)[: len(self)]]

    def of_all_processes(self, epoch: int) -> Sequence[Tensor]:
        """The positions of all examples in each batch of an epoch, before they are sharded."""
        random = generator(self.seed, epoch)
        order = torch.randperm(self.size, generator=random) if self.shuffle else torch.arange(self.size)
        if self.balanced is not None:
            order = self.balanced(epoch)[order]
        if self.clusters is not None:
            order_of_clusters = torch.randperm(int(self.clusters.max()) + 1, generator=random)
            order = order[torch.argsort(order_of_clusters[self.clusters[order]], stable=True)]
        if self.lengths is None:
            return order.split(self.batch_size)
        pools = order.split(self.batch_size * self.POOL) if self.shuffle or self.pooled else [order]
        order = torch.cat([pool[torch.argsort(self.lengths[pool], stable=True)] for pool in pools])
        batches = order.split(self.batch_size)
        if not self.shuffle:
            return batches
        full = self.size // self.batch_size
        order_of_batches = [*torch.randperm(full, generator=random).tolist(), *range(full, len(batches))]
        return [batches[index] for index in order_of_batches]  # an incomplete one stays last, for drop_last


class OrderedBatches(Batches, SequentialSampler):  # type: ignore[misc]  # whose indices are integers
    """Batches in one order, which Lightning recognises by this type when it overfits some: others it would replace."""

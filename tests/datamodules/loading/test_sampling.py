import math
import random
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.loading.sampling import (
    Batches,
    ClassBalancedSampler,
    Position,
    ascending,
    cut,
    fold_of,
    generator,
    mixed,
    sample,
    seed_globally,
)

LABELS = torch.tensor([0] * 50 + [1] * 31 + [2] * 7 + [3] * 2)
INDEX = torch.arange(100, 190)  # not the positions themselves: labels belong to the data set, a cut may begin anywhere
ALL_LABELS = torch.cat([torch.full((100,), 9), LABELS])


def orders(size: int = 10, epochs: int = 3, **options: Any) -> list[list[int]]:
    batches = Batches(size, batch_size=3, shuffle=True, **options)
    return [torch.cat(list(batches)).tolist() for _ in range(epochs)]


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("labels", [None, ALL_LABELS])
def test_a_cut_is_disjoint_whole_and_of_the_size_asked_for(fraction: float, labels: torch.Tensor | None) -> None:
    rest, share = cut(INDEX, fraction, labels, seed=0)
    assert torch.equal(torch.cat([rest, share]).sort().values, INDEX)
    kept = 2 if labels is not None and fraction == 0.9 else 0  # of the two smallest classes, which would go as a whole
    assert len(share) == int(len(INDEX) * fraction + 1e-9) - kept


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_of_each_class_an_example_stays_for_training(size: int, seed: int) -> None:
    labels = torch.cat([torch.zeros(20, dtype=torch.long), torch.arange(1, 31).repeat_interleave(size)])
    index = torch.arange(len(labels))
    rest, _ = cut(cut(index, 0.4, labels, seed)[0], 0.4, labels, seed + 1)
    assert labels[rest].unique().tolist() == list(range(31))
    for fold in range(4):
        assert labels[fold_of(index, 4, fold, labels, seed)[0]].unique().tolist() == list(range(31))


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2, 1 / 3, 0.5, 0.9])
def test_a_cut_takes_its_share_of_every_class_to_within_one_example(fraction: float) -> None:
    _, share = cut(INDEX, fraction, ALL_LABELS, seed=0)
    taken = torch.bincount(ALL_LABELS[share], minlength=4)[:4]
    assert ((taken - torch.bincount(LABELS) * fraction).abs() < 1).all()


def test_a_cut_is_the_same_whatever_the_global_seeds_and_leaves_them_alone() -> None:
    cuts = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        cuts.append(cut(INDEX, 0.2, ALL_LABELS, seed=5)[1])
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*cuts)
    assert not torch.equal(cut(INDEX, 0.2, ALL_LABELS, seed=6)[1], cuts[0])


@pytest.mark.parametrize("num_folds", [2, 3, 7])
def test_folds_cover_everything_once_and_share_out_every_class(num_folds: int) -> None:
    folds = [fold_of(INDEX, num_folds, fold, ALL_LABELS, seed=0) for fold in range(num_folds)]
    assert torch.equal(torch.cat([share for _, share in folds]).sort().values, INDEX)
    for rest, share in folds:
        assert torch.equal(torch.cat([rest, share]).sort().values, INDEX)
    counts = torch.stack([torch.bincount(ALL_LABELS[share], minlength=4)[:4] for _, share in folds])
    assert (counts.max(0).values - counts.min(0).values <= 1).all()


def test_near_seeds_have_nothing_in_common() -> None:
    seeds = [(seed, epoch) for seed in range(20) for epoch in range(20)]
    drawn = torch.stack([torch.rand(50, generator=generator(*seed)) for seed in seeds])
    correlation = torch.corrcoef(drawn).fill_diagonal_(0)
    assert correlation.abs().max() < 0.75  # 80,000 pairs of 50 independent numbers: 5.3 standard deviations


def test_each_epoch_and_each_seed_has_an_order_of_its_own_that_holds_everything_once() -> None:
    found = [tuple(order) for seed in range(5) for order in orders(size=30, seed=seed, epochs=5)]
    assert len(set(found)) == 25
    assert all(sorted(order) == list(range(30)) for order in found)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    torch.manual_seed(1)
    first = orders(seed=3)
    torch.manual_seed(2)
    assert orders(seed=3) == first


@pytest.mark.parametrize("drop_last", [True, False])
def test_batches_go_on_where_the_position_says(drop_last: bool) -> None:
    options: dict[str, Any] = {"size": 10, "batch_size": 3, "shuffle": True, "seed": 1, "drop_last": drop_last}
    whole = Batches(**options)
    per_epoch = len(whole)
    epochs = [[batch.tolist() for batch in whole] for _ in range(3)]
    for begun in range(3 * per_epoch):
        epoch, done = divmod(begun, per_epoch)
        resumed = Batches(**options, position=partial(Position, begun))
        assert [batch.tolist() for batch in resumed] == epochs[epoch][done:]


@pytest.mark.parametrize(
    ("size", "drop_last", "sizes"),
    [(10, False, [4, 4, 2]), (10, True, [4, 4]), (8, True, [4, 4]), (3, True, [3]), (3, False, [3])],
)
def test_only_an_incomplete_last_batch_is_dropped_and_never_the_only_one(
    size: int, drop_last: bool, sizes: list[int]
) -> None:
    batches = Batches(size, batch_size=4, shuffle=True, drop_last=drop_last, keep_large=False)
    assert [len(batch) for batch in batches] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize(
    ("size", "processes", "last"),
    [(11, 1, 3), (10, 1, 2), (9, 1, 4), (11, 2, 4), (4 * 10 + 3, 1, 4), (4 * 5 + 3, 1, 3), (12, 1, 4)],
)
def test_an_incomplete_last_batch_that_is_a_large_part_is_kept(size: int, processes: int, last: int) -> None:
    """Of 9, one is left, of which batch norms have no variance; 3 of two processes are 1 of one; of 43, 3 are few."""
    shards = [
        [len(batch) for batch in Batches(size, 4, True, drop_last=True, rank=rank, world_size=processes)]
        for rank in range(processes)
    ]
    assert sum(shard[-1] for shard in shards) == last
    assert len({len(shard) for shard in shards}) == 1


def test_without_shuffling_the_order_is_kept() -> None:
    assert torch.equal(torch.cat(list(Batches(10, batch_size=3))), torch.arange(10))


@pytest.mark.parametrize("size", [1, 7, 200, 201, 1003])
def test_pools_are_sorted_by_length_and_follow_one_another(size: int) -> None:
    lengths = torch.randint(2, 60, (size,), generator=torch.Generator().manual_seed(0))
    batches = list(Batches(size, batch_size=4, lengths=lengths, pooled=True))
    pools = torch.cat(batches).split(4 * Batches.POOL)
    for start, pool in zip(range(0, size, 4 * Batches.POOL), pools, strict=True):
        assert torch.equal(pool.sort().values, torch.arange(start, start + len(pool)))
        assert (lengths[pool].diff() >= 0).all()
    if size >= 200:
        padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
        assert padded < 1.1 * int(lengths.sum()) < sum(int(part.max()) * len(part) for part in lengths.split(4))


@pytest.mark.parametrize("quota", [1, 2, 7, 31, 50, 75])
def test_a_balanced_epoch_has_its_quota_of_each_class_with_minimal_repetition(quota: int) -> None:
    sampler = ClassBalancedSampler(LABELS, quota)
    for epoch in range(3):
        chosen = sampler(epoch)
        assert len(chosen) == len(sampler) == 4 * quota
        assert torch.bincount(LABELS[chosen]).tolist() == [quota] * 4
        times = torch.bincount(chosen, minlength=len(LABELS))
        for label, size in enumerate(torch.bincount(LABELS).tolist()):
            of_class = times[label == LABELS]
            assert of_class.min() == quota // size
            assert of_class.max() == -(-quota // size)


def test_each_epoch_and_each_seed_leaves_out_other_examples() -> None:
    found = {
        tuple(sorted(ClassBalancedSampler(LABELS, 2, seed)(epoch).tolist())) for seed in range(3) for epoch in range(3)
    }
    assert len(found) == 9
    assert torch.equal(ClassBalancedSampler(LABELS, 2, 1)(4), ClassBalancedSampler(LABELS, 2, 1)(4))
    seen = torch.cat([ClassBalancedSampler(LABELS, 7)(epoch) for epoch in range(60)])
    assert len(seen.unique()) == len(LABELS)


@pytest.mark.parametrize("quota", [5, 60])
def test_balanced_batches_resume_at_the_position_and_are_sharded_completely(quota: int) -> None:
    lengths = torch.arange(len(LABELS)) % 11
    options: dict[str, Any] = {
        "size": len(LABELS), "batch_size": 6, "shuffle": True, "seed": 1, "drop_last": True, "lengths": lengths,
        "balanced": ClassBalancedSampler(LABELS, quota, seed=1),
    }  # fmt: skip
    whole = Batches(**options)
    per_epoch = len(whole)
    assert per_epoch == 4 * quota // 6
    batches = [batch.tolist() for _ in range(2) for batch in whole]
    assert len(batches) == 2 * per_epoch
    for begun in range(2 * per_epoch):
        position = partial(Position, begun)
        parts = [Batches(**options, position=position, rank=rank, world_size=2) for rank in (0, 1)]
        end = (begun // per_epoch + 1) * per_epoch
        for expected, one, other in zip(batches[begun:end], *parts, strict=True):
            assert one.tolist() == expected[::2]
            assert other.tolist() == expected[1::2]


@pytest.mark.parametrize("limit", [1, 5, 11, 12, 20])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_limited_epoch_has_the_first_batches_of_its_own_order(limit: int, world_size: int) -> None:
    options: dict[str, Any] = {"size": 49, "batch_size": 4, "shuffle": True, "seed": 1, "drop_last": True}
    unlimited = Batches(**options)
    for epoch in range(3):
        expected = [batch.tolist() for batch in unlimited][:limit]
        for done in range(len(expected)):
            position = partial(Position, epoch * len(expected) + done, limit)
            parts = [
                list(Batches(**options, position=position, rank=rank, world_size=world_size))
                for rank in range(world_size)
            ]
            assert [len(part) for part in parts] == [len(expected) - done] * world_size
            for batch, shards in zip(expected[done:], zip(*parts, strict=True), strict=True):
                assert sorted(torch.cat(shards).tolist()) == sorted(batch)


def test_a_sample_is_stratified_and_has_every_class() -> None:
    labels = torch.tensor([0] * 8000 + [1] * 1990 + [2] * 10)[torch.randperm(10_000, generator=generator(5))]
    index = torch.arange(10_000) * 3
    taken = sample(index, 500, labels)
    counts = torch.bincount(labels[taken // 3], minlength=3)
    assert len(taken.unique()) == len(taken) <= 501
    assert torch.equal(taken, taken.sort().values)
    assert counts[0] == pytest.approx(400, abs=2)
    assert counts[1] == pytest.approx(100, abs=2)
    assert counts[2] >= 1
    assert torch.equal(taken, sample(index, 500, labels))
    assert len(sample(index, 500)) == 500
    assert torch.equal(sample(index, 10_000), index)


def test_a_seed_sets_all_generators_as_torch_does() -> None:
    seed_globally(3, 4)
    found = torch.rand(5), np.random.rand(), random.random()
    torch.manual_seed(mixed(3, 4))
    np.random.seed(mixed(3, 4) % 2**32)
    random.seed(mixed(3, 4))
    assert torch.equal(found[0], torch.rand(5))
    assert found[1:] == (np.random.rand(), random.random())


def slow_halves(index: Tensor, taken: Tensor, ordered: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is taken, but for a last example of each class, in the plainest way."""
    taken = taken.clone()
    if labels is not None:
        for label in labels[index].unique():
            of_class = labels[ordered] == label
            if taken[of_class].all():
                taken[of_class.nonzero()[-1]] = False
    return ordered[~taken].sort().values, ordered[taken].sort().values


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [None, ALL_LABELS, ALL_LABELS * 10**6, -ALL_LABELS, ALL_LABELS / 4])
def test_splits_are_those_of_sorting(labels: Tensor | None, seed: int) -> None:
    index = INDEX.flip(0)
    ordered = index[torch.randperm(len(index), generator=generator(seed))]
    if labels is not None:
        ordered = ordered[torch.argsort(labels[ordered], stable=True)]
    for fraction in (0.001, 0.1, 0.5, 0.97):
        steps = torch.tensor([math.floor(place * fraction + 1e-9) for place in range(len(index) + 1)])
        expected = slow_halves(index, steps[1:] > steps[:-1], ordered, labels)
        assert all(map(torch.equal, cut(index, fraction, labels, seed), expected))
    for fold in range(3):
        expected = slow_halves(index, torch.arange(len(index)) % 3 == fold, ordered, labels)
        assert all(map(torch.equal, fold_of(index, 3, fold, labels, seed), expected))


@pytest.mark.parametrize("index", [[], [3], [5, 0, 2], [4, 4, 1]])
def test_indices_are_sorted_by_counting_them(index: list[int]) -> None:
    assert ascending(torch.tensor(index, dtype=torch.long)).tolist() == sorted(index)

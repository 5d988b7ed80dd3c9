from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from datamodules.loading.adjacency import csr, normalised, normalised_adjacency, rows_of, undirected
from datamodules.loading.neighbourhoods import ALL, Neighbourhoods, sampled_without_replacement

SIZE = 60


@pytest.fixture(scope="module")
def adjacency() -> Any:
    """A graph with a hub, and a last node without neighbours."""
    draw = np.random.default_rng(0)
    pairs = draw.integers(0, SIZE - 1, (90, 2))
    hub = np.stack([np.zeros(30, np.int64), draw.permutation(np.arange(1, SIZE - 1))[:30]], 1)
    return undirected(np.concatenate([pairs, hub]), SIZE)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.randn(SIZE, 4, generator=torch.Generator().manual_seed(0))


def test_the_whole_matrix_is_normalised_as_one_of_edges_is(adjacency: Any) -> None:
    edges = torch.from_numpy(np.stack(adjacency.nonzero()).astype(np.int64))
    found, expected = normalised(adjacency), normalised_adjacency(edges, SIZE)
    for part in ("crow_indices", "col_indices", "values"):
        assert torch.equal(getattr(found, part)(), getattr(expected, part)())


def test_some_rows_of_a_matrix() -> None:
    matrix, rows = sp.random(9, 5, density=0.4, random_state=0, format="csr"), torch.tensor([7, 0, 7, 3])
    for found in (rows_of(csr(matrix), rows).to_dense(), rows_of(torch.from_numpy(matrix.toarray()).float(), rows)):
        torch.testing.assert_close(found, torch.from_numpy(matrix.toarray()[rows.numpy()]).float())


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_with_all_neighbours_everything_within_reach_is_there_with_its_weight(
    hops: int, adjacency: Any, x: Tensor
) -> None:
    seeds = torch.tensor([5, SIZE - 1, 9, 5])
    found = Neighbourhoods(x, adjacency).around(seeds, [ALL] * hops)
    dense = torch.from_numpy(adjacency.toarray()) > 0
    reach = [torch.zeros(SIZE, dtype=torch.bool).index_fill_(0, seeds, True)]
    for _ in range(hops):
        reach.append(reach[-1] | dense[reach[-1]].any(0))
    assert torch.equal(found.ids[found.nodes], seeds)
    assert found.ids.sort().values.tolist() == reach[-1].nonzero()[:, 0].tolist()
    assert torch.equal(found.x, x[found.ids])
    edges = {(int(source), int(target)) for source, target in found.ids[found.edge_index].T}
    assert edges == {(s, t) for t in reach[-2].nonzero()[:, 0].tolist() for s in dense[t].nonzero()[:, 0].tolist()}
    assert found.edge_index.shape[1] == len(edges)
    inner = reach[-2][found.ids]
    weights = torch.zeros(len(inner), SIZE)
    weights[:, found.ids] = found.adjacency.to_dense()
    torch.testing.assert_close(weights[inner], normalised(adjacency).to_dense()[found.ids[inner]])
    assert not weights[~inner].any()


def test_no_more_neighbours_are_sampled_than_asked_for_and_each_once(adjacency: Any, x: Tensor) -> None:
    torch.manual_seed(0)
    source = Neighbourhoods(x, adjacency)
    degree = torch.from_numpy(adjacency.sum(1)).long().flatten()
    for _ in range(20):
        found = source.around(torch.tensor([0, 5]), [3, 2])
        edges = found.ids[found.edge_index]
        assert len(edges.unique(dim=1).T) == len(edges.T)
        assert adjacency.toarray()[edges[0].numpy(), edges[1].numpy()].all()
        taken = torch.bincount(edges[1], minlength=SIZE)
        first = torch.tensor([0, 5])
        second = found.ids[2 : 2 + len(edges[0][torch.isin(edges[1], first)].unique())]
        assert taken[first].tolist() == degree[first].clamp(max=3).tolist()
        second = second[~torch.isin(second, first)]
        assert (taken[second] <= degree[second].clamp(max=2)).all()
        assert taken.sum() <= 6 + 6 * 2


def test_a_sum_over_sampled_neighbours_is_that_over_all_in_expectation(adjacency: Any, x: Tensor) -> None:
    torch.manual_seed(0)
    source, seeds = Neighbourhoods(x, adjacency), torch.arange(SIZE)
    sums = torch.zeros_like(x)
    for _ in range(4000):
        found = source.around(seeds, [2])
        sums += (found.adjacency @ found.x)[found.nodes]
    expected = normalised(adjacency) @ x
    torch.testing.assert_close(sums / 4000, expected, atol=0.08, rtol=0)  # of the hub's, four standard deviations
    alone = source.around(seeds, [2])
    assert not torch.allclose((alone.adjacency @ alone.x)[alone.nodes], expected, atol=0.1)


def test_each_set_without_repetition_is_equally_probable() -> None:
    torch.manual_seed(0)
    found = sampled_without_replacement(torch.full((30_000,), 5), 3).sort(1).values
    sets, counts = found.unique(dim=0, return_counts=True)
    assert (sets.diff(dim=1) > 0).all()
    assert len(sets) == 10
    assert counts.min() > 2850  # 3000 expected, with a standard deviation of 52
    assert counts.max() < 3150
    many = sampled_without_replacement(torch.tensor([3, 10**9]), 3)
    assert many[0].sort().values.tolist() == [0, 1, 2]
    assert 0 <= many[1].min() <= many[1].max() < 10**9

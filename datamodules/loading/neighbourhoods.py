"""The part of a large graph that a batch reads: all neighbours of its nodes, some sampled at random, or a cluster."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import ReferenceType, ref

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.loading.adjacency import rows_of
from datamodules.loading.sampling import ranges

ALL = -1  # neighbours


class Neighbourhood(NamedTuple):
    """Some nodes of a graph, those around them, and the edges that lead to them.

    Args:
        x: (N, F) features, as the graph's are.
        edge_index: (2, E), from neighbours to nodes, without loops.
        adjacency: (N, N) sparse CSR, normalised by the degrees in the whole graph, or in a part of it that is all that
            is read; no values in the rows of nodes whose neighbours are not needed. The sum over sampled neighbours is
            that over all of them in expectation.
        nodes: (B,) indices of those that it is around.
        ids: (N,) index of each node in the whole graph.
    """

    x: Tensor
    edge_index: Tensor
    adjacency: Tensor
    nodes: Tensor
    ids: Tensor


class Neighbourhoods:
    """A graph in which the neighbourhoods of nodes are found.

    Neighbours are sampled as in GraphSAGE, Hamilton et al. 2017, https://arxiv.org/abs/1706.02216.

    Args:
        x: (N, F) features, dense or sparse CSR.
        adjacency: scipy (N, N) CSR, symmetric, of ones and zeros, without loops.
    """

    def __init__(self, x: Tensor, adjacency: Any) -> None:
        self.x = x
        self.start = torch.from_numpy(adjacency.indptr.astype(np.int64))
        self.neighbours = torch.from_numpy(adjacency.indices)  # of 32 bits where these suffice: half the memory
        self.scale = (self.start.diff() + 1).float().rsqrt()
        self._whole: list[ReferenceType[Tensor]] = []

    def __getstate__(self) -> dict[str, Any]:
        """All but the references, which no other process can follow."""
        return {**vars(self), "_whole": []}

    @property
    def size(self) -> int:
        """N"""
        return len(self.scale)

    def around(self, nodes: Tensor, num_neighbors: Sequence[int]) -> Neighbourhood:
        """The nodes, their neighbours, the neighbours of these, and so on.

        Args:
            nodes: (B,) indices, which may repeat.
            num_neighbors: for each step away from the nodes, how many neighbours of a node are sampled; ALL takes all.
        """
        place = torch.full((self.size,), -1)  # of each node of the graph in the neighbourhood
        found, frontier = [], nodes.unique()
        degrees, columns, weights = [], [], []
        size = 0
        for count in (*num_neighbors, None):
            place[frontier] = torch.arange(size, size + len(frontier))
            found.append(frontier)
            size += len(frontier)
            if count is None:
                break
            taken, neighbours, weight = self._neighbours(frontier, count)
            degrees.append(taken)
            columns.append(neighbours)
            weights.append(weight)
            new = torch.zeros(len(place), dtype=torch.bool)
            new[neighbours] = True
            frontier = (new & (place < 0)).nonzero()[:, 0]
        ids, degree = torch.cat(found), torch.cat(degrees)
        edges = torch.stack([place[torch.cat(columns)], torch.arange(len(degree)).repeat_interleave(degree)])
        adjacency = with_diagonal(edges[0], torch.cat(weights), degree, self.scale[ids[: len(degree)]].square(), size)
        return Neighbourhood(rows_of(self.x, ids), edges, adjacency, place[nodes], ids)

    def around_all(self, nodes: Tensor) -> Neighbourhood:
        """Some nodes in the whole graph; who asks while another still has it is given the same tensors.

        Args:
            nodes: (B,) indices.
        """
        edges, adjacency = [reference() for reference in self._whole] or [None, None]
        if edges is None or adjacency is None:
            degree = self.start.diff()
            edges = torch.empty(2, len(self.neighbours), dtype=torch.long)
            edges[0] = self.neighbours
            edges[1] = torch.arange(self.size).repeat_interleave(degree)
            values = self.scale.index_select(0, self.neighbours) * self.scale.repeat_interleave(degree)
            adjacency = with_diagonal(edges[0], values, degree, self.scale.square(), self.size)
            self._whole = [ref(edges), ref(adjacency)]
        return Neighbourhood(self.x, edges, adjacency, nodes, torch.arange(self.size))

    def within(self, nodes: Tensor, part: Tensor) -> Neighbourhood:
        """Some nodes in a part of the graph, which is read as if it were the whole.

        Args:
            nodes: (B,) indices of nodes in the part.
            part: (N,) whether each node of the graph is in it.
        """
        ids = part.nonzero()[:, 0]
        start = self.start[ids]
        degree = self.start[ids + 1] - start
        targets = torch.arange(len(ids)).repeat_interleave(degree)
        neighbours = self.neighbours[ranges(start, degree)].long()
        inside = part[neighbours]
        targets, neighbours = targets[inside], neighbours[inside]
        degree = torch.bincount(targets, minlength=len(ids))
        place = torch.zeros(len(part), dtype=torch.long)
        place[ids] = torch.arange(len(ids))
        edges = torch.stack([place[neighbours], targets])
        scale = (degree + 1).float().rsqrt()
        values = scale[edges[0]] * scale.repeat_interleave(degree)
        adjacency = with_diagonal(edges[0], values, degree, scale.square(), len(ids))
        return Neighbourhood(rows_of(self.x, ids), edges, adjacency, place[nodes], ids)

    def _neighbours(self, nodes: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """How many neighbours of each node are taken, (M,), these, node by node, and the weight of each."""
        start = self.start[nodes]
        degree = self.start[nodes + 1] - start
        taken = degree if count == ALL else degree.clamp(max=count)
        places = ranges(start, taken)
        several = degree > taken
        if several.any():
            sampled = start[several, None] + sampled_without_replacement(degree[several], count)
            places[several.repeat_interleave(taken)] = sampled.flatten()
        neighbours = self.neighbours[places].long()
        factor = self.scale[nodes] * degree / taken.clamp(min=1)  # so that the sum is right in expectation
        return taken, neighbours, factor.repeat_interleave(taken) * self.scale[neighbours]


def with_diagonal(columns: Tensor, values: Tensor, degree: Tensor, diagonal: Tensor, size: int) -> Tensor:
    """A square sparse CSR matrix; the rows after those that are given have no values.

    Args:
        columns: (E,) of the values beside the diagonal, row by row.
        values: (E,)
        degree: (M,) number of these in each of the first rows.
        diagonal: (M,) the first rows' values in the diagonal.
        size: of the matrix, M or more.
    """
    start = F.pad((degree + 1).cumsum(0), (1, 0))
    first = start[:-1]  # of each row: its value in the diagonal
    others = torch.ones(len(columns) + len(degree), dtype=torch.bool).index_fill_(0, first, False)
    all_columns, all_values = columns.new_empty(len(others)), values.new_empty(len(others))
    all_columns[first], all_values[first] = torch.arange(len(degree)), diagonal
    all_columns[others], all_values[others] = columns, values
    start = F.pad(start, (0, size - len(degree)), value=len(others))
    return torch.sparse_csr_tensor(start, all_columns, all_values, (size, size), check_invariants=False)


def sampled_without_replacement(sizes: Tensor, count: int) -> Tensor:
    """So many different numbers below each size, (M, count), each set equally probable; none depends on its size.

    Floyd's algorithm, Bentley & Floyd 1987, https://doi.org/10.1145/30401.315746: a number that was drawn before is
    replaced by the largest that may be drawn.

    Args:
        sizes: (M,), each at least `count`.
        count: how many.
    """
    chosen = sizes.new_empty(len(sizes), count)
    for step in range(count):
        last = sizes - count + step
        drawn = (torch.rand(len(sizes), dtype=torch.double) * (last + 1)).long()
        repeated = (chosen[:, :step] == drawn[:, None]).any(1)
        chosen[:, step] = torch.where(repeated, last, drawn)
    return chosen

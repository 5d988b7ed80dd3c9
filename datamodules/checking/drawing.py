"""A graph of few nodes, as a picture shows it."""

from typing import NamedTuple

import torch
from torch import Tensor

MAX_NODES = 60  # of a drawing in which each can be told from the others


class Drawing(NamedTuple):
    """A graph of few nodes, which is a part of the graphs of a batch.

    Args:
        nodes: (N,) indices of its nodes in the batch.
        edges: (E,) indices of its edges in the batch.
        edge_index: (2, E), from the first row's nodes to the second's, counted within the drawing.
        kinds: (N,) what is coloured alike; -1 for none.
        kind_names: of all kinds.
        chosen: the example that it is of, as it is counted in the batch; -1 if it is of all of them.
        node_names: of the nodes; empty where they have none.
        examples: (N,) which example of the batch each node is; -1 for none.
    """

    nodes: Tensor
    edges: Tensor
    edge_index: Tensor
    kinds: Tensor
    kind_names: list[str]
    chosen: int
    node_names: list[str]
    examples: Tensor


def edges_between(nodes: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """The edges between some nodes: their indices (E,), and their nodes (2, E), counted among these.

    Args:
        nodes: (N,)
        edge_index: (2, E') of all edges.
    """
    size = 1 + max(int(part.max()) for part in (nodes, edge_index) if part.numel())
    place = torch.full((size,), -1)
    place[nodes] = torch.arange(len(nodes))
    both = place[edge_index]  # (2, E')
    edges = (both >= 0).all(0).nonzero()[:, 0]
    return edges, both[:, edges]


def neighbourhood(node: int, edge_index: Tensor, size: int, hops: int = 2) -> Tensor:
    """The nodes around one, itself among them, ascending; of too many those that are fewest steps away.

    Args:
        node: in the middle.
        edge_index: (2, E), both directions.
        size: N, of all nodes.
        hops: steps away at most.
    """
    inside = torch.zeros(size, dtype=torch.bool)
    inside[node] = True
    for _ in range(hops):
        reached = torch.zeros_like(inside)
        reached[edge_index[1][inside[edge_index[0]]]] = True
        new = (reached & ~inside).nonzero()[:, 0]
        inside[new[: MAX_NODES - int(inside.sum())]] = True
    return inside.nonzero()[:, 0]

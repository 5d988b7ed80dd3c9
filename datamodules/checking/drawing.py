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
        node_names: of the nodes; empty where they have none.
        examples: (M,) the nodes that are examples of the batch, counted within it; empty where the graph is one.
    """

    nodes: Tensor
    edges: Tensor
    edge_index: Tensor
    kinds: Tensor
    kind_names: list[str]
    node_names: list[str]
    examples: Tensor


def drawing_of(
    nodes: Tensor,
    edge_index: Tensor,
    kinds: Tensor,
    kind_names: list[str],
    node_names: list[str] | None = None,
    examples: Tensor | None = None,
) -> Drawing:
    """The part of a graph between some of its nodes.

    Args:
        nodes: (N,) ascending.
        edge_index: (2, E') of all edges.
        kinds: (N,) of these nodes.
        kind_names: of all kinds.
        node_names: of these nodes.
        examples: as for Drawing.
    """
    place = edge_index.new_full((int(max(nodes.max(), edge_index.max() if edge_index.numel() else 0)) + 1,), -1)
    place[nodes] = torch.arange(len(nodes), device=place.device)
    both = place[edge_index]  # (2, E')
    edges = (both >= 0).all(0).nonzero()[:, 0]
    none = torch.empty(0, dtype=torch.long)
    return Drawing(
        nodes, edges, both[:, edges], kinds, kind_names, node_names or [], none if examples is None else examples
    )


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

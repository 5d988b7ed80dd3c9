"""Attention along the edges of a graph on a CPU, by products with sparse matrices.

Shapes: N nodes, M edges, H heads with D features each. The heads are side by side: H · N nodes and H · M edges of one
graph in H parts.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_modules.layers.kept_patterns import KeptPatterns

SLOPE = 0.2  # of LeakyReLU below 0


class Edges(NamedTuple):
    """The edges of all heads, sorted by their targets.

    Args:
        of: by whose memory they are known.
        order: (M,) the place of each edge of one head among those that were given.
        degree: (H · N,) number of edges that reach each node.
        start: (H · N + 1,) the first edge that reaches each node.
        source: (H · M,) indices, of 32 bits where these suffice.
        target: (H · M,) indices, 64 bits.
        out_order: (H · M,) places of the edges where they are sorted by their sources.
        out_start: (H · N + 1,) the first of them that leaves each node.
        out_target: (H · M,) indices of their targets, of 32 bits where these suffice.
    """

    of: Tensor
    order: Tensor
    degree: Tensor
    start: Tensor
    source: Tensor
    target: Tensor
    out_order: Tensor
    out_start: Tensor
    out_target: Tensor


_KEPT = KeptPatterns[Edges](2)  # of two numbers of heads, as a network has in its last layer


def sorted_edges(edge_index: Tensor, num_nodes: int, num_heads: int) -> Edges:
    """The edges and a self-loop at every node, last among those that are given; kept for the next layer and step.

    Args:
        edge_index: (2, M - N), from the first row's nodes to the second's.
        num_nodes: N
        num_heads: H
    """
    version = 0 if edge_index.is_inference() else edge_index._version
    key = (edge_index.data_ptr(), version, edge_index.shape, edge_index.stride(), num_nodes, num_heads)
    return _KEPT.found(key, lambda: _sort(edge_index, num_nodes, num_heads))


def _sort(edge_index: Tensor, num_nodes: int, num_heads: int) -> Edges:
    source, target = torch.cat([edge_index, torch.arange(num_nodes).expand(2, -1)], dim=1)
    order = target.argsort(stable=True)
    source, target = source[order], target[order]
    out_order = source.argsort(stable=True)
    head = torch.arange(num_heads).unsqueeze(1)
    short = torch.int32 if num_heads * len(order) < 2**31 else torch.int64  # the matrices' own, half the memory

    def beside(places: Tensor, size: int) -> Tensor:
        """Those of all heads, from those of one: (M,) → (H · M,)."""
        return (places + size * head).flatten()

    def starts(ends: Tensor) -> tuple[Tensor, Tensor]:
        """The number of edges at each node, and the first of them."""
        degree = ends.bincount(minlength=num_nodes).repeat(num_heads)
        return degree, F.pad(degree.cumsum(0), (1, 0)).to(short)

    degree, start = starts(target)
    return Edges(
        edge_index,
        order,
        degree,
        start,
        beside(source, num_nodes).to(short),
        beside(target, num_nodes),
        beside(out_order, len(order)),
        starts(source)[1],
        beside(target[out_order], num_nodes).to(short),
    )


def attended(
    of_source: Tensor, of_target: Tensor, of_edge: Tensor | None, values: Tensor, edges: Edges, dropout: float
) -> Tensor:
    """Of each node the mean of its neighbours' values, weighted by the softmax of the edges' scores: (H, N, D).

    A score is LeakyReLU(of_source + of_target + of_edge). The messages, a vector for each edge and head, are never in
    memory, and neither is their gradient: half of the time of gathering and scattering them. Sums are in 32 bits at
    least.

    Args:
        of_source: (H, N) what each node adds to the score of the edges that leave it.
        of_target: (H, N) the same of those that reach it.
        of_edge: (H, M) the same of each edge itself, in their order; None for 0.
        values: (H, N, D)
        edges: of H heads and N nodes.
        dropout: probability of each weight.
    """
    dtype = torch.promote_types(values.dtype, torch.float32)
    parts = [None if part is None else part.to(dtype).contiguous() for part in (of_source, of_target, of_edge, values)]
    with torch.autocast("cpu", enabled=False):
        summed: Tensor = _Attended.apply(*parts, edges, dropout)
    return summed


def _matrix(start: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    size = len(start) - 1
    return torch.sparse_csr_tensor(start, columns, values, (size, size), check_invariants=False)


def _sums(values: Tensor, index: Tensor, like: Tensor) -> Tensor:
    """The sum of the values with each index."""
    return torch.zeros_like(like).scatter_add_(0, index, values)


class _Attended(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        of_source: Tensor,
        of_target: Tensor,
        of_edge: Tensor | None,
        values: Tensor,
        edges: Edges,
        dropout: float,
    ) -> Tensor:
        flat = values.flatten(0, 1)
        score = of_source.flatten().index_select(0, edges.source)
        score += of_target.flatten().index_select(0, edges.target)
        if of_edge is not None:
            score += of_edge.flatten()
        slope = torch.where(score > 0, 1.0, SLOPE).to(score.dtype)
        score *= slope
        largest = torch.segment_reduce(score, "max", lengths=edges.degree, unsafe=True)
        weight = score.sub_(largest.index_select(0, edges.target)).exp_()
        weight /= _sums(weight, edges.target, largest).index_select(0, edges.target)
        kept = F.dropout(torch.ones_like(weight), dropout) if dropout else None
        ctx.edges = edges
        ctx.has_features = of_edge is not None
        ctx.save_for_backward(weight, kept, slope, flat)
        used = weight if kept is None else weight * kept
        return (_matrix(edges.start, edges.source, used) @ flat).view(values.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor, None, None]:
        weight, kept, slope, flat = ctx.saved_tensors
        edges: Edges = ctx.edges
        of_sums = gradient.flatten(0, 1).contiguous()
        used = weight if kept is None else weight * kept
        with torch.autocast("cpu", enabled=False):
            of_values = _matrix(edges.out_start, edges.out_target, used.index_select(0, edges.out_order)) @ of_sums
            # the products of what each edge joins
            of_used = torch.sparse.sampled_addmm(_matrix(edges.start, edges.source, used), of_sums, flat.T, beta=0.0)
        of_score = of_used.values().mul_(used)
        mean = _sums(of_score, edges.target, flat[:, 0])
        of_score.addcmul_(weight, mean.index_select(0, edges.target), value=-1).mul_(slope)
        of_source, of_target = (_sums(of_score, ends, flat[:, 0]) for ends in (edges.source.long(), edges.target))
        heads = gradient.shape[:2]
        of_edge = of_score.view(heads[0], -1) if ctx.has_features else None
        return of_source.view(heads), of_target.view(heads), of_edge, of_values.view(gradient.shape), None, None

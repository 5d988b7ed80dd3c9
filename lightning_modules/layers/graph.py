"""Blocks of models of graphs; apart from layers/sequence.py, since torch_geometric takes seconds to import.

Shapes: N nodes, M edges, F features of a node, E features of an edge, H heads with D features each.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

from lightning_modules.layers.edge_attention import SLOPE, attended, sorted_edges
from lightning_modules.layers.sparse import sparse_product

BLOCK = 2**24  # values of messages that are in memory at once in evaluation: 64 MB


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout; of a sparse CSR matrix only on the stored values: the same result in 1 % of the time."""
    if x.layout != torch.sparse_csr:
        return torch.dropout(x, p, training)
    if not training or p == 0:
        return x
    values = torch.dropout(x.values(), p, training)
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)


class GraphAttention(MessagePassing):
    """Each head's weighted mean of a node and its neighbours.

    Veličković et al. 2018, https://arxiv.org/abs/1710.10903: `h'_i = Σ_j α_ij W h_j`,
    `α_ij = softmax_j LeakyReLU(a · W h_i + b · W h_j + c · U e_ij)`; edge features e_ij only enter the weights.

    Args:
        in_features: F
        out_features: D
        num_heads: H
        num_edge_features: E
        dropout: dropout probability of the attention weights.
        average: average the heads instead of concatenating them.

    Shapes:
        x (N, F) dense or sparse, edge_index (2, M), edge_attr (M, E), output (N, H · D), or (N, D) of averaged heads
    """

    recorded: list[Tensor] | None = None  # the weights of each call, while they are asked for

    def __init__(
        self,
        in_features: int,
        out_features: int,
        num_heads: int,
        num_edge_features: int = 0,
        dropout: float = 0.0,
        average: bool = False,
    ) -> None:
        super().__init__(aggr="sum", node_dim=0)
        self.num_heads = num_heads
        self.dropout = dropout
        self.average = average
        self.project = nn.Linear(in_features, num_heads * out_features, bias=False)
        self.of_target = nn.Parameter(torch.empty(num_heads, out_features))
        self.of_source = nn.Parameter(torch.empty(num_heads, out_features))
        self.of_edge = nn.Linear(num_edge_features, num_heads, bias=False) if num_edge_features else None
        self.bias = nn.Parameter(torch.zeros(out_features if average else num_heads * out_features))
        for weight in (self.project.weight, self.of_target, self.of_source):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        """The new features of each node; self-loops are added first."""
        num_nodes = x.shape[0]
        if edge_attr is None:
            edge_attr = self.bias.new_empty(edge_index.shape[1], 0)
        h = sparse_product(x, self.project.weight.T)  # (N, F) → (N, H · D)
        h = h.view(num_nodes, self.num_heads, -1)  # (N, H, D)
        if self.in_blocks and edge_index.shape[1] * h[0].numel() > BLOCK:
            return self.output(self.heads_in_blocks(h, edge_index, edge_attr))
        if self.by_products(h):
            return self.output(self.heads_by_products(h, edge_index, edge_attr))
        edge_index, edge_attr = with_loops(edge_index, edge_attr, num_nodes)  # (2, M + N), (M + N, E)
        weight = self.attention(h, edge_index, edge_attr)  # (M + N, H)
        if self.recorded is not None:
            self.recorded.append(weight)
        weight = F.dropout(weight, self.dropout, self.training)
        return self.output(self.propagate(edge_index, h=h, weight=weight.unsqueeze(-1)))  # (N, H, D)

    def output(self, heads: Tensor) -> Tensor:
        """(N, H, D) → (N, H · D), or (N, D) of averaged heads"""
        return (heads.mean(1) if self.average else heads.flatten(1)) + self.bias

    @property
    def in_blocks(self) -> bool:
        """Whether the edges of a large graph need not be in memory at once: nothing is learned, recorded or traced."""
        return not (torch.is_grad_enabled() or self.training or is_traced()) and self.recorded is None

    def by_products(self, h: Tensor) -> bool:
        """Whether messages are summed by products with sparse matrices: on a CPU, nothing is recorded or traced."""
        return h.device.type == "cpu" and self.recorded is None and not is_traced()

    def of_nodes(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """What each node adds to the score of the edges that leave it, and of those that reach it, (N, H) each."""
        return (h * self.of_source).sum(-1), (h * self.of_target).sum(-1)

    def scores(self, of_source: Tensor, of_target: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The score of each edge for each head, (M, H), of which the softmax is its weight."""
        source, target = edge_index
        # index_select, since indexing's gradient is summed in an order that differs from run to run
        score = of_source.index_select(0, source) + of_target.index_select(0, target)
        if self.of_edge is not None:
            score = score + self.of_edge(edge_attr)
        return F.leaky_relu(score.float(), SLOPE)

    def attention(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The weight of each edge for each head, (M, H); the weights of a node's incoming edges sum to one."""
        scores = self.scores(*self.of_nodes(h), edge_index, edge_attr)
        return softmax(scores, edge_index[1], num_nodes=h.shape[0]).to(h.dtype)

    def heads_by_products(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The heads of each node, (N, H, D), as `attention` and `propagate` give them."""
        heads, size = self.num_heads, h.shape[0]
        edges = sorted_edges(edge_index, size, heads)
        own = torch.eye(heads, dtype=h.dtype).unsqueeze(1)  # of (H, D, H): the scores of a head are of its own features
        columns = torch.cat([self.of_source.unsqueeze(-1) * own, self.of_target.unsqueeze(-1) * own], dim=-1)
        of_source, of_target = (h.flatten(1) @ columns.flatten(0, 1)).T.view(2, heads, size)  # in one product
        of_edge = None
        if self.of_edge is not None:
            of_edge = F.pad(self.of_edge(edge_attr), (0, 0, 0, size))  # (M + N, H), loops last
            of_edge = of_edge.index_select(0, edges.order).T
        dropout = self.dropout if self.training else 0.0
        return attended(of_source, of_target, of_edge, h.transpose(0, 1), edges, dropout).transpose(0, 1).to(h.dtype)

    def heads_in_blocks(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """The heads of each node, (N, H, D), as `attention` and `propagate` give them, some edges after the others.

        Self-loops are computed apart. Of ten million edges, with eight heads of eight features, all messages at once
        are five gigabytes.
        """
        of_nodes = self.of_nodes(h)
        size = max(BLOCK // h[0].numel(), 1)
        blocks = [*zip(edge_index.split(size, 1), edge_attr.split(size), strict=True)]
        loops = F.leaky_relu((of_nodes[0] + of_nodes[1]).float(), SLOPE)  # (N, H) scores, without features
        largest = loops.clone()  # of each node's edges, for a softmax that is finite
        for edges, attr in blocks:
            target = edges[1].unsqueeze(1).expand(-1, self.num_heads)
            largest.scatter_reduce_(0, target, self.scores(*of_nodes, edges, attr), "amax")
        total = (loops - largest).exp_()
        heads = total.unsqueeze(-1) * h
        for edges, attr in blocks:
            weight = (self.scores(*of_nodes, edges, attr) - largest.index_select(0, edges[1])).exp_()  # (M, H)
            total.index_add_(0, edges[1], weight)
            heads.index_add_(0, edges[1], weight.unsqueeze(-1) * h.index_select(0, edges[0]))
        return heads.div_(total.unsqueeze(-1)).to(h.dtype)

    def message(self, h_j: Tensor, weight: Tensor) -> Tensor:
        """The message along each edge, (M, H, D)."""
        return weight * h_j


def is_traced() -> bool:
    """Whether a graph of the network is being made, of operators that an exported one knows."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]


def with_loops(edge_index: Tensor, edge_attr: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The edges, and a self-loop at every node with features of zeros."""
    loops = torch.arange(num_nodes, device=edge_index.device).expand(2, -1)
    zeros = edge_attr.new_zeros(num_nodes, edge_attr.shape[1])
    return torch.cat([edge_index, loops], dim=1), torch.cat([edge_attr, zeros])


def attention_of(model: nn.Module, graphs: Any) -> Tensor | None:
    """The attention weight of each edge, (M,), the mean of all heads and layers; None of a model without layers.

    Args:
        model: that has layers of graph attention.
        graphs: its input, with an edge_index (2, M).
    """
    layers = [layer for layer in model.modules() if isinstance(layer, GraphAttention)]
    found: list[Tensor] = []
    try:
        for layer in layers:
            layer.recorded = found
        model(graphs)
    finally:
        for layer in layers:
            layer.recorded = None
    size = graphs.edge_index.shape[1]  # after which come the self-loops
    return torch.stack([weight[:size].float().mean(1) for weight in found]).mean(0) if found else None

"""Edges and features of training graphs left out at random."""

import torch
from torch import Tensor


def kept_edges(edge_index: Tensor, num_nodes: int, chance: float) -> Tensor:
    """Which edges stay, (E,); the two directions of an edge stay or go together.

    DropEdge, Rong et al. 2020, https://arxiv.org/abs/1907.10903.

    Args:
        edge_index: (2, E)
        num_nodes: that the edges join.
        chance: of each edge to go.
    """
    pair = edge_index.amin(0) * num_nodes + edge_index.amax(0)
    number = pair.unique(return_inverse=True)[1]  # the same for both directions, below E
    return (torch.rand(len(number), device=number.device) >= chance)[number]


def without_features(x: Tensor, chance: float) -> Tensor:
    """The features of all nodes, some of them zero for every node.

    Zhu et al. 2020 (GRACE), https://arxiv.org/abs/2006.04131; what stays is not scaled up.

    Args:
        x: (N, F), dense or sparse CSR.
        chance: of each feature.
    """
    kept = (torch.rand(x.shape[1], device=x.device) >= chance).to(x.dtype)
    if x.layout != torch.sparse_csr:
        return x * kept
    values = x.values() * kept[x.col_indices()]
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)

"""Edges and features of training graphs dropped at random."""

import torch
from torch import Tensor


def kept_edges(edge_index: Tensor, num_nodes: int, probability: float) -> Tensor:
    """A mask of the edges that are kept, (E,); the two directions of an edge are kept or dropped together.

    DropEdge, Rong et al. 2020, https://arxiv.org/abs/1907.10903.

    Args:
        edge_index: (2, E)
        num_nodes: N
        probability: of each edge to be dropped.
    """
    pair = edge_index.amin(0) * num_nodes + edge_index.amax(0)
    index = pair.unique(return_inverse=True)[1]  # the same for both directions, below E
    return (torch.rand(len(index), device=index.device) >= probability)[index]


def without_features(x: Tensor, probability: float) -> Tensor:
    """The features of all nodes, some of them masked with zeros, the same for every node.

    Zhu et al. 2020 (GRACE), https://arxiv.org/abs/2006.04131; what stays is not scaled up.

    Args:
        x: (N, F), dense or sparse CSR.
        probability: of each feature to be masked.
    """
    kept = (torch.rand(x.shape[1], device=x.device) >= probability).to(x.dtype)
    if x.layout != torch.sparse_csr:
        return x * kept
    values = x.values() * kept[x.col_indices()]
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)

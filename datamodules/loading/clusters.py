"""Clusters of a graph's nodes with few edges between them, of which a training step reads some."""

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.loading.adjacency import matrix_digest
from datamodules.storage.kept import Kept, code_of, kept

TOLD = 10**6  # edges, both directions, from which it takes seconds


def clusters_of(adjacency: Any, num_clusters: int) -> Tensor:
    """The cluster of each node, (N,): about equally many nodes in each, and few edges between them.

    METIS, Karypis & Kumar 1998, https://doi.org/10.1137/S1064827595287997, as Cluster-GCN uses it, Chiang et al. 2019,
    https://arxiv.org/abs/1905.07953. Always the same for a graph; kept for later runs.

    Args:
        adjacency: scipy (N, N) CSR, symmetric, of ones and zeros, without loops.
        num_clusters: from 1 to N.

    Raises:
        DataError: there are more clusters than nodes, or pymetis is not installed.
    """
    size = adjacency.shape[0]
    if num_clusters > size:
        raise DataError(f"--data.num_clusters {num_clusters}: the graph has {size} nodes; expected at most as many")
    if num_clusters == 1:
        return torch.zeros(size, dtype=torch.long)
    if find_spec("pymetis") is None:
        raise DataError(
            f"--data.num_clusters {num_clusters}: graphs are divided by pymetis, which is not installed: "
            f'pip install -e ".[clusters]" where it is built (Linux, macOS), or --data.num_neighbors'
        )
    key = ["clusters", num_clusters, matrix_digest(adjacency), code_of(sys.modules[__name__])]
    found = kept(lambda: Kept({"cluster": _divided(adjacency, num_clusters)}), key, adjacency.data.nbytes)
    return torch.from_numpy(np.array(found.arrays["cluster"], np.int64))


def _divided(adjacency: Any, num_clusters: int) -> np.ndarray[Any, Any]:
    import pymetis  # an option

    if adjacency.nnz > TOLD:
        print(
            f"dividing {adjacency.shape[0]:,} nodes, {adjacency.nnz // 2:,} edges, into {num_clusters:,} clusters",
            file=sys.stderr,
        )
    graph = pymetis.CSRAdjacency(adjacency.indptr, adjacency.indices)
    return np.array(pymetis.part_graph(num_clusters, graph).vertex_part, np.int32)

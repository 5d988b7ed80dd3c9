"""Adjacency matrices and sparse features of one graph."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.errors import DataError
from datamodules.loading.sampling import ranges
from datamodules.storage.fingerprint import hash_numbers

DENSE_ON = ("mps",)  # devices that know no sparse CSR
MAX_DENSE = 2**28  # values of a dense matrix: a gigabyte


def for_device(matrix: Tensor, device: torch.device) -> Tensor:
    """A matrix as the device knows it.

    Raises:
        DataError: it would be too large.
    """
    if device.type not in DENSE_ON or matrix.layout == torch.strided:
        return matrix
    if matrix.shape.numel() > MAX_DENSE:
        rows, columns = matrix.shape
        raise DataError(
            f"a sparse matrix of {rows:,} x {columns:,}: unknown to this device ({device}), and too large if dense; "
            f"give --trainer.accelerator cpu"
        )
    return matrix.to_dense()


def csr(matrix: Any) -> Tensor:
    """A scipy matrix as a sparse CSR tensor."""
    matrix = sp.csr_matrix(matrix, dtype=np.float32)
    matrix.sum_duplicates()
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data),
        size=matrix.shape,
        check_invariants=False,  # scipy guarantees them
    )


def matrix_digest(matrix: Any) -> str:
    """A digest of a scipy matrix, whatever the order in which its values are stored."""
    matrix = sp.csr_matrix(matrix, copy=True)
    matrix.sum_duplicates()
    indices = (part.astype(np.int64) for part in (np.array(matrix.shape), matrix.indptr, matrix.indices))
    return hash_numbers(*indices, matrix.data)


def rows_of(matrix: Tensor, index: Tensor) -> Tensor:
    """Some rows of a dense or sparse CSR matrix."""
    if matrix.layout != torch.sparse_csr:
        return matrix.index_select(0, index)
    begins, sizes = matrix.crow_indices()[index], matrix.crow_indices().diff()[index]
    places, start = ranges(begins, sizes), F.pad(sizes.cumsum(0), (1, 0))
    size = (len(index), matrix.shape[1])
    columns, values = matrix.col_indices()[places], matrix.values()[places]
    return torch.sparse_csr_tensor(start, columns, values, size, check_invariants=False)


def undirected(pairs: np.ndarray[Any, Any], size: int) -> Any:
    """The symmetric 0/1 adjacency matrix of (E, 2) pairs, without loops."""
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    ones = np.ones(len(pairs), np.float32)
    matrix = sp.csr_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    matrix = (matrix + matrix.T).tocsr()
    matrix.data.fill(1)  # of an edge that was there twice, too
    return matrix


def normalised(adjacency: Any) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 as sparse CSR of a scipy matrix A, as `undirected` returns it."""
    looped = sp.csr_matrix(adjacency + sp.identity(adjacency.shape[0], np.float32, "csr"))
    looped.sort_indices()
    start, columns = (torch.from_numpy(part.astype(np.int64)) for part in (looped.indptr, looped.indices))
    scale = start.diff().float().rsqrt()
    values = scale.repeat_interleave(start.diff()).mul_(scale[columns])
    return torch.sparse_csr_tensor(start, columns, values, adjacency.shape, check_invariants=False)


def normalised_adjacency(edge_index: Tensor, num_nodes: int) -> Tensor:
    """D^-1/2 (A + I) D^-1/2, (N, N), where D are the row sums of A + I; sparse CSR, or dense where that is not known.

    Args:
        edge_index: (2, E) both directions of each edge, without duplicates and loops.
        num_nodes: N
    """
    loops = torch.arange(num_nodes, device=edge_index.device).expand(2, -1)
    both = torch.cat([edge_index, loops], 1)
    rows, columns = both[:, (both[0] * num_nodes + both[1]).argsort()]
    degree = torch.bincount(rows, minlength=num_nodes)
    scale = degree.float().rsqrt()
    if edge_index.device.type in DENSE_ON:
        return torch.zeros(num_nodes, num_nodes, device=scale.device).index_put_(
            (rows, columns), scale[rows] * scale[columns]
        )
    start = F.pad(degree.cumsum(0), (1, 0))
    values = scale[rows] * scale[columns]
    return torch.sparse_csr_tensor(start, columns, values, (num_nodes, num_nodes), check_invariants=False)

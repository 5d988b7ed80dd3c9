"""A product with a sparse matrix, and its gradient, are those of the dense one."""

import gc

import pytest
import torch
from torch import Tensor

from lightning_modules.layers import sparse
from lightning_modules.layers.sparse import sparse_product, transposed


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    """A sparse matrix, some of whose rows and columns have no values."""
    random = torch.Generator().manual_seed(seed)
    dense = torch.rand(rows, columns, generator=random)
    dense[dense < 0.7] = 0
    dense[:, columns // 2] = 0
    dense[rows // 3] = 0
    return dense.to_sparse_csr()


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (1, 9), (9, 1), (40, 40)])
def test_the_transposed_matrix_is_that_of_torch(shape: tuple[int, int]) -> None:
    given = matrix(*shape)
    assert transposed(given).layout == torch.sparse_csr
    assert torch.equal(transposed(given).to_dense(), given.to_dense().T)
    assert torch.equal(transposed(transposed(given)).to_dense(), given.to_dense())


def test_product_and_gradient_are_those_of_torch() -> None:
    given, outside = matrix(30, 20), torch.randn(30, 4)
    ours = torch.randn(20, 4, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    for weight, product in ((ours, sparse_product(given, ours)), (theirs, given @ theirs)):
        product.backward(outside)
        assert weight.grad is not None
    assert torch.equal(sparse_product(given, ours), given @ ours)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_other_values_in_the_same_places_are_taken() -> None:
    given = matrix(12, 9)
    for factor in (1.0, 3.0, -1.0):
        places, values = (given.crow_indices(), given.col_indices()), given.values() * factor
        other = torch.sparse_csr_tensor(*places, values, given.shape, check_invariants=True)
        assert torch.equal(transposed(other).to_dense(), other.to_dense().T)


def test_memory_that_is_used_again_is_not_taken_for_the_matrix_before_it() -> None:
    for seed in range(200):  # of the same sizes, so that memory that is freed is given out again
        given = matrix(12, 9, seed)
        assert torch.equal(transposed(given).to_dense(), given.to_dense().T)
        del given
        gc.collect(0)
    assert len(sparse._KEPT.of) == sparse._KEPT.size


def test_a_dense_matrix_is_multiplied_as_ever() -> None:
    dense, weight = torch.randn(3, 4), torch.randn(4, 2, requires_grad=True)
    assert torch.equal(sparse_product(dense, weight), dense @ weight)

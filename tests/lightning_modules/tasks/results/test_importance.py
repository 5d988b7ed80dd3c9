"""Permutation importance, against columns whose importance is known."""

import pytest
import torch
from torch import Tensor

from lightning_modules.tasks.results.importance import (
    MAX_ROWS,
    MIN_ROWS,
    affordable_rows,
    permutation_importance,
    steepest,
)

FEATURES = torch.randn(500, 6, generator=torch.Generator().manual_seed(1))
COLUMNS = {"noise": [0], "informative": [1], "category": [2, 3, 4], "unused": [5]}
TARGET = 3 * FEATURES[:, 1] + FEATURES[:, 2] - FEATURES[:, 3]


def losses(features: Tensor) -> Tensor:
    """Of a model that is right, and does not read the first and the last feature."""
    return (3 * features[:, 1] + features[:, 2] - features[:, 3] - TARGET).square()


def test_the_informative_column_is_first_and_unused_ones_are_zero() -> None:
    before = torch.get_rng_state()
    found = {each.column: each for each in permutation_importance(losses, FEATURES, COLUMNS)}
    assert torch.equal(before, torch.get_rng_state())
    assert [*found][:2] == ["informative", "category"]
    for name in ("noise", "unused"):
        assert (found[name].increase, found[name].std) == (0, 0)
    # A permuted value differs from its own by twice the variance, on the mean.
    assert found["informative"].increase == pytest.approx(9 * 2 * float(FEATURES[:, 1].var()), rel=0.1)
    assert found["informative"].std > 0


def test_the_features_of_a_column_are_permuted_together() -> None:
    category = torch.nn.functional.one_hot(torch.arange(600) % 3, 3).float()
    seen: list[Tensor] = []

    def recording(features: Tensor) -> Tensor:
        seen.append(features)
        return features[:, 0]

    permutation_importance(recording, category, {"category": [0, 1, 2]})
    for features in seen:
        assert torch.equal(features.sum(1), torch.ones(600)), "each row still has one value of the category"
    assert not torch.equal(seen[0], seen[1])


def test_of_many_columns_those_with_the_steepest_loss_are_kept_in_their_order() -> None:
    features = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    columns = {f"c{place}": [place] for place in range(300)}
    weights = torch.zeros(300)
    weights[[250, 7, 100]] = torch.tensor([1.0, 2.0, -3.0])
    target = torch.randn(200, generator=torch.Generator().manual_seed(2))
    before = torch.get_rng_state()
    with torch.no_grad():
        chosen = steepest(lambda inputs: (inputs @ weights - target).square().mean(), features, columns, most=3)
    assert torch.equal(before, torch.get_rng_state())
    assert [*chosen] == ["c7", "c100", "c250"]
    assert [*steepest(lambda inputs: inputs.sum(), features, columns, most=300)] == [*columns]


def test_losses_that_are_no_numbers_have_no_importance() -> None:
    assert permutation_importance(lambda features: features[:, 0] * torch.nan, FEATURES, COLUMNS) == []


def test_larger_models_are_measured_on_fewer_examples() -> None:
    rows = [affordable_rows(weights, 500) for weights in (100, 100_000, 10**9)]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] == MAX_ROWS
    assert rows[-1] == MIN_ROWS

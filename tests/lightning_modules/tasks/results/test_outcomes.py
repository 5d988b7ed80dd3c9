"""What a test keeps of each example, in the order of the test split."""

import torch

from lightning_modules.tasks.results.outcomes import Column, Outcomes


def test_batches_are_joined_in_the_order_of_the_test_split() -> None:
    parts: list[dict[str, Column]] = [
        {"loss": torch.tensor([1.0, 2.0]), "text": ["d", "b"]},
        {"loss": torch.tensor([0.5, 3.0]), "text": ["a", "c"]},
    ]
    outcomes = Outcomes.joined([torch.tensor([3, 1]), torch.tensor([0, 2])], parts)
    assert outcomes.positions.tolist() == [0, 1, 2, 3]
    assert outcomes["text"] == ["a", "b", "c", "d"]
    assert outcomes["loss"].tolist() == [0.5, 2.0, 3.0, 1.0]
    assert outcomes.names() == ["example 1", "example 2", "example 3", "example 4"]


def test_the_worst_come_first_and_what_is_no_number_before_them() -> None:
    outcomes = Outcomes(torch.arange(4), {"loss": torch.tensor([0.1, torch.nan, 3.0, 0.2]), "text": [*"abcd"]})
    assert outcomes.worst().tolist() == [1, 2, 3, 0]
    assert outcomes.take(outcomes.worst(2))["text"] == ["b", "c"]

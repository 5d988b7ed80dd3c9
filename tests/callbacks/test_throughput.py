import pytest
import torch

from callbacks.throughput import batch_size_of
from datamodules.reading import Answers


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(7, 2),
        (torch.zeros(30, 2), torch.zeros(7)),
        [torch.zeros(30, 2), torch.zeros(7, 5)],
        ("pairs", ["a reference"] * 7),
        ("passages", Answers(torch.zeros(7, 2), [[]] * 7)),
    ],
)
def test_counts_the_examples_of_every_kind_of_batch(batch):
    assert batch_size_of(batch) == 7

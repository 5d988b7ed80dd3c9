"""A loader's first epoch, while another one is loaded."""

from functools import partial

import pytest
import torch

from datamodules.loading.examples import Loader, Rows
from datamodules.loading.sampling import Batches, Position


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_first_epoch_is_loaded_amid_another_which_goes_on(num_workers: int) -> None:
    def loader(begun: int) -> Loader:
        sampler = Batches(20, 4, shuffle=True, position=partial(Position, begun, 3))
        return Loader(
            Rows(torch.arange(20)),
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
        )

    first, second = ([batch.tolist() for batch in loader(begun)] for begun in (0, 3))
    assert len(first) == len(second) == 3
    assert first != second
    amid = loader(3)
    found = []
    for batch in amid:
        found.append(batch.tolist())
        assert [batch.tolist() for batch in amid.first_epoch()] == first
    assert found == second

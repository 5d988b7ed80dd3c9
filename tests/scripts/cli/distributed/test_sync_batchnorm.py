"""Synchronised batch norms in one process; tests/test_processes.py has them train in two."""

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from scripts.cli.distributed.sync_batchnorm import SyncBatchNorms


@pytest.mark.parametrize("tracked", [True, False])
def test_an_evaluation_is_that_of_the_layer_it_replaces(tracked: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=tracked))
    images = torch.randn(5, 3, 4, 4)
    model(images)
    model.eval()
    expected = model(images)
    synchronizer = SyncBatchNorms()
    assert synchronizer.apply(model) is model
    assert [type(layer).__name__ for layer in model] == ["SyncBatchNorm"]
    assert torch.equal(model(images), expected)
    synchronizer.revert(model)
    assert [type(layer).__name__ for layer in model] == ["BatchNorm2d"]


def test_a_trainer_takes_it_as_a_plugin() -> None:
    synchronizer = SyncBatchNorms()
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp", logger=False, enable_checkpointing=False, plugins=[synchronizer]
    )
    assert trainer.strategy._layer_sync is synchronizer  # type: ignore[attr-defined]

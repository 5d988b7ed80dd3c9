"""How many steps an epoch has, and where a run resumes in it, whatever limits it or accumulates its gradients."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from callbacks.run.checkpoint_file import AtomicCheckpointIO
from callbacks.run.checkpoints import Checkpoints
from callbacks.run.run_folder import RunFolder
from callbacks.run.signals import Signals, Stopped
from datamodules.loading.sampling import Batches
from tests.datamodules.test_base import Given

EXAMPLES, BATCH, EPOCHS = 25, 2, 4
BATCHES = EXAMPLES // BATCH


class Recorder(LightningModule):
    """Records the epoch, the examples and the seed of each training step; stops before one of them."""

    def __init__(self, signals: Signals, stop: int | None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.signals, self.stop = signals, stop
        self.seen: list[tuple[int, list[int], int]] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, batch.tolist(), torch.initial_seed()))
        if len(self.seen) == self.stop:
            self.signals.received = signal.SIGTERM
        return (self.weight * batch).sum()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/loss", 0.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(folder: Path, stop: int | None = None, resume: bool = False, **options: Any) -> list[Any]:
    """What each training step of a run has seen."""
    signals = Signals()
    model = Recorder(signals, stop)
    official = {"train": list(range(EXAMPLES)), "val": [25, 26], "test": [27]}
    data = Given([0, 1] * 14, official, batch_size=BATCH)
    trainer = Trainer(
        **{"max_epochs": EPOCHS, **options},
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        callbacks=[Checkpoints(RunFolder(folder), "val/loss", "min", signals=signals)],
        plugins=[AtomicCheckpointIO(0.0)],
    )
    try:
        trainer.fit(model, data, ckpt_path=folder / "checkpoints" / "last.ckpt" if resume else None, weights_only=True)
    except Stopped:
        assert stop is not None
    return model.seen


@pytest.mark.parametrize("accumulated", [1, 3])
@pytest.mark.parametrize(("limit", "steps"), [(None, BATCHES), (5, 5), (1, 1), (0.5, BATCHES // 2), (99, BATCHES)])
def test_each_epoch_has_as_many_steps_as_its_limit_wherever_the_run_was_stopped(
    limit: Any, steps: int, accumulated: int, tmp_path: Path
) -> None:
    options = {"limit_train_batches": limit, "accumulate_grad_batches": accumulated}
    whole = trained(tmp_path / "whole", **options)
    assert [epoch for epoch, *_ in whole] == [epoch for epoch in range(EPOCHS) for _ in range(steps)]
    unlimited = Batches(EXAMPLES, BATCH, shuffle=True, drop_last=True)
    expected = [batch.tolist() for _ in range(EPOCHS) for batch in list(unlimited)[:steps]]
    assert [examples for _, examples, _ in whole] == expected  # the first ones of an order of each epoch's own
    assert len({seed for *_, seed in whole}) == len(whole)
    for stop in sorted({1, steps - 1, steps, steps + 1, 2 * steps, 3 * steps - 1} - {0}):
        folder = tmp_path / str(stop)
        before = trained(folder, stop, **options)
        assert before + trained(folder, resume=True, **options) == whole


@pytest.mark.parametrize("options", [{"val_check_interval": 2}, {"val_check_interval": 0.5}, {"max_epochs": -1}])
def test_validations_and_a_number_of_steps_leave_the_position_as_it_is(options: Any, tmp_path: Path) -> None:
    options = {"limit_train_batches": 5, "max_steps": 13, **options}
    whole = trained(tmp_path / "whole", **options)
    assert [epoch for epoch, *_ in whole] == [0] * 5 + [1] * 5 + [2] * 3
    for stop in (2, 4, 5, 7, 10, 12):
        folder = tmp_path / str(stop)
        assert trained(folder, stop, **options) + trained(folder, resume=True, **options) == whole


def test_a_run_that_is_given_more_steps_resumes_where_it_ended(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", limit_train_batches=5)
    ended = trained(tmp_path, limit_train_batches=5, max_steps=7)
    assert len(ended) == 7
    resumed = trained(tmp_path, resume=True, limit_train_batches=5)
    assert [step[1:] for step in ended + resumed] == [step[1:] for step in whole][:15]  # an epoch counts as two


def test_a_run_that_resumes_with_another_limit_soon_has_epochs_of_that_many_steps(tmp_path: Path) -> None:
    trained(tmp_path, stop=BATCHES + 3)
    resumed = trained(tmp_path, resume=True, limit_train_batches=5, max_epochs=6)
    assert [sum(step[0] == epoch for step in resumed) for epoch in range(6)] == [0, 2, 3, 5, 5, 5]


def test_overfitting_sees_the_same_first_batches_in_each_epoch(tmp_path: Path) -> None:
    seen = trained(tmp_path, overfit_batches=3)
    assert [examples for _, examples, _ in seen] == [[0, 1], [2, 3], [4, 5]] * EPOCHS


def test_a_trial_run_has_one_step(tmp_path: Path) -> None:
    assert len(trained(tmp_path, fast_dev_run=True)) == 1

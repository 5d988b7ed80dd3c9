import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from callbacks.dashboard import Dashboard
from callbacks.showcase import Showcase
from lightning_modules.mlp import MLP


class Shown(MLP):
    """Notes which batches it is asked to show."""

    def __init__(self) -> None:
        super().__init__(4, 3, optimizer=torch.optim.SGD)
        self.batches: list[tuple[str, int]] = []

    def show(self, batch, board) -> None:
        self.batches.append((board.split, int(batch[0][0, 0])))


@pytest.mark.parametrize(("count", "middle"), [(1, 0), (2, 1), (5, 2)])
@pytest.mark.parametrize(("seconds", "validations"), [(0.0, 2), (1000.0, 0)])
def test_shows_the_middle_batch_now_and_then_and_of_the_test_once(count, middle, seconds, validations, tmp_path):
    def loader() -> DataLoader:
        batches = [(torch.full((6, 4), float(number)), torch.arange(6) % 3) for number in range(count)]
        return DataLoader(batches, batch_size=None)

    model = Shown()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=Dashboard(tmp_path),
        log_every_n_steps=1,
        callbacks=[Showcase(seconds)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, loader(), loader())
    trainer.test(model, loader(), verbose=False)
    assert model.batches == [("val", middle)] * validations + [("test", middle)]

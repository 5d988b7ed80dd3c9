import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from callbacks.loggers.showcase import Showcase, TensorBoard
from callbacks.loggers.tensorboard import Dashboard
from datamodules.images import Images
from lightning_modules.cnn import CNN
from lightning_modules.mlp import MLP
from lightning_modules.tasks import boards


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


def test_shows_the_first_training_batch_as_the_model_gets_it_and_draws_nothing(tmp_path, monkeypatch):
    pictured, said, got, states = [], [], [], []
    monkeypatch.setattr(TensorBoard, "image", lambda board, name, image: pictured.append((board.split, name, image)))
    monkeypatch.setattr(TensorBoard, "text", lambda board, name, text: said.append((board.split, name, text)))

    class Noting(CNN):
        def training_step(self, batch, batch_idx):
            got.append(batch)
            return super().training_step(batch, batch_idx)

    class Watched(Showcase):
        def on_train_batch_start(self, *args):
            before = torch.get_rng_state()
            super().on_train_batch_start(*args)
            states.append(torch.equal(before, torch.get_rng_state()))

    data = Images("digits", batch_size=40, shift=2, mixup=0.4)
    data.prepare_data()
    data.setup()
    model = Noting(1, 8, data.num_classes, class_names=data.class_names, optimizer=torch.optim.SGD)
    options = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        max_epochs=2,
        limit_train_batches=3,
        limit_val_batches=0,
        accelerator="cpu",
        logger=Dashboard(tmp_path),
        log_every_n_steps=1,
        callbacks=[Watched(1000.0)],
        **options,
    )
    trainer.fit(model, datamodule=data)
    (split, name, picture), (_, _, table) = pictured[0], said[0]
    assert (len(pictured), len(said), split, name) == (1, 1, "train", "first batch")
    images, target = got[0]
    torch.testing.assert_close(picture, boards.grid(data.pixels(images[:32]), stretch=False))
    assert float(picture.min()) >= 0
    cells = [cell.strip() for line in table.split("\n") for cell in line.strip("|").split("|") if "---" not in cell]
    assert cells == boards.class_labels(target[:32], data.class_names)
    assert states == [True] * 6

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

import callbacks.loggers.boards
from callbacks.loggers.boards import LogExamples, LoggerBoard
from callbacks.loggers.logger import Logger, Table
from callbacks.run.run_folder import RunFolder
from datamodules.images import Images
from lightning_modules.cnn import CNN
from lightning_modules.mlp import MLP
from lightning_modules.tasks import boards
from lightning_modules.tasks.pictures.images import captioned

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "log_every_n_steps": 1,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Recording(Logger):
    """Records images and tables."""

    def __init__(self, folder: Path) -> None:
        super().__init__(RunFolder(folder))
        self.images: dict[str, Tensor] = {}
        self.tables: dict[str, Table] = {}

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        assert name not in self.images
        self.images[name] = image

    def log_table(self, name: str, table: Table, step: int) -> None:
        assert name not in self.tables
        self.tables[name] = table


class Shown(MLP):
    """Records which batches it is to show."""

    def __init__(self) -> None:
        super().__init__(4, 3, optimizer=torch.optim.SGD)
        self.batches: list[tuple[str, int]] = []

    def show(self, batch: Any, board: Any) -> None:
        self.batches.append((board.split, int(batch[0][0, 0])))


@pytest.mark.parametrize(("count", "middle"), [(1, 0), (2, 1), (5, 2)])
@pytest.mark.parametrize(("seconds", "validations"), [(0.0, 2), (1000.0, 0)])
def test_shows_the_middle_batch_at_intervals_and_of_the_test_once(
    count: int, middle: int, seconds: float, validations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks.loggers.boards, "PART_OF_TIME", float("inf"))

    def loader() -> DataLoader[Any]:
        batches: Any = [(torch.full((6, 4), float(index)), torch.arange(6) % 3) for index in range(count)]
        return DataLoader(batches, batch_size=None)

    model = Shown()
    trainer = Trainer(max_epochs=2, logger=Recording(tmp_path), callbacks=[LogExamples(seconds=seconds)], **QUIET)
    trainer.fit(model, loader(), loader())
    trainer.test(model, loader(), verbose=False)
    assert model.batches == [("val", middle)] * validations + [("test", middle)]


class Silent(Logger):
    """Discards all but scalars."""

    def __init__(self, folder: Path) -> None:
        super().__init__(RunFolder(folder))


@pytest.mark.parametrize(
    ("kinds", "shown"), [([Silent], 0), ([Silent, Recording], 1), ([Recording, Recording, Silent], 1)]
)
def test_what_is_shown_is_computed_once_for_all_loggers_and_for_none_not_at_all(
    kinds: list[Any], shown: int, tmp_path: Path
) -> None:
    batches: Any = [(torch.rand(6, 4), torch.arange(6) % 3)]
    model = Shown()
    loggers = [kind(tmp_path) for kind in kinds]
    trainer = Trainer(max_epochs=1, logger=loggers, callbacks=[LogExamples(seconds=1000.0)], **QUIET)
    trainer.test(model, DataLoader(batches, batch_size=None), verbose=False)
    assert len(model.batches) == shown
    boards_written = [len(logger.tables) for logger in loggers if isinstance(logger, Recording)]
    assert len(set(boards_written)) <= 1, "each has the same"


def test_shows_the_first_training_batch_as_the_model_gets_it_and_samples_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []

    def drawn(*args: Any) -> Any:
        figures.append(captioned(*args))
        return figures[-1]

    monkeypatch.setattr(callbacks.loggers.boards, "captioned", drawn)
    received: list[Any] = []
    unchanged: list[bool] = []

    class Noting(CNN):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            received.append(batch)
            return super().training_step(batch, batch_idx)

    class Watched(LogExamples):
        def on_train_batch_start(self, *args: Any) -> None:
            before = torch.get_rng_state()
            super().on_train_batch_start(*args)
            unchanged.append(torch.equal(before, torch.get_rng_state()))

    data = Images("digits", batch_size=40, shift=2, mixup=0.4)
    data.prepare_data()
    data.setup()
    model = Noting(1, 8, data.num_classes, class_names=data.class_names, optimizer=torch.optim.SGD)
    logger = Recording(tmp_path)
    limits: dict[str, Any] = {"max_epochs": 2, "limit_train_batches": 3, "limit_val_batches": 0}
    trainer = Trainer(logger=logger, callbacks=[Watched(seconds=1000.0)], **limits, **QUIET)
    trainer.fit(model, datamodule=data)
    assert [*logger.images] == ["train/first batch"]
    images, target = received[0]
    (figure,) = figures
    axes = figure.axes[0]
    for index, (pixels, label) in enumerate(
        zip(data.pixels(images[:24]), boards.class_labels(target[:24], data.class_names), strict=True)
    ):
        shown = torch.as_tensor(axes.images[index].get_array().data)
        torch.testing.assert_close(shown, pixels.squeeze(0).clamp(0, 1))
        assert axes.texts[index].get_text() == label
    assert unchanged == [True] * 6


def test_a_text_that_is_a_table_is_logged_as_one(tmp_path: Path) -> None:
    texts: dict[str, str] = {}

    class Texts(Recording):
        def log_text(self, name: str, markdown: str, step: int) -> None:
            texts[name] = markdown

    logger = Texts(tmp_path)
    board = LoggerBoard([logger], 7, "val")
    board.text("table", "| a | b |\n| --- | ---: |\n| x \\| y\\\\ | 1 |\n|  | **2** |")
    board.text("list", "- one\n- two")
    assert logger.tables["val/table"][:2] == (["a", "b"], [["x | y\\", "1"], ["", "**2**"]])
    board.text("confusion", "| true \\ predicted | a |\n| --- | --- |\n| a | 1 |")
    assert logger.tables["val/confusion"].header == ["true \\ predicted", "a"]
    assert texts == {"val/list": "- one\n- two"}
    for other in ("| a |", "| a |\n| b |", "| a |\n| --- |\n| b | c |", "a\n\n| b |\n| --- |"):
        assert Table.parse(other) is None

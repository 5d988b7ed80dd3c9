"""What a classifier shows at the end of a run, as its loggers and its folder get it."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from callbacks.loggers.boards import LogExamples, LoggerBoard
from callbacks.loggers.logger import Logger
from callbacks.loggers.outcomes import CollectOutcomes
from callbacks.loggers.pictures import Pictures
from callbacks.loggers.tensorboard import TensorBoardLogger
from callbacks.run.run_folder import RunFolder
from datamodules.base import DataModule
from datamodules.graphs import GraphClasses
from datamodules.images import Images
from datamodules.nodes import Nodes
from datamodules.tabular import TabularClassification
from lightning_modules.capsnet import CapsNet
from lightning_modules.cnn import CNN
from lightning_modules.gat import GAT
from lightning_modules.gcn import GCN
from lightning_modules.mlp import MLP
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.shows.classes import NUM_POINTS, THUMBNAIL
from tests.helpers.picture_texts import outside

CLASSES = ["猫", "非常长的中文类别名称非常长的中文类别名称", "a dog"]
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "limit_train_batches": 2,
    "limit_val_batches": 1,
}


class Figures(Logger):
    """Keeps what it is given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(RunFolder(folder))
        self.figures: dict[str, Any] = {}
        self.images: dict[str, torch.Tensor] = {}
        self.embeddings: dict[str, Any] = {}

    def log_image(self, name: str, image: torch.Tensor, step: int) -> None:
        self.images[name] = image

    def log_embedding(self, name: str, vectors: Any, labels: Any, images: Any, step: int) -> None:
        self.embeddings[name] = vectors, labels, images


@pytest.fixture(autouse=True)
def figures_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(self: LoggerBoard, name: str, figure: Any) -> None:
        for logger in self.loggers:
            if isinstance(logger, Figures):
                logger.figures[f"{self.split}/{name}"] = figure
        draw(self, name, figure)

    draw = LoggerBoard.figure
    monkeypatch.setattr(LoggerBoard, "figure", keep)


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """Images of three classes, each of a colour of its own; wider than high."""
    random = np.random.default_rng(0)
    for index, name in enumerate(CLASSES):
        folder = tmp_path / "图片 of flowers" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 100, (12, 16, 3), dtype=np.uint8)
            pixels[:, :, index] += 100
            Image.fromarray(pixels).save(folder / f"图 {number}.png")
    return tmp_path / "图片 of flowers"


def run_of(data: DataModule, model: Any, *loggers: Logger, callbacks: tuple[Any, ...] = (), epochs: int = 1) -> Trainer:
    trainer = Trainer(max_epochs=epochs, logger=list(loggers), callbacks=[CollectOutcomes(), *callbacks], **QUIET)
    torch.manual_seed(1)
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    return trainer


def ready(data: DataModule) -> Any:
    data.prepare_data()
    data.setup()
    return data


def network(kind: Any, data: Any, *provided: str, **options: Any) -> Classifier:
    torch.manual_seed(0)
    given = {name: getattr(data, name) for name in (*provided, "num_classes", "class_names")}
    return kind(**given, optimizer=partial(torch.optim.SGD, lr=0.01), **options)


def test_images_are_shown_in_their_own_colours_with_the_names_of_their_files(flowers: Path, tmp_path: Path) -> None:
    data = ready(Images(str(flowers), batch_size=8))
    logger, folder = Figures(tmp_path), RunFolder(tmp_path / "run")
    folder.path.mkdir()
    evaluated: list[bool] = []

    class Noting(CNN):
        def show_results(self, *args: Any) -> None:
            evaluated.append(not self.training and not torch.is_inference_mode_enabled())
            super().show_results(*args)

    model = network(Noting, data, "in_channels", "image_size")
    run_of(data, model, logger, callbacks=(LogExamples(Pictures(folder)),))
    assert evaluated == [True]
    figure = logger.figures["test/worst mistakes"]
    assert outside(figure) == []
    axes = figure.axes[0]
    for image, text in zip(axes.images, axes.texts, strict=False):
        true, predicted, source = text.get_text().split("\n")
        assert predicted.startswith("→ ")
        number = source.split("图 ")[-1]
        known = [np.asarray(Image.open(file)) for file in flowers.glob(f"*/图 {number}")]
        shown = np.round(image.get_array() * 255)
        assert any(np.abs(pixels - shown).max() <= 1 for pixels in known), "as it is in the file"
        assert any(name.startswith(true[0]) for name in CLASSES)
    names = {"worst mistakes", "confusion matrix", "curves", "features", "where it looks (Grad-CAM)"}
    assert {name.removeprefix("test/") for name in logger.figures if name.startswith("test/")} == names
    assert "test/first-layer filters" in logger.images
    for name in names | {"first-layer filters"}:
        assert {file.suffix for file in (folder.path / "pictures").glob(f"test {name}.*")} == {".png", ".svg"}
        assert outside(logger.figures[f"test/{name}"]) == [] if name in names else True


def test_the_projector_has_the_features_with_names_and_small_thumbnails(flowers: Path, tmp_path: Path) -> None:
    data = ready(Images(str(flowers), batch_size=8))
    logger = TensorBoardLogger(RunFolder(tmp_path / "run"))
    run_of(data, network(CNN, data, "in_channels", "image_size"), logger, callbacks=(LogExamples(),))
    config = (tmp_path / "run" / "projector_config.pbtxt").read_text()
    paths = dict(re.findall(r'(\w+_path): "(.+)"', config))
    assert re.findall(r"single_image_dim: (\d+)", config) == ["16", "16"], "wider than high, padded to squares"
    size = data.size_of("test")
    names = (tmp_path / "run" / paths["metadata_path"]).read_text(encoding="utf-8").splitlines()
    assert len(names) == size
    assert set(names) == set(CLASSES)
    file = tmp_path / "run" / paths["tensor_path"]
    vectors = np.loadtxt(file, delimiter="\t")
    assert vectors.shape == (size, min(size, 32))
    assert file.stat().st_size < size * 32 * 12
    with Image.open(tmp_path / "run" / paths["image_path"]) as sprite:
        assert sprite.width == sprite.height == 16 * int(np.ceil(size**0.5))


def test_large_images_have_small_thumbnails_and_of_many_examples_a_part_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ready(Images("digits", image_size=40))
    logger = Figures(tmp_path)
    monkeypatch.setattr("lightning_modules.tasks.shows.classes.NUM_POINTS", 30)
    run_of(data, network(CNN, data, "in_channels", "image_size"), logger, callbacks=(LogExamples(),))
    vectors, labels, images = logger.embeddings["test/features"]
    assert len(vectors) == len(labels) == 30 < NUM_POINTS
    assert images.shape == (30, 1, THUMBNAIL, THUMBNAIL)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize("kind", [CNN, CapsNet, MLP])
def test_pictures_change_neither_weights_nor_scores_nor_random_numbers(kind: Any, tmp_path: Path) -> None:
    found = []
    for callbacks in ((), (LogExamples(seconds=0),)):
        table = kind is MLP
        data = ready(TabularClassification("wine") if table else Images("digits", val_fraction=0.4, test_fraction=0.5))
        model = network(kind, data, *(["num_features"] if table else ["in_channels", "image_size"]))
        trainer = run_of(data, model, Figures(tmp_path), callbacks=callbacks, epochs=2)
        found.append((model.state_dict(), dict(trainer.callback_metrics), torch.get_rng_state()))
    (weights, scores, state), (others, other_scores, other_state) = found
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert scores == other_scores
    assert torch.equal(state, other_state)


@pytest.mark.parametrize(
    ("kind", "data", "provided"),
    [
        (MLP, TabularClassification("wine"), ["num_features"]),
        (GAT, GraphClasses("motifs"), ["num_features"]),
        (GCN, Nodes("karate"), ["num_features"]),
    ],
)
def test_tables_graphs_and_nodes_have_the_same_pictures(kind: Any, data: Any, provided: Any, tmp_path: Path) -> None:
    logger = Figures(tmp_path)
    run_of(ready(data), network(kind, data, *provided), logger, callbacks=(LogExamples(),))
    shown = {f"test/{name}" for name in ("confusion matrix", "curves", "features")}
    assert set(logger.figures) >= shown
    vectors, labels, images = logger.embeddings["test/features"]
    assert len(vectors) == len(labels) == min(data.size_of("test"), NUM_POINTS)
    assert images is None
    assert all(outside(logger.figures[name]) == [] for name in shown)


def test_several_labels_have_bars_and_curves(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["file,猫,dog"]
    for number in range(30):
        Image.fromarray(random.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number % 2},{number % 3 // 2}")
    (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    data = ready(Images(str(tmp_path / "list.csv"), batch_size=8, multilabel=True))
    logger = Figures(tmp_path)
    model = network(CNN, data, "in_channels", "image_size", multilabel=True)
    run_of(data, model, logger, callbacks=(LogExamples(),))
    shown = {name.removeprefix("test/") for name in logger.figures if name.startswith("test/")}
    assert shown == {"worst mistakes", "scores of the labels", "curves", "features", "where it looks (Grad-CAM)"}
    assert set(logger.embeddings["test/features"][1]) <= {"猫", "dog", "dog, 猫", "none"}


@pytest.mark.filterwarnings("ignore:Encountered `nan` values:UserWarning")
def test_predictions_that_are_not_finite_are_shown_without_an_error(tmp_path: Path) -> None:
    data = ready(Images("digits"))
    model = network(CNN, data, "in_channels", "image_size")
    logger = Figures(tmp_path)
    trainer = Trainer(logger=[logger], callbacks=[CollectOutcomes(), LogExamples()], **QUIET)
    torch.nn.init.constant_([*model.parameters()][-1], torch.nan)
    trainer.test(model, datamodule=data, verbose=False)
    assert "test/worst mistakes" in logger.figures
    assert "test/curves" not in logger.figures

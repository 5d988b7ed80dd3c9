"""Puts the project's own code into its pages: a link that stands alone in a line, to a file of code, becomes the code.

[`MLP.forward`](../../../lightning_modules/mlp.py)

is a link on GitHub; on the site and in the notebooks it is that method, as it is when they are built.
"""

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"^\[`([^`]+)`\]\(((?:\.\./)+[\w/.-]+\.(py|yaml))\)$", re.MULTILINE)


def definition(file: Path, name: str) -> str:
    """The lines of a function, a class, or a method such as `MLP.forward`, without its indent; or the complete file.

    Args:
        file: of the project.
        name: of the definition, or of the file.

    Raises:
        ValueError: the file has no such definition.
    """
    text = file.read_text(encoding="utf-8")
    if name == file.name:
        return text.strip()
    node: Any = ast.parse(text)
    for part in name.split("."):
        named = [child for child in node.body if getattr(child, "name", None) == part]
        if not named:
            raise ValueError(f"{file}: has no {name}")
        node = named[0]
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("\n".join(text.splitlines()[first - 1 : node.end_lineno]))


def with_code(markdown: str, folder: Path) -> str:
    """A page in which each such link is the code that it leads to.

    Args:
        markdown: the page.
        folder: that the page is in.

    Raises:
        ValueError: a link leads to no definition.
    """

    def code(link: re.Match[str]) -> str:
        name, target, ending = link.groups()
        file = (folder / target).resolve()
        title = file.relative_to(ROOT).as_posix()
        return f'```{ending.replace("py", "python")} title="{title}"\n{definition(file, name)}\n```'

    return LINK.sub(code, markdown)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """What mkdocs calls for each page."""
    return with_code(markdown, Path(page.file.abs_src_path).parent)

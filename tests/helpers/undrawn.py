"""What stands for a figure's files in tests that do not look at them: drawing them takes longer than a short run."""

import base64
from typing import Any

from callbacks.loggers import boards
from lightning_modules.tasks.pictures.figure import figure_file

PNG = base64.b64decode(b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4//8/AAX+Av4N70a4AAAAAElFTkSuQmCC")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'


def undrawn(figure: Any, form: str) -> bytes:
    """The smallest picture, white, in place of a figure's."""
    return {"png": PNG, "svg": SVG}[form]


def draw(really: bool) -> None:
    """Have figures drawn from now on, or not."""
    boards.figure_file = figure_file if really else undrawn  # type: ignore[attr-defined]


def is_drawn() -> bool:
    """Whether they are."""
    return boards.figure_file is figure_file  # type: ignore[attr-defined]

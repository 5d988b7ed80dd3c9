"""A board that keeps what it is shown."""

from typing import Any

from torch import Tensor

from lightning_modules.tasks.task import Board


class RecordedBoard(Board):
    """Texts, images and figures by name."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.images: dict[str, Tensor] = {}
        self.figures: dict[str, Any] = {}

    def text(self, name: str, markdown: str) -> None:
        self.texts[name] = markdown

    def image(self, name: str, image: Tensor) -> None:
        self.images[name] = image

    def figure(self, name: str, figure: Any) -> None:
        self.figures[name] = figure

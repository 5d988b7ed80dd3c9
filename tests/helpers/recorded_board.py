"""A board that keeps what it is shown."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_modules.tasks.task import Board


class RecordedBoard(Board):
    """Texts, images and figures by name."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.images: dict[str, Tensor] = {}
        self.figures: dict[str, Any] = {}
        self.embeddings: dict[str, Any] = {}
        self.names: Sequence[str] = ()

    def text(self, name: str, markdown: str) -> None:
        self.texts[name] = markdown

    def image(self, name: str, image: Tensor) -> None:
        self.images[name] = image

    def figure(self, name: str, figure: Any) -> None:
        self.figures[name] = figure

    def embedding(self, name: str, vectors: Tensor, labels: Sequence[str], images: Tensor | None = None) -> None:
        self.embeddings[name] = (vectors, labels, images)

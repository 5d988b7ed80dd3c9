"""A run's pictures as files that others can read: PNG and SVG, in the folder `pictures` of the run."""

import base64
from pathlib import Path

from torch import Tensor

from callbacks.run.run_folder import RunFolder
from datamodules.storage.atomic_file import write_file
from lightning_modules.tasks.boards import png

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    '<image width="{width}" height="{height}" href="data:image/png;base64,{content}"/></svg>\n'
)


class Pictures:
    """The files; a picture that is shown again replaces the earlier one.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def image(self, name: str, image: Tensor) -> None:
        """Write an image, (C, H, W), from 0 to 1."""
        content = png((image.clamp(0, 1) * 255).round().byte())
        height, width = image.shape[1:]
        inside = base64.b64encode(content).decode()
        self._write(name, "png", content)
        self._write(name, "svg", SVG.format(width=width, height=height, content=inside).encode())

    def drawing(self, name: str, png_content: bytes, svg_content: bytes) -> None:
        """Write what has been drawn as both already."""
        self._write(name, "png", png_content)
        self._write(name, "svg", svg_content)

    def _write(self, name: str, form: str, content: bytes) -> None:
        self.run.check()
        folder = self.run.path / "pictures"
        folder.mkdir(exist_ok=True)
        write_file(folder / f"{file_name(name)}.{form}", lambda file: file.write(content))


def file_name(name: str) -> str:
    """The file's name, without its ending, of a picture's, such as `test/worst mistakes`."""
    return "".join(" " if char in '<>:"/\\|?*' else char for char in name)


def pictures_of(folder: Path) -> list[Path]:
    """The pictures of a run, as PNG files: of the test first, by name."""
    return sorted((folder / "pictures").glob("*.png"), key=lambda file: (not file.name.startswith("test "), file.name))

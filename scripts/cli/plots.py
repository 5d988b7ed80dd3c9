"""Plots that scripts write."""

from pathlib import Path

from matplotlib.figure import Figure

from datamodules.files.paths import user_path
from datamodules.storage.atomic_file import atomic_write
from scripts.cli.errors import UsageError


def png_path(output: str) -> Path:
    """The file that `--output` names.

    Raises:
        UsageError: its name does not end in .png.
    """
    path = user_path(output, "--output")
    if path.suffix != ".png":
        raise UsageError(f"--output {output}: expected a name that ends in .png")
    return path


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure, complete or not at all."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png")

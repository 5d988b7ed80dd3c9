"""Images to draw the like of."""

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.files.encoding import decoded
from datamodules.files.paths import regular
from datamodules.images import Images
from datamodules.loading.examples import Rows
from datamodules.storage.download import DataError

MOST_SEED = 2**63 - 1


class ImagesToDraw(Images):
    """Images with classes; what is asked of the model later is a seed for each image that it shall draw.

    Data and options are those of Images, but for those that would make other images than are to be drawn. The input of
    a prediction is a text file with a whole number on each line.
    Provides, besides, the mean and spread of the pixels.
    """

    provides: ClassVar[tuple[str, ...]] = (*Images.provides, "mean", "std")

    def __init__(self, dataset: str = "digits", **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        for option, none in (("auto_augment", "none"), ("erase", 0), ("mixup", 0), ("cutmix", 0)):
            value = getattr(self, option)
            if value != none:
                raise ValueError(f"--data.{option} {value}: the model would learn to draw such images; expected {none}")

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        """The seeds of a text file.

        Raises:
            DataError: a line is not a whole number.
        """
        if path.is_dir():
            raise DataError(f"--input {path}: a folder; expected a text file with a seed, a whole number, on each line")
        names: list[str] = []
        for number, line in enumerate(decoded(regular(path).read_bytes(), self.encoding, path).splitlines(), start=1):
            text = line.strip()
            if not text:
                continue
            if not text.isdecimal() or int(text) > MOST_SEED:
                raise DataError(f"{path}:{number}: expected a seed, a whole number from 0, found {text[:40]}")
            names.append(text)
        return Rows(torch.tensor([int(name) for name in names], dtype=torch.long)), names

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise and augment images; seeds stay what they are."""
        if isinstance(batch, Tensor) and batch.dim() == 1:
            return batch
        return super().on_after_batch_transfer(batch, dataloader_idx)

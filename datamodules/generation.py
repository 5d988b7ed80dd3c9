"""Images for generative models."""

import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline
from datamodules.baselines.principal_components import PrincipalComponents
from datamodules.files.encoding import decoded
from datamodules.files.paths import regular
from datamodules.images import Images
from datamodules.loading.examples import Rows
from datamodules.storage.download import DataError

MAX_SEED = 2**63 - 1


class ImagesToDraw(Images):
    """Images with classes, for a model that generates images; its input at prediction is a seed for each image.

    Data and options are those of Images, but for augmentations that would change what is generated. The input of a
    prediction is a text file with an integer on each line.
    Provides, in addition, the mean and standard deviation of the pixels.
    """

    typed: ClassVar[tuple[str, str]] = ".txt", ""
    provides: ClassVar[tuple[str, ...]] = (*Images.provides, "mean", "std")

    def __init__(self, dataset: str = "digits", **kwargs: Any) -> None:
        super().__init__(dataset=dataset, **kwargs)
        for option, none in (("auto_augment", "none"), ("erase", 0), ("mixup", 0), ("cutmix", 0)):
            value = getattr(self.augmentation, option)
            if value != none:
                raise ValueError(
                    f"--data.{option} {value}: the model would learn to generate such images; expected {none}"
                )

        if self.multilabel:
            raise ValueError("--data.multilabel true: images are generated of one class each; expected false")

    def baselines(self) -> dict[str, Baseline]:
        """A normal distribution of the images."""
        return {"pca": PrincipalComponents(math.prod(self.shape))}

    def typed_example(self, text: str) -> str:
        """A seed."""
        return text.strip()

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        """The seeds of a text file.

        Raises:
            DataError: a line is not an integer.
        """
        if path.is_dir():
            raise DataError(f"--input {path}: a folder; expected a text file with a seed, an integer, on each line")
        names: list[str] = []
        for row, line in enumerate(decoded(regular(path).read_bytes(), self.encoding, path).splitlines(), start=1):
            text = line.strip()
            if not text:
                continue
            if not text.isdecimal() or int(text) > MAX_SEED:
                raise DataError(f"{path}:{row}: expected a seed, an integer from 0, found {text[:40]}")
            names.append(text)
        return Rows(torch.tensor([int(name) for name in names], dtype=torch.long)), names

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise and augment images; seeds are unchanged."""
        if isinstance(batch, Tensor) and batch.dim() == 1:
            return batch
        return super().on_after_batch_transfer(batch, dataloader_idx)

"""A trained model that reads pixels."""

from typing import Any

from torch import Tensor, nn

from datamodules.export.exportable import ExportableModule
from datamodules.files.pixels import EARLIER_LEVELS, IMAGE_FILES, WHITISH


class ExportableImages(ExportableModule):
    """Reads images as bytes, 0 to 255, and normalises them."""

    reads = "images"

    def __init__(self, model: nn.Module, data: Any) -> None:
        super().__init__(model, data)
        self.inputs = {"pixels": ("batch", *data.shape)}

    def preprocessing(self) -> dict[str, Any]:
        """How an image file becomes pixels; they are normalised by the network itself."""
        channels, height, width = self.data.shape
        return {
            "files": IMAGE_FILES,
            "upright": "as EXIF says",
            "levels": {"I": EARLIER_LEVELS["I"]} | self.data.levels,  # of images of more than 8 bits
            "whitish": WHITISH,  # transparent parts become white; black where the rest is brighter than this
            "channels": channels,
            "shorter_side": self.data._side,
            "filter": "bilinear, antialiased, as Pillow's; the middle square is cut out",
            "height": height,
            "width": width,
        }

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The pixels."""
        return (batch,)

    def forward(self, pixels: Tensor) -> Tensor:  # type: ignore[override]
        """Logits."""
        return self.network(self.data.normalise(pixels))

"""Images in files: found, read as they are needed, and identified."""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.errors import DataError
from datamodules.files.file_list import FileList
from datamodules.files.paths import regular
from datamodules.files.pixels import Levels, decode
from datamodules.loading.parallel import in_parallel
from datamodules.storage.progress import Progress

FEW = 500  # images that are decoded before processes have begun
MOST_TOGETHER, BYTES_TOGETHER = 64, 2**20  # of images that a process sends together, in shared memory that is scarce
TAIL = 4096  # bytes at the end of a file, in which compressed images differ


def read_idx(path: Path) -> Tensor:
    """Read a file in MNIST's IDX format, also compressed as `.gz`, as a uint8 tensor.

    Raises:
        DataError: its header and its length do not agree.
    """
    packed = path.with_name(path.name + ".gz")
    try:
        content = regular(path).read_bytes() if path.exists() else gzip.decompress(regular(packed).read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    dimensions = content[3] if len(content) > 3 else 0
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * dimensions:
        raise DataError(f"{path}: not an IDX file of bytes")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) - 4 - 4 * dimensions != int(np.prod(shape)):
        raise DataError(f"{path}: truncated: its header says {' x '.join(map(str, shape))} bytes")
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    return torch.from_numpy(values.copy())


class ImageFiles(Dataset[Any]):
    """Image files decoded on access: memory does not grow with their number.

    Args:
        paths: of all files.
        channels: 1 or 3.
        height: in pixels.
        width: in pixels.
        size: as for `decode`.
        levels: as for `decode`.
        targets: of all files, or None.
        index: the files of this split; all of them by default.
    """

    reads_files: ClassVar[bool] = True  # for each batch

    def __init__(
        self,
        paths: FileList,
        channels: int,
        height: int,
        width: int,
        size: int | None,
        levels: Levels,
        targets: Tensor | None = None,
        index: Tensor | None = None,
    ) -> None:
        self.paths = paths
        self.shape = (channels, height, width)
        self.size = size
        self.levels = levels
        self.seen: list[str] | None = None  # what decoding changed, if that is to be reported
        self.targets = targets
        self.index = torch.arange(len(paths)) if index is None else index

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Any:
        rows = self.index[index]
        images = torch.stack([self.decoded(row, self.seen) for row in rows.tolist()])
        return images if self.targets is None else (images, self.targets[rows])

    def decoded(self, index: int, seen: list[str] | None = None) -> Tensor:
        """The image at an index of all files.

        Args:
            index: of the file.
            seen: as for `decode`.

        Raises:
            DataError: it has another shape than the first.
        """
        path = self.paths[index]
        image = decode(path, self.shape[0], self.size, self.levels, seen)
        if image.shape != self.shape:
            raise DataError(
                f"{path}: {image.shape[2]} x {image.shape[1]} pixels, expected "
                f"{self.shape[2]} x {self.shape[1]} like the others; --data.image_size scales them all"
            )
        return image

    def in_memory(self) -> Tensor:
        """All images, (N, C, H, W); decoded by several processes: threads wait for each other at small images.

        Raises:
            DataError: one is no image, or has another shape.
        """
        images = torch.empty(len(self), *self.shape, dtype=torch.uint8)
        together = max(1, min(MOST_TOGETHER, BYTES_TOGETHER // math.prod(self.shape)))
        progress, row = Progress("decoding", len(self), unit="images"), 0
        try:
            for part, seen in in_parallel(self._part, len(self), together, FEW):
                images[row : row + len(part)] = part
                row += len(part)
                if self.seen is not None:
                    self.seen += seen
                progress.add(len(part))
        finally:  # where one is refused, too
            progress.end()
        return images

    def _part(self, rows: range) -> tuple[Tensor, list[str]]:
        """Consecutive images of this split, with what decoding them changed."""
        seen: list[str] = []
        return torch.stack([self.decoded(index, seen) for index in self.index[rows.start : rows.stop].tolist()]), seen


def ends_of(files: FileList) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A hash of each file: of its size; of files of equal size, of their ends; and of equal ends, of everything."""
    known = np.fromiter((file.stat().st_size for file in files), np.int64, len(files))
    for max_bytes in (TAIL, None):
        _, group, times = np.unique(known, return_inverse=True, return_counts=True)
        for index in np.flatnonzero(times[group] > 1).tolist():
            both = known[index].tobytes() + _digest(files[index], max_bytes)
            known[index] = int.from_bytes(hashlib.sha256(both).digest()[:8], "little", signed=True)
    return known


def _digest(file: Path, max_bytes: int | None) -> bytes:
    """A digest of the last bytes of a file, or of all."""
    with file.open("rb") as content:
        if max_bytes is not None:
            content.seek(max(file.stat().st_size - max_bytes, 0))
        return hashlib.file_digest(content, "sha256").digest()

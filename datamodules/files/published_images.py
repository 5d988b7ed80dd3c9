"""Published sets of images in forms of their own: MNIST's, CIFAR's, and scikit-learn's digits."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.files.images import read_idx

MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CIFAR10_FILES = [*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin"]
CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FASHION_CLASSES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip

Official = dict[str, Tensor]


def files_of(dataset: str) -> tuple[list[str], str | None]:
    """The files of a published data set, and its folder's name where that is another."""
    if dataset == "CIFAR10":
        return CIFAR10_FILES, "cifar-10-batches-bin"
    return [f"{name}.gz" for pair in MNIST_FILES.values() for name in pair], None


def read_published(folder: Path, dataset: str) -> tuple[Tensor, list[str], Official]:
    """The images (N, C, H, W) of a published data set, the class of each, and its splits.

    Raises:
        DataError: a file is damaged.
    """
    return _read_cifar10(folder) if dataset == "CIFAR10" else _read_mnist_like(folder, dataset)


def _read_mnist_like(folder: Path, dataset: str) -> tuple[Tensor, list[str], Official]:
    images, labels, official, start = [], [], {}, 0
    for split, (image_file, label_file) in MNIST_FILES.items():
        images.append(read_idx(folder / image_file))
        labels.append(read_idx(folder / label_file))
        if len(images[-1]) != len(labels[-1]):
            raise DataError(f"{folder}: {len(images[-1])} {split} images, but {len(labels[-1])} labels")
        official[split] = torch.arange(start, start + len(labels[-1]))
        start += len(labels[-1])
    names = FASHION_CLASSES if dataset == "FashionMNIST" else [str(digit) for digit in range(10)]
    return torch.cat(images)[:, None], _named(torch.cat(labels).tolist(), names, folder), official


def _read_cifar10(folder: Path) -> tuple[Tensor, list[str], Official]:
    parts = [np.fromfile(folder / file, np.uint8) for file in CIFAR10_FILES]
    for file, part in zip(CIFAR10_FILES, parts, strict=True):
        if len(part) % 3073:
            raise DataError(f"{folder / file}: truncated: {len(part)} bytes are not a multiple of 3073")
    records = np.concatenate(parts).reshape(-1, 3073)  # a label, then 32 x 32 pixels in red, green and blue
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy())
    size, num_test = len(records), len(parts[-1]) // 3073
    official = {"train": torch.arange(size - num_test), "test": torch.arange(size - num_test, size)}
    return images, _named(records[:, 0].tolist(), CIFAR10_CLASSES, folder), official


def _named(codes: list[int], names: list[str], folder: Path) -> list[str]:
    """The class of each code, which is its position among the names."""
    for index, code in enumerate(codes):
        if code >= len(names):
            raise DataError(f"{folder}: example {index + 1} has label {code}; labels go from 0 to {len(names) - 1}")
    return [names[code] for code in codes]

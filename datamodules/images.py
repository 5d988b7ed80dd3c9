"""Images: held as bytes in memory, normalised and augmented as complete batches on the device."""

import math
import os
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from xxhash import xxh3_64_intdigest

from datamodules.augmentation.auto_augment import AutoAugment
from datamodules.augmentation.images import ImageAugmentation
from datamodules.base import DataModule, Preview
from datamodules.baselines.baseline import Baseline
from datamodules.baselines.nearest_mean import NearestMean
from datamodules.checking.described import sampled
from datamodules.checking.giveaway import files_telling_class
from datamodules.checking.neighbours import thumbnails
from datamodules.checking.suspicions import ALIKE_IMAGES, Compared
from datamodules.export.exportable import ExportableModule
from datamodules.export.exportable_images import ExportableImages
from datamodules.files import pixels
from datamodules.files.class_folders import LISTS, image_folders
from datamodules.files.encoding import known_encoding
from datamodules.files.file_list import FileList, files_in
from datamodules.files.image_lists import ImageList, several_codes, several_labels
from datamodules.files.images import ImageFiles, ends_of
from datamodules.files.paths import printable
from datamodules.files.pixels import (
    EARLIER_LEVELS,
    IMAGE_FILES,
    REMARKS,
    decode,
    is_grey,
    levels_of,
    opened,
)
from datamodules.files.published_images import files_of, read_published
from datamodules.files.sklearn_data import read_digits
from datamodules.files.splits import SPLITS, listed
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Names, Rows, Source
from datamodules.loading.sampling import Splits, generator
from datamodules.storage.catalogue import IMAGES, Remotes
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import content_digests, hash_numbers, hash_texts, of_files
from datamodules.storage.kept import Kept, States, code_of, kept, states_of

IN_MEMORY = 2**30  # bytes of decoded images that are kept in memory; more is read from disk as it is needed
CPU = torch.device("cpu")
EXAMINED = 1000  # files in which the levels of deep images are looked for, and what gives the class away
THUMBNAIL = 16  # pixels a side, by which images are compared
READER = (PIL.__version__, code_of(pixels))  # on which decoded images depend
AT_ONCE = 2**20  # values that are read at once, of at most 256 images, to compute their mean and standard deviation


class Images(LabelledData):
    """Images that each belong to a class.

    A batch is `(images, target)`: (B, C, H, W) uint8 from the loader, normalised float32 on the device, and (B,); of
    mixed images the target is (B, K), each class's probability.
    Provides in_channels, image_size, num_classes, class_names and class_counts.

    Your own files are a folder of class folders, with or without train, val and test folders around them; or a list,
    such as a CSV file, with a path or id and a label a line, relative to its own folder or one in it, and perhaps the
    split.

    Args:
        dataset: a known data set, or the path of a folder or a list.
        image_size: scale images to squares with this many pixels a side; by default they must be of one size.
        channels: 1 for grey, 3 for colour; as in the first image by default.
        flip: mirror training images left to right, each with probability 1/2.
        shift: move training images by up to this many pixels each way.
        crop: train on random crops of at least this fraction of the area, scaled up to the image's size.
        rotate: rotate training images by up to this many degrees each way.
        auto_augment: change each training image by random operations: `randaugment`, two of medium strength (Cubuk et
            al. 2020), or `trivial`, one of any strength (Müller & Hutter 2021).
        jitter: maximum relative change of the brightness, contrast and saturation of training images.
        erase: probability that a rectangle of a training image is erased (Zhong et al. 2017).
        mixup: blend training images with others, and their targets likewise; the mixing ratio is sampled, once a
            batch, from Beta(mixup, mixup) (Zhang et al. 2018); 0 to disable it.
        cutmix: the same by pasting a rectangle of the other image (Yun et al. 2019); with both, each batch samples one.
        encoding: of a list.
        image: name or index of a list's column of paths or ids; by default the one that names files.
        target: name or index of a list's column of labels; inferred by default.
        multilabel: whether an image has any number of labels, in columns of 0 and 1 of a list or in one cell, such as
            `cat|dog`; the target of a batch is then (B, K), 0 or 1.
        hash_contents: identify images that do not fit into memory by their contents, all of which are then read before
            training, instead of their names, sizes and modification times. Those in memory always are.
        kwargs: as for LabelledData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("digits",)
    of_own: ClassVar[tuple[str, ...]] = ("encoding", "image", "target", "hash_contents")
    published: ClassVar[Remotes] = IMAGES
    provides: ClassVar[tuple[str, ...]] = (
        "in_channels",
        "image_size",
        *LabelledData.provides,
    )
    fitted: ClassVar[tuple[str, ...]] = (*LabelledData.fitted, "mean", "std", "shape", "levels", "num_examples")
    typed: ClassVar[tuple[str, str]] = ".image", ""
    added: ClassVar[dict[str, Any]] = {"levels": EARLIER_LEVELS, "num_examples": 0}

    def __init__(
        self,
        dataset: str = "digits",
        image_size: int | None = None,
        channels: int | None = None,
        flip: bool = False,
        shift: int = 0,
        crop: float = 1.0,
        rotate: float = 0.0,
        auto_augment: AutoAugment = "none",
        jitter: float = 0.0,
        erase: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        encoding: str = "utf-8",
        image: str | int | None = None,
        target: str | int | None = None,
        multilabel: bool | None = None,
        hash_contents: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        if image_size is not None and image_size < 1:
            raise ValueError(f"--data.image_size: expected at least 1, got {image_size}")
        if channels not in (None, 1, 3):
            raise ValueError(f"--data.channels: expected 1 (grey) or 3 (colour), got {channels}")
        self.augmentation = ImageAugmentation(
            flip, shift, crop, rotate, auto_augment, jitter, erase, mixup, cutmix
        )  # fmt: skip
        self.size = image_size
        self.channels = channels
        self.encoding = known_encoding(encoding)
        self.image = image
        self.target = target
        self.multilabel = bool(multilabel)
        if multilabel and self.balance != "none":
            raise ValueError(f"--data.balance {self.balance}: balances classes, one an image; expected none here")
        self.hash_contents = hash_contents
        self.shape: list[int] = []
        self.num_examples = 0  # of the training split
        self.mean: list[float] = []
        self.std: list[float] = []
        self.levels: dict[str, list[float]] = {}  # of images of more than 8 bits a channel
        self._scales: dict[torch.device, tuple[Tensor, Tensor]] = {}
        self.images: Tensor | None = None
        self.files = FileList()
        self.pixel_digest = ""
        self.content_digests: list[int] = []

    @property
    def in_channels(self) -> int:
        """C"""
        return self.shape[0]

    @property
    def image_size(self) -> int:
        """H; the longer side where images are not square."""
        return max(self.shape[1:])

    @property
    def _side(self) -> int | None:
        """Images are scaled to squares with this side; None to leave them as they are."""
        if self.restored and self.shape[1] == self.shape[2]:
            return self.shape[1]
        return self.size

    def read(self) -> Source:
        """Read images and labels; files only as far as they fit memory."""
        official: dict[str, Tensor] = {}
        if self.multilabel and (self.is_embedded or self.is_published):
            raise DataError(f"--data.multilabel true: the images of {self.dataset} each have one class")
        if self.is_embedded:
            pixels, labels = read_digits()
            self.images = torch.from_numpy(pixels)
        elif self.is_published:
            files, name = files_of(self.dataset)
            self.images, labels, official = read_published(self.folder_of(files, name), self.dataset)
        else:
            labels, official = self._read_files()
        if self.images is not None:
            self.pixel_digest = hash_numbers(self.images)  # before they are scaled, which may round otherwise elsewhere
            self._fit_shape()
        if self.multilabel:
            self.class_names, self.labels = several_codes(labels, self.known_classes, self.dataset, self.note)
            return Source(len(labels), None, official)
        self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset)
        return Source(len(labels), self.labels, official)

    def _read_files(self) -> tuple[list[str], dict[str, Tensor]]:
        path = self.path
        if self.multilabel and path.is_dir():
            raise DataError(f"--data.multilabel true: {path} is a folder; expected a list of images with their labels")
        self.files = FileList()
        labels, splits = [], []
        for file, label, split in self._listed(path) if path.is_file() else image_folders(self.note).found_in(path):
            self.files.append(file)
            labels.append(sys.intern(label))  # a million equal labels take the memory of one
            splits.append(split)
        if not labels:
            found = f", {image_folders(self.note).without_classes(path)}" if path.is_dir() else ""
            kinds = listed(IMAGE_FILES, 8)
            raise DataError(f"{path}: no images in it; expected a folder of class folders with {kinds}{found}")
        official = {
            split: torch.tensor([of == split for of in splits]).nonzero().flatten()
            for split in SPLITS
            if split in splits
        }
        if official and "" in splits:
            raise DataError(f"{path}: some images belong to a split, but {self.files[splits.index('')]} to none")
        states = states_of(self.files.encoded(), path if path.is_dir() else path.parent)
        if not self.restored:
            self._examine(official.get("train", torch.arange(len(labels))), states)
        if len(self.files) * math.prod(self.shape) <= IN_MEMORY:
            self.images = self._in_memory(self._on_disk(self.files), states)
        return labels, official

    def _listed(self, path: Path) -> Iterator[tuple[Path, str, str]]:
        """(file, label, split) of each line of a list; several labels in one cell need the option."""
        found: set[str] = set()
        for file, label, split in ImageList(path, self.encoding, self.note, self.image).labelled(
            self.target, self.multilabel
        ):
            found.add(label)
            yield file, label, split
        if not self.multilabel and (cell := several_labels(found)):
            raise DataError(f"{path}: {cell} seems to be several labels; --data.multilabel true reads them as such")

    def _examine(self, train: Tensor, states: States) -> None:
        """Take the shape of all images from the first, and the levels of deep ones from some that are trained on."""

        def examined() -> Kept:
            some = train[:: -(-len(train) // EXAMINED)].tolist()
            levels, channels = levels_of(self.files[index] for index in some), self.channels
            if channels is None:
                with opened(self.files[0]) as image:
                    channels = 1 if is_grey(image) else 3
            return Kept({}, {"levels": levels, "shape": [*decode(self.files[0], channels, self.size, levels).shape]})

        key = ["examined", states.digest, hash_numbers(train), self.channels, self.size, *READER]
        found = kept(examined, key, states.size).facts
        self.levels, self.shape = found["levels"], found["shape"]
        for kind, (low, high) in self.levels.items():
            if kind == "F" or (low, high) != (0, 65535):
                numbers = "floating point numbers" if kind == "F" else "integers of more than 8 bits"
                self.note(f"{self.dataset}: images of {numbers}: {low:g} is read as black, {high:g} as white")

    def _on_disk(self, files: FileList, targets: Tensor | None = None, index: Tensor | None = None) -> ImageFiles:
        channels, height, width = self.shape
        return ImageFiles(files, channels, height, width, self._side, self.levels, targets, index)

    def _in_memory(self, images: ImageFiles, states: States | None = None) -> Tensor:
        """All images, decoded; what that changed is reported.

        Args:
            images: of files.
            states: of these, where the decoded images are kept for later runs.
        """

        def decoded() -> Kept:
            images.seen = []
            return Kept({"pixels": images.in_memory().numpy()}, Counter(images.seen))

        key = ["pixels", states and states.digest, self.shape, self._side, self.levels, *READER]
        found = kept(decoded, key, states.size if states else 0)
        self._report(Counter(found.facts), len(images))
        return torch.from_numpy(found.arrays["pixels"])

    def _report(self, seen: Counter[str], size: int) -> None:
        for kind, remark in REMARKS.items():
            if seen[kind] and (kind != "colour" or not (self.channels or self.restored)):
                self.note(f"{self.dataset}: {seen[kind]} of {size} images {remark}")

    def _fit_shape(self) -> None:
        """Convert images that are in memory to the requested size and number of channels."""
        assert self.images is not None
        if self.channels is not None and self.channels != self.images.shape[1]:
            if self.channels == 3:
                self.images = self.images.expand(-1, 3, -1, -1)
            else:
                weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # ITU-R 601, what PIL takes for grey
                self.images = (self.images * weights).sum(1, keepdim=True).round().to(torch.uint8)
        size = self._side
        if size is not None and tuple(self.images.shape[2:]) != (size, size):
            parts = [
                F.interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
                .round()
                .clamp(0, 255)
                .to(torch.uint8)
                for part in self.images.split(1024)
            ]
            self.images = torch.cat(parts)
        shape = list(self.images.shape[1:])
        if self.restored and shape != self.shape:
            raise DataError(
                f"{self.dataset}: its images are {shape} (channels, height, width), expected {self.shape}, "
                f"which the model was trained on"
            )
        self.shape = shape

    def check(self, source: Source, splits: Splits) -> None:
        """Refuse, in addition, a split in which all pixels are equal, and labels that no image has in training."""
        if self.multilabel:
            DataModule.check(self, source, splits)
            self._check_labels(splits)
        else:
            super().check(source, splits)
        for name, index in splits._asdict().items():
            self._check_pixels(name, index)

    def _check_labels(self, splits: Splits) -> None:
        counts = self.labels[splits.train].sum(0).long().tolist()
        if missing := [name for name, count in zip(self.class_names, counts, strict=True) if not count]:
            raise DataError(f"{self.dataset}: no image of the training split has the label {listed(missing)}")
        if not self.restored:
            self.class_counts = counts

    @property
    def label_digest(self) -> str:
        """A digest of the class, or the labels, of each image in a split."""
        if not self.multilabel:
            return super().label_digest
        return hash_texts([*self.class_names, hash_numbers(self.labels[torch.cat(self.splits).sort().values])])

    def setup_test(self) -> None:
        """Read data that a trained model is to be tested on."""
        super().setup_test()
        self._check_pixels("test", self.splits.test)

    def _check_pixels(self, split: str, index: Tensor) -> None:
        """Refuse a split in which all pixels are equal; mostly its first image shows that they are not."""
        examples, values = self.examples(index), set()
        for position in range(len(index)):
            pixels = examples[torch.tensor([position])][0]
            values |= {int(pixels.min()), int(pixels.max())}
            if len(values) > 1:
                return
        raise DataError(f"{self.dataset}: all pixels of the {split} split are {values.pop()}; expected pictures")

    def example_hashes(self) -> Iterable[Hashable] | None:
        """The pixels of each of your own images; of those not in memory the path, or the content if requested."""
        if not len(self.files):
            return None
        if self.images is not None:
            return (xxh3_64_intdigest(image) for image in self.images.contiguous().numpy())
        if self.hash_contents:
            return self._file_contents()
        return map(os.fsencode, self.files)

    def earlier_identities(self) -> Iterable[Hashable] | None:
        """The size of each of your own files; of files of one size their ends, and of those that end alike all."""
        return ends_of(self.files) if len(self.files) else None

    def class_sizes(self) -> dict[str, list[int]]:
        """Of each class, or label, its images in each split."""
        if not self.multilabel:
            return super().class_sizes()
        counts = [self.labels[rows].sum(0).long().tolist() for rows in self.splits]
        return {name: [*sizes] for name, *sizes in zip(self.class_names, *counts, strict=True)}

    def class_of_rows(self, rows: Tensor) -> Tensor | None:
        """The class index of each, where it has one."""
        return None if self.multilabel else super().class_of_rows(rows)

    def facts(self) -> list[tuple[str, str]]:
        """The shape of the images, as they are trained on."""
        channels, height, width = self.shape
        scaled = f", scaled (--data.image_size {self.size})" if self.size else ""
        kind = "grey" if channels == 1 else "colour"
        return [("images", f"{sum(map(len, self.splits)):,} of {width} x {height} pixels{scaled}, {kind}")]

    def shown(self, row: int) -> tuple[str, str] | None:
        """The path of an image, and its class or labels."""
        if not len(self.files):
            return None
        if not self.multilabel:
            return self.origin(row), self.class_names[self.labels[row]]
        labels = [name for name, has in zip(self.class_names, self.labels[row].tolist(), strict=True) if has]
        return self.origin(row), ", ".join(labels) or "no label"

    def origin(self, row: int) -> str:
        """The path of an image."""
        if not len(self.files):
            return super().origin(row)
        path = self.files[row]
        return printable(path.relative_to(self.path) if path.is_relative_to(self.path) else path.name)

    def as_vectors(self, rows: Tensor) -> Compared:
        """The images as thumbnails."""
        examples = self.examples(rows)
        parts = [
            F.adaptive_avg_pool2d(examples[part][0].float().mean(1, keepdim=True), THUMBNAIL)[:, 0].numpy()
            for part in torch.arange(len(rows)).split(max(1, min(256, AT_ONCE // math.prod(self.shape))))
        ]
        return Compared(thumbnails(np.concatenate(parts)), ALIKE_IMAGES)

    def giveaways(self) -> list[str]:
        """The size, the mode or the kind of the files."""
        if self.multilabel or not len(self.files):
            return []
        rows = sampled(self.splits.train, EXAMINED)
        return files_telling_class([self.files[row] for row in rows.tolist()], self.labels[rows].numpy())

    def contents(self) -> dict[str, str]:
        """Of the pixels and the classes; of the files where these are read as they are needed."""
        labels = {"labels": self.label_digest}
        if self.images is not None:
            return {"pixels": self.pixel_digest} | labels
        return of_files(self.files, self.path, self._file_contents() if self.hash_contents else None) | labels

    def _file_contents(self) -> list[int]:
        if not self.content_digests:
            self.content_digests = content_digests(self.files)
        return self.content_digests

    def fit(self, train: Tensor) -> None:
        """Compute the mean and standard deviation of each channel."""
        self.num_examples = len(train)
        if len(train) > 10_000:  # enough for a mean to a thousandth
            train = train[torch.randperm(len(train), generator=generator(0))[:10_000]]
        total = torch.zeros(3, self.in_channels, dtype=torch.float64)
        examples = self.examples(train)
        if isinstance(examples, ImageFiles):
            examples.seen = []
        for part in torch.arange(len(train)).split(max(1, min(256, AT_ONCE // math.prod(self.shape)))):
            pixels = examples[part][0].double() / 255
            count = torch.full((self.in_channels,), pixels[:, 0].numel())
            total += torch.stack([count, pixels.sum((0, 2, 3)), pixels.square().sum((0, 2, 3))])
        if isinstance(examples, ImageFiles):
            self._report(Counter(examples.seen), len(examples))
        count, first, second = total
        mean = first / count
        self.mean = mean.tolist()
        self.std = (second / count - mean.square()).clamp(min=1e-8).sqrt().tolist()
        self._keep_scale()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of an earlier run."""
        super().load_state_dict(state_dict)
        self._keep_scale()

    def _keep_scale(self) -> None:
        """Keep the mean and the scale of each channel as tensors, for `normalise` is called for each batch."""
        mean, std = (torch.tensor(each).view(-1, 1, 1) * 255 for each in (self.mean, self.std))
        self._scales = {CPU: (mean, 1 / std)}

    def examples(self, index: Tensor) -> Rows | ImageFiles:
        """Images in memory, or read as they are needed."""
        if self.images is not None:
            return Rows(self.images, self.labels, index)
        return self._on_disk(self.files, self.labels, index)

    def typed_example(self, text: str) -> str:
        """None: an image is no text."""
        raise DataError("--example: an image is not typed; expected --input with its file, or - for the standard input")

    def read_input(self, path: Path) -> tuple[Rows | ImageFiles, Names]:
        """An image file, all images of a folder in the order of their paths, or those of a list, named as in it."""
        files = FileList()
        names: Names = files
        if path.is_file() and path.name.lower().endswith(LISTS):
            images_of = [*ImageList(path, self.encoding, self.note, self.image).images()]
            names, found = [name for name, _ in images_of], (file for _, file in images_of)
        else:
            found = (file for file in ([path] if path.is_file() else files_in(path, IMAGE_FILES)))
        for file in found:
            files.append(file)
        images = self._on_disk(files)
        fits = len(files) * math.prod(self.shape) <= IN_MEMORY
        return Rows(self._in_memory(images)) if fits else images, names

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise, and augment in training; on the device, a complete batch at once."""
        images, target = batch if isinstance(batch, tuple | list) else (batch, None)
        if self.trainer is not None and self.trainer.training:
            normal = self.normalise(self.augmentation.augment(images))
            return self.augmentation.mix(normal, target, self.num_classes)
        images = self.normalise(images)
        return images if target is None else (images, target)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 to float32 of mean 0 and standard deviation 1 in each channel, channels last: fast for convolutions."""
        device = images.device
        if device not in self._scales:
            mean, scale = (part.to(device, non_blocking=True) for part in self._scales[CPU])
            self._scales[device] = mean, scale
        mean, scale = self._scales[device]
        normal = ((images.float() - mean) * scale).contiguous(memory_format=torch.channels_last)
        if self.trainer is None:
            return normal
        return self.trainer.precision_plugin.convert_input(normal)  # it was given bytes, which it does not convert

    def pixels(self, images: Tensor) -> Tensor:
        """Normalised images as they were, from 0 to 1."""
        mean, std = (torch.tensor(each, device=images.device).view(-1, 1, 1) for each in (self.mean, self.std))
        return (images.float() * std + mean).clamp(0, 1)

    def preview(self, batch: Any, max_images: int) -> Preview:
        """The first images of a batch as the model gets them, with their classes."""
        images, target = (part[:max_images] for part in batch)
        return Preview(self.pixels(images), target, self.class_names)

    def baselines(self) -> dict[str, Baseline]:
        """The nearest class mean on pixels."""
        return {"class_mean": NearestMean(math.prod(self.shape), self.num_classes, self.multilabel)}

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads pixels."""
        return ExportableImages(model, self)

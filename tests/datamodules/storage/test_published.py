"""A published set that is found is the one whose name was given: MNIST's files are never taken for FashionMNIST's."""

import gzip
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import base
from datamodules.errors import DataError
from datamodules.images import Images
from datamodules.storage import published
from datamodules.storage.atomic_file import DENIED
from datamodules.storage.catalogue import IMAGES, Remote
from tests.datamodules.test_images import idx

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def contents(seed: int) -> dict[str, bytes]:
    """Forty images to train on and twenty to test on, by the names of MNIST's files."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    labels = (np.arange(60, dtype=np.uint8) + seed) % 10
    parts = (pictures[:40], labels[:40], pictures[40:], labels[40:])
    return {name: idx(part) for name, part in zip(NAMES, parts, strict=True)}


MNIST, FASHION = contents(0), contents(1)


def remotes(name: str, files: dict[str, bytes], unpacked_known: bool) -> tuple[Remote, ...]:
    return tuple(
        Remote(
            f"https://nowhere.invalid/{name}/{file}.gz",
            f"md5:{hashlib.md5(gzip.compress(content, mtime=0)).hexdigest()}",
            f"sha256:{hashlib.sha256(content).hexdigest()}" if unpacked_known else None,
        )
        for file, content in files.items()
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small sets in the place of the published ones; the file that keeps checksums."""
    sets = {"MNIST": remotes("MNIST", MNIST, True), "FashionMNIST": remotes("FashionMNIST", FASHION, False)}
    monkeypatch.setattr(Images, "published", sets)
    monkeypatch.setattr(base, "DATA_FOLDER", tmp_path / "ours")

    def refuse(remote: Remote, folder: Path) -> Path:
        if (folder / remote.name).exists():
            return folder / remote.name
        raise DataError(f"cannot download {remote.url}")

    monkeypatch.setattr(published, "download", refuse)
    return tmp_path / "ours" / "checksums.json"


def put(folder: Path, files: dict[str, bytes], packed: bool, level: int = 9) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content, level, mtime=0) if packed else content)
    return folder


def found(name: str, root: Path) -> Path:
    data = Images(name, root=str(root), batch_size=1)
    data.setup()
    return data.folder_of([f"{file}.gz" for file in NAMES])


@pytest.mark.parametrize(("packed", "level"), [(True, 9), (True, 1), (False, 0)])
@pytest.mark.parametrize("where", ["", "raw", "FashionMNIST", "fashionmnist/raw"])
def test_the_files_of_mnist_are_not_taken_for_fashion_mnist(
    where: str, packed: bool, level: int, place: Path, refused: Any, capsys: Any
) -> None:
    folder = put(place / where, MNIST, packed, level)
    file = folder / f"train-images-idx3-ubyte{'.gz' if packed else ''}"
    said = f"{file} is of MNIST: its "
    if where == "FashionMNIST":  # where it would be downloaded
        with refused(said, "move it away"):
            found("FashionMNIST", place)
    else:
        with refused("cannot download https://nowhere.invalid/FashionMNIST/train-images"):
            found("FashionMNIST", place)
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_of_several_folders_the_right_one_is_taken_without_a_word(
    name: str, packed: bool, place: Path, capsys: Any
) -> None:
    other, own = (MNIST, FASHION) if name == "FashionMNIST" else (FASHION, MNIST)
    put(place / name / "raw", other, packed) if packed else put(place / "a" / name, MNIST, True)
    put(place, other, packed)
    expected = put(place / "vision" / name / "raw", own, packed)
    assert found(name, place) in ({expected} if packed or name == "FashionMNIST" else {expected, place / "a" / name})
    assert capsys.readouterr().err == ""


def test_what_its_owner_has_altered_is_taken_with_a_word(place: Path, capsys: Any) -> None:
    altered = put(place / "MNIST", MNIST | {NAMES[1]: idx(np.full(40, 3, np.uint8))}, packed=False)
    Images("MNIST", root=str(place), batch_size=1).read()
    stated, now = (hashlib.sha256(content).hexdigest() for content in (MNIST[NAMES[1]], idx(np.full(40, 3, np.uint8))))
    said = f"note: {altered / NAMES[1]} is not as it was published: its sha256:{now}, expected sha256:{stated}\n"
    assert capsys.readouterr().err == said
    put(place / "vision" / "MNIST", MNIST, packed=True)
    assert found("MNIST", place) == place / "vision" / "MNIST"
    assert capsys.readouterr().err == ""


def test_altered_files_in_a_folder_without_the_name_are_nobodys(place: Path, refused: Any, capsys: Any) -> None:
    put(place, FASHION, packed=False)
    with refused("cannot download https://nowhere.invalid/MNIST/"):
        found("MNIST", place)
    assert f"{place / NAMES[0]} is not as it was published" in capsys.readouterr().err


def test_a_file_is_read_once_for_all_runs_until_it_changes(
    small: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    digest = hashlib.file_digest

    def recorded(file: Any, algorithm: str) -> Any:
        read.append(Path(file.name).name)
        return digest(file, algorithm)

    monkeypatch.setattr(hashlib, "file_digest", recorded)
    folder = put(place / "MNIST", MNIST, packed=False)
    for _ in range(2):
        found("MNIST", place)
    assert sorted(read) == sorted(NAMES)
    read.clear()
    put(folder, {NAMES[0]: MNIST[NAMES[0]][:-1] + b"!"}, packed=False)
    found("MNIST", place)
    assert read == [NAMES[0]]
    assert [child.name for child in place.iterdir()] == ["MNIST"]  # nothing is kept among the user's data
    small.write_text("damaged")
    read.clear()
    found("MNIST", place)
    assert sorted(read) == sorted(NAMES)


def test_an_archive_that_is_not_the_published_one_is_refused(
    place: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Images, "published", IMAGES)
    archive = place / "CIFAR10" / "cifar-10-binary.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(b"truncated")
    with refused(archive, "expected md5:c32a1d4ab5d03f1284b67883e8d87530", "delete it"):
        Images("CIFAR10", root=str(place)).read()


@pytest.mark.parametrize("code", DENIED)
def test_a_folder_that_may_not_be_written_is_told_with_the_option(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(remote: Remote, folder: Path) -> Path:
        raise OSError(code, os.strerror(code), str(folder))

    monkeypatch.setattr(published, "download", denied)
    message = (
        rf"MNIST is not in .*, or not unpacked, and .*cannot be written \({re.escape(os.strerror(code))}\); give --data"
    )
    with pytest.raises(DataError, match=message):
        published.find_or_download(
            "MNIST", {"MNIST": remotes("MNIST", MNIST, True)}, NAMES, ["MNIST"], tmp_path, tmp_path, print
        )

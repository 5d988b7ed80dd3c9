"""Published data sets: found in a folder and verified, or else downloaded."""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from datamodules.errors import DataError
from datamodules.storage.atomic_file import DENIED, atomic_write
from datamodules.storage.catalogue import Remote, Remotes
from datamodules.storage.download import download, find_folders, unpack

MAX_KEPT = 10_000  # checksums
Verdict = Literal["published", "altered", "foreign"]


class Checksums:
    """Checksums of files, cached across runs: a file is read again when its size or modification time changes.

    Args:
        path: of the cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, str] = {}
        with suppress(OSError, ValueError):  # there is no cache yet, or a damaged one
            known = json.loads(path.read_text(encoding="utf-8"))
            self.known = known if isinstance(known, dict) else {}

    def of(self, file: Path, algorithm: str, unpacked: bool = False) -> str:
        """The checksum of a file, or of its decompressed content, such as `md5:…`."""
        status = file.stat()
        key = f"{algorithm} {'unpacked ' if unpacked else ''}{status.st_size} {status.st_mtime_ns} {file.resolve()}"
        if key not in self.known:
            with gzip.open(file) if unpacked else file.open("rb") as content:
                self.known[key] = f"{algorithm}:{hashlib.file_digest(content, algorithm).hexdigest()}"
            self._keep()
        return self.known[key]

    def check(self, file: Path, remote: Remote) -> None:
        """Refuse a file that is not the one that was published, where its checksum is stated.

        Raises:
            DataError: it is not.
        """
        if remote.checksum and (found := self.of(file, remote.checksum.split(":")[0])) != remote.checksum:
            raise DataError(
                f"{file} is not as it was published: its {found}, expected {remote.checksum}; "
                f"delete it and run again to download it anew"
            )

    def _keep(self) -> None:
        kept = dict(list(self.known.items())[-MAX_KEPT:])
        with suppress(OSError), atomic_write(self.path) as file:  # without it, the next run reads the file again
            file.write(json.dumps(kept, indent=0).encode("utf-8", "surrogatepass"))


class Judged(NamedTuple):
    """The verdict on a folder.

    Args:
        verdict: `published`, `altered` if some file does not match its published checksum, or `foreign` if one is
            another data set's.
        reason: which file, what was found and what was expected; empty if published.
    """

    verdict: Verdict
    reason: str = ""


def judged(folder: Path, dataset: str, sets: Remotes, checksums: Checksums) -> Judged:
    """Compare a folder with the published checksums, and with those of other data sets with the same file names.

    A file for which no checksum is published is identified by its name. A file may have been altered by its owner; but
    if several data sets use its name, only where the folder has the name of this data set.

    Args:
        folder: the folder that was found.
        dataset: name of the data set.
        sets: the files of this data set and of those that it could be mistaken for.
        checksums: their cache.
    """
    altered = ""
    for own in sets[dataset]:
        plain = folder / own.name.removesuffix(".gz")
        file, expected = (
            (plain, own.unpacked) if own.is_packed and plain.is_file() else (folder / own.name, own.checksum)
        )
        rivals = [
            (other, remote) for other in sets if other != dataset for remote in sets[other] if own.is_like(remote)
        ]
        if own.is_archive or not file.is_file() or not (expected or rivals):
            continue
        algorithm = (expected or "sha256").split(":")[0]
        found = checksums.of(file, algorithm)
        if found == expected:
            continue
        for other, remote in rivals:
            if _is_of(file, remote, checksums) or _bears(folder, other):
                return Judged("foreign", f"{file} is of {other}: its {found}, expected {expected or 'another'}")
        if expected is not None:
            altered = altered or f"{file} is not as it was published: its {found}, expected {expected}"
            if rivals and not _bears(folder, dataset):
                return Judged("foreign", altered)
    return Judged("altered", altered) if altered else Judged("published")


def _bears(folder: Path, dataset: str) -> bool:
    return dataset.lower() in (folder.name.lower(), folder.parent.name.lower() if folder.name == "raw" else "")


def _is_of(file: Path, remote: Remote, checksums: Checksums) -> bool:
    """Whether a file is a published one, compressed by its publisher or anybody, or decompressed."""
    packed = file.suffix == ".gz"
    stated = remote.checksum if packed or not remote.is_packed else remote.unpacked
    if stated is not None and checksums.of(file, stated.split(":")[0]) == stated:
        return True
    if packed and remote.unpacked is not None:
        with suppress(OSError, EOFError, zlib.error):  # a damaged file is reported when it is read
            return checksums.of(file, remote.unpacked.split(":")[0], unpacked=True) == remote.unpacked
    return False


def find_or_download(
    dataset: str,
    sets: Remotes,
    required: Sequence[str],
    names: Sequence[str],
    root: Path,
    own_folder: Path,
    note: Callable[[str], None],
) -> Path:
    """The folder that contains a published data set: found under `root`, or else downloaded.

    Args:
        dataset: its name.
        sets: the files of this data set and of those that it could be mistaken for.
        required: files that tell it from other folders; each may also be there unpacked from its `.gz`.
        names: of the folder that contains it, in collections of data sets and in the publisher's archive.
        root: the folder that is searched, and downloaded into where it can be written.
        own_folder: the folder that is downloaded into otherwise, and that keeps checksums.
        note: reports a finding that is no reason to stop.

    Raises:
        DataError: it can be neither found nor downloaded, or the download is something else.
    """
    checksums = Checksums(own_folder / "checksums.json")
    folder = (root if os.access(root, os.W_OK) or not root.exists() else own_folder) / dataset
    found = _found(dataset, sets, find_folders(root, names, required), folder, checksums, note)
    if not found:
        try:
            for remote in sets[dataset]:
                file = download(remote, folder)
                if remote.is_archive and not (folder / "raw").exists():
                    checksums.check(file, remote)
                    unpack(file, folder / "raw")
        except OSError as error:
            if error.errno not in DENIED:
                raise
            raise DataError(
                f"{dataset} is not in {root}, or not unpacked, and {folder} cannot be written ({error.strerror}); give "
                f"--data.root, a folder that has it or that you may write"
            ) from None
        found = _found(dataset, sets, find_folders(folder, [*names, "raw"], required), folder, checksums, note)
    if not found:
        raise DataError(f"{folder}: the download has no {required[0]}")
    return found


def _found(
    dataset: str,
    sets: Remotes,
    folders: Iterable[Path],
    target: Path,
    checksums: Checksums,
    note: Callable[[str], None],
) -> Path | None:
    """The folder whose files are those of the data set, or else one whose owner has altered them, with a note.

    Raises:
        DataError: those of another data set are where this one would be downloaded.
    """
    altered: list[tuple[Path, str]] = []
    foreign: list[tuple[Path, str]] = []
    for folder in folders:
        verdict, reason = judged(folder, dataset, sets, checksums)
        if verdict == "published":
            return folder
        (altered if verdict == "altered" else foreign).append((folder, reason))
    if altered:
        folder, reason = altered[0]
        note(reason)
        return folder
    for folder, reason in foreign:
        if folder.is_relative_to(target):
            raise DataError(f"{reason}; move it away to have {dataset} downloaded")
        note(f"{reason}; it is not taken for {dataset}")
    return None

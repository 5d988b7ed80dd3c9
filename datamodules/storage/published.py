"""Whether files that were found are those that were published under a data set's name."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from datamodules.errors import DataError
from datamodules.storage.atomic_file import whole_file
from datamodules.storage.catalogue import Remote

MAX_KEPT = 10_000  # checksums
Verdict = Literal["published", "altered", "foreign"]
Sets = Mapping[str, tuple[Remote, ...]]  # the files of each data set


class Checksums:
    """Checksums of files, kept from run to run: a file is read again where its size or modification time is another.

    Args:
        path: of the file that keeps them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, str] = {}
        with suppress(OSError, ValueError):  # there is none yet, or a damaged one
            known = json.loads(path.read_text(encoding="utf-8"))
            self.known = known if isinstance(known, dict) else {}

    def of(self, file: Path, algorithm: str, unpacked: bool = False) -> str:
        """The checksum of a file, or of what is packed in it, such as `md5:…`."""
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
        with suppress(OSError), whole_file(self.path) as file:  # without it, the next run reads the file again
            file.write(json.dumps(kept, indent=0).encode("utf-8", "surrogatepass"))


class Judged(NamedTuple):
    """What a folder turned out to hold.

    Args:
        verdict: `published` where nothing says otherwise, `altered` where some file is not as its publisher states,
            `foreign` where one is another data set's.
        reason: which file, what was found and what was expected; empty where nothing is wrong.
    """

    verdict: Verdict
    reason: str = ""


def judged(folder: Path, dataset: str, sets: Sets, checksums: Checksums) -> Judged:
    """Compare a folder with the published checksums, and with those of other data sets whose files are called the same.

    A file for which no checksum is stated is known by its name. One that is altered may have been by its owner; but of
    those whose name several data sets use, only where the folder is called like this data set.

    Args:
        folder: that was found.
        dataset: name of the data set.
        sets: the files of this data set and of those that it could be mistaken for.
        checksums: that are known.
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
    """Whether a file is a published one, packed by its publisher or anybody, or unpacked."""
    packed = file.suffix == ".gz"
    stated = remote.checksum if packed or not remote.is_packed else remote.unpacked
    if stated is not None and checksums.of(file, stated.split(":")[0]) == stated:
        return True
    if packed and remote.unpacked is not None:
        with suppress(OSError, EOFError, zlib.error):  # what is damaged is found out by whoever reads it
            return checksums.of(file, remote.unpacked.split(":")[0], unpacked=True) == remote.unpacked
    return False

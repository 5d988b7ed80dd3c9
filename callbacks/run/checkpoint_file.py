"""Checkpoint files: written atomically, with a checksum, and read without executing anything in them."""

import errno
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from callbacks.private.torch import save_without_data
from datamodules.errors import UserError
from datamodules.files.paths import found_instead
from datamodules.storage.atomic_file import TRANSIENT_ERRORS, atomic_write, write_file
from lightning_modules.layers.shards import is_shard

FORMAT = 1  # of a checkpoint's content; incremented when older versions of this project can no longer read it
RENAMED = {"Patience": "EarlyStopping", "Description": "RunMetadata"}  # callbacks, by their names in earlier runs
SEAL = b"sha256:"
SEAL_SIZE = len(SEAL) + 64
CHUNK = 2**20


class CheckpointError(ValueError):
    """A file is not a valid checkpoint; the message says why, without the file's name."""


class HashingFile:
    """A file that is hashed as it is written.

    Args:
        file: the destination.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.hash = hashlib.sha256()
        self.failed: OSError | None = None

    def write(self, content: Any) -> int:
        """Write and hash."""
        self.hash.update(content)
        try:
            return self.file.write(content)
        except OSError as error:
            self.failed = error
            raise

    def flush(self) -> None:
        """Nothing: the file is synced when it is complete."""


class UnsavedError(UserError, OSError):
    """A file of a run could not be written; the message says why, and an older file of that name is still there."""


class RefusedError(UnsavedError):
    """A retry would fail, too: the file system denies writing, or is read-only by now."""


class DiskFullError(RefusedError):
    """The disk is full, or the user's quota is exceeded."""


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint with its checksum, which is the comment of the ZIP archive.

    Raises:
        DiskFullError: the message says how much space is needed.
        RefusedError: the file system denies it.
        UnsavedError: a network file system failed, in three attempts.
    """

    def write(file: IO[bytes]) -> None:
        hashed = HashingFile(file)
        try:
            torch.save(checkpoint | {"format": FORMAT}, hashed)  # type: ignore[arg-type]
        except RuntimeError:
            if hashed.failed is not None:  # torch wraps what the file raised
                raise hashed.failed from None
            raise  # its context may be another OSError, after which this is the last save
        _seal(file, hashed.hash.hexdigest())

    with _told(checkpoint, path):
        write_file(path, write)


def write_shards(checkpoint: dict[str, Any], path: Path, is_first: bool) -> None:
    """Write a checkpoint of which each process has shards, the same file as that of a whole one; collective.

    One tensor after the other is gathered and written, so that no process ever has more than one of them whole.

    Args:
        checkpoint: shards are in the same order in all processes.
        path: file to write.
        is_first: whether this process writes it.

    Raises:
        UnsavedError: as `write_checkpoint` does, but in one attempt; all have taken part in all of it nevertheless.
    """
    tensors: list[Tensor] = []
    apply_to_collection(checkpoint, Tensor, tensors.append)
    wholes = (tensor.full_tensor() if is_shard(tensor) else tensor for tensor in tensors)
    try:
        if is_first:
            with _told(checkpoint, path), atomic_write(path) as file:
                _write_each(checkpoint, wholes, file)
    finally:
        for _ in wholes:
            pass


def _write_each(checkpoint: dict[str, Any], tensors: Iterator[Tensor], file: IO[bytes]) -> None:
    """Write a checkpoint whose tensors come one at a time."""
    room = apply_to_collection(checkpoint, Tensor, lambda x: torch.empty(x.shape, dtype=x.dtype))  # never touched
    for place in save_without_data(room | {"format": FORMAT}, file):
        file.seek(place)
        data: Any = next(tensors).detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        file.write(data)
    file.flush()
    with Path(file.name).open("rb") as written:
        digest = _hash(written, written.seek(0, os.SEEK_END))
    _seal(file, digest.hexdigest())


def _hash(file: IO[bytes], size: int) -> Any:
    """The hash of the first bytes of a file, so many."""
    file.seek(0)
    found = hashlib.sha256()
    while size > 0:
        chunk = file.read(min(CHUNK, size))
        found.update(chunk)
        size -= len(chunk)
    return found


def _seal(file: IO[bytes], digest: str) -> None:
    file.seek(-2, os.SEEK_END)  # the length of the comment, 0 so far
    file.write(SEAL_SIZE.to_bytes(2, "little") + SEAL + digest.encode())


@contextmanager
def _told(checkpoint: dict[str, Any], path: Path) -> Iterator[None]:
    """Say why a checkpoint could not be written."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in TRANSIENT_ERRORS:
            raise UnsavedError(f"{path}: cannot be saved ({error.strerror}); the older checkpoints are kept") from None
        needed, free = size_of(checkpoint), shutil.disk_usage(path.parent).free
        quota = isinstance(error, OSError) and error.errno == errno.EDQUOT
        if quota or free < needed or "No space left" in f"{error} {error.__context__}":
            needs = f"a checkpoint needs {needed / 1e6:,.1f} MB"
            raise DiskFullError(f"{path}: {full(quota, free)}; {needs}; the older checkpoints are kept") from None
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):  # of a deleted folder
            raise RefusedError(f"{path}: cannot be saved ({error.strerror}); the older checkpoints are kept") from None
        raise


def full(quota: bool, free: int) -> str:
    """What a disk has no more of: space, or of it the user's share, and how many bytes are free."""
    return "your quota on this disk is used up" if quota else f"the disk is full: {free / 1e6:,.1f} MB are free"


def size_of(value: Any) -> int:
    """Bytes of the tensors in a checkpoint, approximately the size of its file."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(size_of, value))
    return 0


def verify(path: Path) -> None:
    """Compare a checkpoint's content with its checksum.

    Raises:
        CheckpointError: the file is no checkpoint of this project, or has changed since it was written.
    """
    found = found_instead(path) if path.exists() else None  # opening a missing file says so
    if found is not None:
        raise CheckpointError(f"not a checkpoint: expected a file, found {found}")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            raise CheckpointError("not a checkpoint: it is empty")
        file.seek(0)
        if file.read(4) != b"PK\x03\x04":
            raise CheckpointError("not a checkpoint")
        file.seek(max(size - SEAL_SIZE, 0))
        seal = file.read()
        if not re.fullmatch(SEAL + rb"[0-9a-f]{64}", seal):
            raise CheckpointError("not a checkpoint, or only a part of one: its end, with the checksum, is missing")
        digest = _hash(file, size - SEAL_SIZE - 2)
        digest.update(b"\0\0")  # the length of the comment, as it was hashed
        if SEAL + digest.hexdigest().encode() != seal:
            raise CheckpointError("damaged: its checksum does not match")


def read_checkpoint(path: Path, mapped: bool = False) -> dict[str, Any]:
    """Read a checkpoint, checksum first; only plain types and tensors are accepted, and nothing in it is executed.

    Args:
        path: of it.
        mapped: leave its tensors in the file, for those who drop them soon: they are read where they are looked at.

    Raises:
        CheckpointError: it is not one, it is damaged, or a newer version of this project wrote it.
    """
    try:
        verify(path)
    except CheckpointError as error:
        if "checksum, is missing" not in str(error):
            raise
        with suppress(CheckpointError):  # complete, but not written by this project
            content = _loaded(path, mapped)
            if isinstance(content, dict) and "state_dict" not in content:
                error = CheckpointError("holds bare weights, not a checkpoint that scripts/fit.py saved")
        raise error from None
    checkpoint = _loaded(path, mapped)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("format"), int):
        raise CheckpointError("not a checkpoint that scripts/fit.py saved: it does not say its format")
    if checkpoint["format"] > FORMAT:
        raise CheckpointError(
            f"written by a newer version of this project (format {checkpoint['format']}, expected {FORMAT} or less)"
        )
    if isinstance(checkpoint.get("callbacks"), dict):  # Lightning finds a callback's state by the name of its class
        checkpoint["callbacks"] = {RENAMED.get(name, name): state for name, state in checkpoint["callbacks"].items()}
    return checkpoint


def _loaded(path: Path, mapped: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch may raise anything on invalid bytes
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "weights_only" in first.lower() or "Weights only" in first:
            first = "it holds objects that would have to be executed, which is refused"
        raise CheckpointError(f"not a checkpoint ({first})") from None


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file in the same folder, syncs it, and then renames it.

    Lightning stages it in $TMPDIR and moves it, which on another file system is a copy that can be interrupted.
    A file is not written again within `seconds`: an epoch may take milliseconds. Until then the newest content
    is kept in memory; `flush` writes it. So is what a network file system failed to write: the run continues, and
    has its older file until the next save.

    Args:
        seconds: minimum time between two writes of one file.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        super().__init__()
        self.seconds = seconds
        self.written_at: dict[str, float] = {}
        self.pending: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, UnsavedError] = {}  # why a file is outdated

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint, or keep a copy of it if the file was written less than `seconds` ago."""
        name = os.fspath(path)
        if time.monotonic() - self.written_at.get(name, float("-inf")) < self.seconds:
            self.pending[name] = _copied(checkpoint)
        else:
            self.write(checkpoint, name)

    def write(self, checkpoint: dict[str, Any], name: str) -> None:
        """Write the file now, or keep its content for later where a network file system fails."""
        pending = self.pending.pop(name, None)
        try:
            write_checkpoint(checkpoint, Path(name))
            self.failed.pop(name, None)
        except RefusedError:
            raise
        except UnsavedError as error:
            self._tell(name, error)
            self.pending[name] = checkpoint if pending is checkpoint else _copied(checkpoint)
        self.written_at[name] = time.monotonic()

    def save_shards(self, checkpoint: dict[str, Any], path: Any, is_first: bool) -> None:
        """Write a checkpoint of which each process has shards; collective, and never postponed."""
        name = os.fspath(path)
        try:
            write_shards(checkpoint, Path(name), is_first)
            self.failed.pop(name, None)
        except RefusedError:
            raise
        except UnsavedError as error:
            self._tell(name, error)

    def _tell(self, name: str, error: UnsavedError) -> None:
        if name not in self.failed:
            print(f"warning: {error}; the next save tries again", file=sys.stderr, flush=True)
        self.failed[name] = error

    def flush(self, final: bool = False) -> None:
        """Write what is pending.

        Args:
            final: there is no later save that could retry.

        Raises:
            UnsavedError: the final attempt failed, too.
        """
        for name, checkpoint in list(self.pending.items()):
            if final or name not in self.failed:
                self.write(checkpoint, name)
        if final and self.failed:
            raise next(iter(self.failed.values()))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Read a checkpoint; only plain types and tensors are accepted."""
        return read_checkpoint(Path(path))


def _copied(value: Any) -> Any:
    """The checkpoint with copies of its tensors, which training no longer changes."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return type(value)((key, _copied(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value

"""Tokens of documents end to end, in memory or in a file that is written once, even if its writer is killed."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import DataError
from datamodules.storage.atomic_file import sync_folder, write_file
from datamodules.storage.cache_files import made_once
from datamodules.storage.open_file import OpenFile
from datamodules.storage.progress import Progress
from datamodules.tokenizing.document_encoder import Encoded

KEPT_EVERY = 64 * 10**6  # bytes of text after which what is written is kept, should its writer be killed: half a minute
WORD = 8  # bytes of a number that is not a token

Encode = Callable[[int], Iterator[Encoded]]  # given the number of pieces whose tokens are known


class Tokens:
    """Tokens of documents end to end.

    Args:
        values: (N,) all of them; None if they are in a file.
        path: that file, whose ending is the type of the tokens.
    """

    def __init__(self, values: NDArray[Any] | None, path: Path | None = None) -> None:
        self.values = values
        self.file = None if path is None else OpenFile(path)
        self.type = np.asarray(values).dtype if path is None else np.dtype(path.suffix[1:])

    def gather(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens at these positions; a file is mapped anew each time, so that pages do not accumulate."""
        if self.file is None:
            assert self.values is not None
            return self.values[positions]
        return np.frombuffer(self.file.mapped(), self.type, self.file.size // self.type.itemsize)[positions]


class TokenStream(NamedTuple):
    """Tokens of documents end to end, and where each is.

    Args:
        tokens: of all documents.
        lengths: (D,) tokens of each document.
        excess: (D,) how many bytes more its tokens stand for than its text has.
    """

    tokens: Tokens
    lengths: NDArray[np.int64]
    excess: NDArray[np.int64]


def stream_in_memory(encode: Encode) -> TokenStream:
    """The tokens of documents, in memory."""
    documents = _Documents()
    tokens = []
    for encoded in encode(0):
        tokens.append(encoded.tokens)
        documents.add(encoded)
    values = np.concatenate(tokens) if tokens else np.zeros(0, np.uint8)
    return TokenStream(Tokens(values), *documents.finished())


def stored_stream(encode: Encode, type_: Any, key: Sequence[str], total: int) -> TokenStream:
    """The tokens of documents, from a file that the first of several processes writes.

    One that is killed leaves what it has written, and the next goes on with that.

    Args:
        encode: the tokens; called only if there is no such file.
        type_: of the tokens, unsigned.
        key: what they depend on.
        total: bytes of all texts, to tell how far the work is.

    Raises:
        DataError: the file is damaged.
    """

    def make(path: Path) -> None:
        _Writer(path, total).write(encode)

    return read_stream(made_once(make, key, f".{np.dtype(type_).name}"))


def read_stream(path: Path) -> TokenStream:
    """The tokens in a file that `stored_stream` has written.

    Raises:
        DataError: the file is damaged.
    """
    file = OpenFile(path)
    trailer = 2 * WORD
    if file.size >= trailer:
        tokens, documents = np.frombuffer(file.read(file.size - trailer, file.size), np.int64).tolist()
        itemsize = np.dtype(path.suffix[1:]).itemsize
        start = -(-tokens * itemsize // WORD) * WORD
        if tokens >= 0 and documents >= 0 and file.size == start + 2 * WORD * documents + trailer:
            found = np.fromfile(path, np.int64, 2 * documents, offset=start).reshape(documents, 2)
            lengths, excess = np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1])
            if lengths.min(initial=0) >= 0 and lengths.sum() == tokens:
                return TokenStream(Tokens(None, path), lengths, excess)
    raise DataError(f"{path}: damaged; delete it and run again")


class _Documents:
    """The lengths of documents whose tokens come in parts."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.excess: list[int] = []
        self.goes_on = False  # the last of them

    def add(self, encoded: Encoded) -> None:
        """Those of further tokens."""
        first = 0
        if self.goes_on:
            self.lengths[-1] += encoded.lengths[0]
            self.excess[-1] += encoded.excess[0]
            first = 1
        self.lengths += encoded.lengths[first:]
        self.excess += encoded.excess[first:]
        self.goes_on = not encoded.ends

    def finished(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The lengths and the excess of the documents that are complete, which are forgotten."""
        count = len(self.lengths) - self.goes_on
        found = np.array(self.lengths[:count], np.int64), np.array(self.excess[:count], np.int64)
        del self.lengths[:count], self.excess[:count]
        return found


class _Done(NamedTuple):
    """What is written and synced.

    Args:
        pieces: whose tokens are.
        tokens: bytes of them.
        documents: bytes of their lengths.
        length: tokens so far of the document that goes on; -1 where none does.
        excess: of that.
        text: bytes of it.
    """

    pieces: int = 0
    tokens: int = 0
    documents: int = 0
    length: int = -1
    excess: int = 0
    text: int = 0


class _Writer:
    """Writes a file of tokens, with the lengths of the documents after them.

    Args:
        path: of the file when it is complete.
        total: bytes of all texts.
    """

    def __init__(self, path: Path, total: int) -> None:
        self.path = path
        self.total = total
        self.tokens, self.documents, self.done = (path.with_suffix(end) for end in (".partial", ".lengths", ".done"))

    def write(self, encode: Encode) -> None:
        """Go on where an earlier writer was killed, or begin."""
        done = self._found()
        documents = _Documents()
        if done.length >= 0:
            documents.lengths, documents.excess, documents.goes_on = [done.length], [done.excess], True
        progress = Progress("tokenizing", self.total, done.text)
        with self.tokens.open("ab") as tokens, self.documents.open("ab") as lengths:
            tokens.truncate(done.tokens)
            lengths.truncate(done.documents)
            pieces, text, kept = done.pieces, done.text, done.text
            for encoded in encode(done.pieces):
                tokens.write(encoded.tokens.data)
                documents.add(encoded)
                lengths.write(np.stack(documents.finished(), 1).tobytes())
                pieces, text = pieces + encoded.pieces, text + encoded.num_bytes
                progress.add(encoded.num_bytes)
                if text - kept >= KEPT_EVERY:
                    kept = text
                    sizes = [_synced(file) for file in (tokens, lengths)]
                    going = (documents.lengths[0], documents.excess[0]) if documents.goes_on else (-1, 0)
                    self._keep(_Done(pieces, sizes[0], sizes[1], going[0], going[1], text))
            progress.end()
            self._complete(tokens, lengths)
        os.replace(self.tokens, self.path)
        sync_folder(self.path.parent)
        for file in (self.documents, self.done):
            file.unlink(missing_ok=True)

    def _complete(self, tokens: IO[bytes], lengths: IO[bytes]) -> None:
        """Append what is not tokens."""
        size, documents = _synced(tokens), _synced(lengths) // (2 * WORD)
        tokens.write(bytes(-size % WORD))
        with self.documents.open("rb") as file:
            while block := file.read(1 << 20):
                tokens.write(block)
        itemsize = np.dtype(self.path.suffix[1:]).itemsize
        tokens.write(np.array([size // itemsize, documents], np.int64).tobytes())
        _synced(tokens)

    def _keep(self, done: _Done) -> None:
        write_file(self.done, lambda file: file.write(json.dumps(done).encode()))

    def _found(self) -> _Done:
        """What an earlier writer has left; nothing where it has left nothing, or not as much as it says."""
        with suppress(OSError, ValueError, TypeError):
            done = _Done(*json.loads(self.done.read_text(encoding="utf-8")))
            sizes = self.tokens.stat().st_size, self.documents.stat().st_size
            if sizes[0] >= done.tokens and sizes[1] >= done.documents and min(done[:3]) >= 0:
                return done
        return _Done()


def _synced(file: IO[bytes]) -> int:
    """The size of a file, all of which is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    return os.fstat(file.fileno()).st_size

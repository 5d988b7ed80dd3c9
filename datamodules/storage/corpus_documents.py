"""The documents of a corpus: read as often as they are needed, and what has to be known of each kept in arrays."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO, NamedTuple, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64

from datamodules.errors import DataError
from datamodules.files.document_parts import Piece, cut_at, not_blank, pieces_of
from datamodules.files.file_list import FileList
from datamodules.files.text_documents import Document, file_parts
from datamodules.storage import cache_files, token_cache
from datamodules.storage.fingerprint import hash_texts
from datamodules.storage.progress import Progress
from datamodules.storage.streaming import file_state, size_of

Cuts = Sequence[tuple[int, int]]  # the index of a document, and how many bytes of its text are before


class Texts(Protocol):
    """The documents of a corpus."""

    @property
    def key(self) -> list[str]:
        """What they depend on: other content has another key."""

    @property
    def is_large(self) -> bool:
        """Whether what is computed from them is kept in files."""

    @property
    def size(self) -> int:
        """About how many bytes they have."""

    @property
    def sources(self) -> Sequence[str]:
        """Where documents are from: the names of their files."""

    def parts(self) -> Iterator[Iterator[Piece]]:
        """The parts of the documents from each source."""


class ListedTexts:
    """Documents in memory.

    Args:
        texts: the text of each.
        name: of all.
    """

    is_large = False

    def __init__(self, texts: Sequence[str], name: str) -> None:
        self.texts = texts
        self.sources = [name]

    @property
    def key(self) -> list[str]:
        """The texts."""
        return [hash_texts(self.texts)]

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(len(text.encode()) for text in self.texts)

    def parts(self) -> Iterator[Iterator[Piece]]:
        """Each document is one part."""
        yield (Piece(text, True) for text in self.texts)


class FileTexts:
    """Documents of files, which are read again at each iteration.

    Args:
        files: of each split, or of all under an empty name.
        document: what a document is, see `file_parts`.
        keys: of a row's text; several are joined by line breaks.
        encoding: of the files.
    """

    def __init__(self, files: dict[str, FileList], document: Document, keys: Sequence[str], encoding: str) -> None:
        self.files = files
        self.document = document
        self.keys = keys
        self.encoding = encoding
        self.size = size_of(chain.from_iterable(files.values()))

    @property
    def is_large(self) -> bool:
        """Whether to tokenize them takes seconds."""
        return self.size >= token_cache.MIN_CACHED_BYTES

    @property
    def key(self) -> list[str]:
        """The states of the files, and how they are read."""
        states = map(file_state, chain.from_iterable(self.files.values()))
        return [*states, self.document, *self.keys, self.encoding]

    @property
    def sources(self) -> list[str]:
        """The names of the files."""
        return [file.name for file in chain.from_iterable(self.files.values())]

    def parts(self) -> Iterator[Iterator[Piece]]:
        """The parts of the documents of each file."""
        for file in chain.from_iterable(self.files.values()):
            yield file_parts(file, self.document, self.keys, self.encoding)


class DocumentIndex(NamedTuple):
    """What is known of each document.

    Args:
        num_bytes: (D,) of its text.
        hashes: (D,) of its text.
        of_sources: (S,) the number of documents from each source.
        blank: number of those that are left out, since they have no text.
    """

    num_bytes: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    of_sources: NDArray[np.int64]
    blank: int


def pieces(texts: Texts, cuts: Cuts = ()) -> Iterator[Piece]:
    """The documents that have a text, in pieces.

    Args:
        texts: the corpus.
        cuts: where documents are cut, each into several.
    """
    parts = chain.from_iterable(not_blank(parts, lambda: None) for parts in texts.parts())
    return pieces_of(cut_at(parts, cuts) if cuts else parts)


def indexed(texts: Texts, cuts: Cuts = ()) -> DocumentIndex:
    """What is known of each document; of a large corpus from a file that the first of several processes writes."""
    if not texts.is_large:
        return _indexed(texts, cuts)

    def write(file: IO[bytes]) -> None:
        np.savez(file, **_indexed(texts, cuts)._asdict())

    path = cache_files.written_once(write, ["documents", *texts.key, str([*cuts])], ".npz")
    try:
        with np.load(path, allow_pickle=False) as found:
            return DocumentIndex(found["num_bytes"], found["hashes"], found["of_sources"], int(found["blank"]))
    except (OSError, ValueError, KeyError, BadZipFile):
        raise DataError(f"{path}: damaged; delete it and run again") from None


def _indexed(texts: Texts, cuts: Cuts) -> DocumentIndex:
    sizes, hashes, of_sources = array("q"), array("Q"), array("q")
    blank = 0

    def told() -> None:
        nonlocal blank
        blank += 1

    def from_sources() -> Iterator[Piece]:
        for parts in texts.parts():
            of_sources.append(0)
            for part in not_blank(parts, told):
                of_sources[-1] += part.ends
                yield part

    progress = Progress("reading", texts.size)
    parts = from_sources()
    digest, size = xxh3_64(), 0
    for text, ends in cut_at(parts, cuts) if cuts else parts:
        content = text.encode()
        digest.update(content)
        size += len(content)
        progress.add(len(content))
        if ends:
            sizes.append(size)
            hashes.append(digest.intdigest())
            digest.reset()
            size = 0
    progress.end()
    return DocumentIndex(np.array(sizes, np.int64), np.array(hashes, np.uint64), np.array(of_sources, np.int64), blank)

"""Cache of what is too large for memory: a file is written once, and token ids are read from it as needed."""

import array
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import tokenizers
import torch
from tokenizers import Tokenizer
from torch import Tensor

from datamodules.errors import DataError
from datamodules.storage.cache_files import written_once
from datamodules.storage.kept import Kept, code_of, kept
from datamodules.storage.open_file import OpenFile
from datamodules.storage.progress import Progress
from datamodules.tokenizing import blank_words, language, tokens
from datamodules.tokenizing.tokens import Ragged, Tokens, tokenized

TOKENIZING = (tokens, blank_words)  # the modules that do it
MIN_CACHED_BYTES = 10**7  # of texts: learning a vocabulary from more takes long


class StoredRagged(Ragged):
    """Sequences of different lengths, end to end in a file.

    Args:
        path: file of all tokens, the length of each sequence, and the number of sequences, all int32.

    Raises:
        DataError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = OpenFile(path)
        size, rest = divmod(self.file.size, 4)
        end = 4 * (size - 1)
        count = int.from_bytes(self.file.read(end, end + 4), sys.byteorder, signed=True) if size and not rest else -1
        complete = 0 <= count < size
        lengths = np.frombuffer(self.file.read(end - 4 * count, end), np.int32) if complete else -np.ones(1)
        if lengths.min(initial=0) < 0 or lengths.sum(dtype=np.int64) != size - 1 - count:
            raise DataError(f"{path}: damaged; delete it and run again")
        self.lengths = torch.from_numpy(lengths.astype(np.int64))
        self.start = self.lengths.cumsum(0) - self.lengths

    def gather(self, positions: Tensor) -> Tensor:
        """The tokens at these positions; the file is mapped anew each time, so that pages do not accumulate."""
        return torch.from_numpy(np.frombuffer(self.file.mapped(), np.int32)[positions.numpy()])


def stored(sequences: Iterable[Sequence[int]], key: Sequence[str]) -> StoredRagged:
    """The sequences, from a file that the first of several processes writes.

    Args:
        sequences: token ids; iterated only if there is no such file.
        key: what they depend on.
    """

    def write(file: IO[bytes]) -> None:
        lengths = array.array("i")
        for sequence in sequences:
            file.write(array.array("i", sequence).tobytes())
            lengths.append(len(sequence))
        file.write(lengths.tobytes())
        file.write(array.array("i", [len(lengths)]).tobytes())

    return StoredRagged(written_once(write, key, ".int32"))


def kept_ragged(make: Callable[[], Ragged], key: Sequence[object], size: int) -> Ragged:
    """Token ids of texts in memory, kept for later runs.

    Args:
        make: makes them; called only if none are kept.
        key: what they depend on besides what tokenizes.
        size: bytes of the texts.
    """

    def made() -> Kept:
        ragged = make()
        return Kept({"values": ragged.values.numpy(), "lengths": ragged.lengths.numpy()})

    arrays = kept(made, ["tokens", *key, tokenizers.__version__, code_of(*TOKENIZING)], size).arrays
    return Ragged.of(arrays["values"], arrays["lengths"])


def stored_parts(parts: Iterable[Tokens], key: Sequence[str]) -> StoredRagged:
    """Token ids of texts that are not in memory; otherwise as `stored`."""
    return stored((each.tolist() for values, of in parts for each in np.split(values, of.cumsum())[:-1]), key)


def shown_tokens(tokenizer: Tokenizer, texts: Iterable[str], total: int, unit: str) -> Iterator[Tokens]:
    """The tokens of texts as by `tokenized`, while it is shown how many of them are done.

    Args:
        tokenizer: with the truncation that it is to have.
        texts: any number of them.
        total: that number.
        unit: what they are.
    """
    progress = Progress("tokenizing", total, unit=unit)
    for part in tokenized(tokenizer, texts):
        yield part
        progress.add(len(part[1]))
    progress.end()


def train_once(train: Callable[[Iterable[str]], Tokenizer], texts: Iterable[str], *settings: Any) -> str:
    """The JSON of a tokenizer; on many texts the first of several processes trains it, and later runs read it.

    Args:
        train: trains a tokenizer on texts.
        texts: texts that can be iterated several times; they are read to know them again, unless they have a `key`.
        settings: what it depends on besides.
    """
    key = getattr(texts, "key", None)
    if key is None:
        size, digest = 0, hashlib.sha256()
        for text in texts:
            content = text.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
            size += len(content)
        if size < MIN_CACHED_BYTES:
            return train(texts).to_str()
        key = [digest.hexdigest()]
    full = [*key, code_of(*TOKENIZING, language), tokenizers.__version__, *map(str, settings)]
    path = written_once(lambda file: file.write(train(texts).to_str().encode()), full, ".json")
    return path.read_text(encoding="utf-8")

"""Documents as tokens: in pieces, as if each had been tokenized as a whole, with the bytes that tokens stand for."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from datamodules.files.document_parts import Piece
from datamodules.tokenizing.language import Vocabulary, token_bytes
from datamodules.tokenizing.letters import letters_of
from datamodules.tokenizing.tokens import tokenizer_from_json

AT_ONCE = 1 << 19  # characters that are tokenized together: 16 long pieces, and a few dozen megabytes of memory
MAX_PIECES = 1 << 12  # likewise


class Encoded(NamedTuple):
    """Tokens of successive pieces.

    Args:
        tokens: of all pieces, end to end, with those before and after documents.
        lengths: tokens of each document that ends here, and of the one that goes on; only those in these pieces.
        excess: for each of these, how many bytes more its tokens stand for than its text has.
        ends: whether the last of these documents ends here.
        pieces: their number.
        num_bytes: of their texts.
    """

    tokens: NDArray[Any]
    lengths: list[int]
    excess: list[int]
    ends: bool
    pieces: int
    num_bytes: int


class DocumentEncoder:
    """Writes documents as `[begin] tokens… end`.

    Args:
        vocabulary: a language model's.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.begin = [] if vocabulary.begin is None else [vocabulary.begin]
        self.end = [vocabulary.end]
        self.first, self.further = _tokenizers(vocabulary.tokenizer_json)
        self.letters = letters_of(self.first)
        self.size = self.first.get_vocab_size()
        self.type = np.min_scalar_type(max(self.size - 1, 0))  # the smallest that holds all tokens
        self.bytes_of = np.array(token_bytes(self.first), np.int64)

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, without those before and after it."""
        return list(self.first.encode(text, add_special_tokens=False).ids)

    def encoded(self, pieces: Iterable[Piece], skipped: int = 0) -> Iterator[Encoded]:
        """The tokens of pieces, several at a time; some are tokenized while the ones before are counted.

        Args:
            pieces: of whole documents.
            skipped: number of pieces that are left out, since their tokens are known.
        """
        with ThreadPoolExecutor(1) as pool:
            waiting: Future[Encoded] | None = None
            for batch in _batches(pieces, skipped):
                following = pool.submit(self._encoded, *batch)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()

    def _encoded(self, pieces: Sequence[Piece], begins: bool) -> Encoded:
        """The tokens of pieces.

        Args:
            pieces: successive ones.
            begins: whether the first of them begins a document.
        """
        starts = [begins, *(piece.ends for piece in pieces[:-1])]
        ids = self._ids([piece.text for piece in pieces], starts)
        parts: list[NDArray[Any]] = []
        lengths: list[int] = []
        excess: list[int] = []
        for (text, ends), start, tokens in zip(pieces, starts, ids, strict=True):
            if start or not lengths:
                lengths.append(0)
                excess.append(0)
            whole = [self.begin if start else [], tokens, self.end if ends else []]
            part = np.concatenate([np.array(each, self.type) for each in whole])
            parts.append(part)
            lengths[-1] += len(part)
            excess[-1] += int(self.bytes_of[part].sum()) - len(text.encode())
        sizes = sum(len(piece.text.encode()) for piece in pieces)
        return Encoded(np.concatenate(parts), lengths, excess, pieces[-1].ends, len(pieces), sizes)

    def _ids(self, texts: Sequence[str], starts: Sequence[bool]) -> Sequence[Sequence[int] | NDArray[Any]]:
        """The tokens of texts, of which some begin a document."""
        if self.letters is not None:
            return [self.letters.ids(text) for text in texts]
        ids: list[Sequence[int]] = [[]] * len(texts)
        for tokenizer, wanted in ((self.first, True), (self.further, False)):
            places = [place for place, start in enumerate(starts) if start == wanted]
            encodings = tokenizer.encode_batch_fast([texts[place] for place in places], add_special_tokens=False)
            for place, encoding in zip(places, encodings, strict=True):
                ids[place] = encoding.ids
        return ids


def _batches(pieces: Iterable[Piece], skipped: int) -> Iterator[tuple[list[Piece], bool]]:
    """Successive pieces, and whether the first of them begins a document."""
    batch: list[Piece] = []
    begins, size = True, 0
    for count, piece in enumerate(pieces):
        if count < skipped:
            begins = piece.ends
            continue
        batch.append(piece)
        size += len(piece.text)
        if size >= AT_ONCE or len(batch) >= MAX_PIECES:
            yield batch, begins
            begins, batch, size = piece.ends, [], 0
    if batch:
        yield batch, begins


def _tokenizers(tokenizer_json: str) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizer of a text, and that of what continues one: without the space that some put in front."""
    described = json.loads(tokenizer_json)
    prepends = False
    for parent in _parts(described["normalizer"]), _parts(described["pre_tokenizer"]):
        for part in parent:
            if part["type"] == "Prepend":
                part["prepend"], prepends = "", True
            elif part["type"] == "Metaspace" and part.get("prepend_scheme") != "never":
                part["prepend_scheme"], prepends = "never", True
            elif part["type"] == "ByteLevel" and part.get("add_prefix_space"):
                part["add_prefix_space"], prepends = False, True
    first = tokenizer_from_json(tokenizer_json)
    further = tokenizer_from_json(json.dumps(described)) if prepends else first
    for tokenizer in (first, further):
        tokenizer.encode_special_tokens = True  # their letters in a text are text
    return first, further


def _parts(described: Any) -> list[dict[str, Any]]:
    """A normalizer or pre-tokenizer, or those in a sequence of them."""
    if described is None:
        return []
    within = described.get("normalizers", described.get("pretokenizers"))
    return [described] if within is None else [part for each in within for part in _parts(each)]

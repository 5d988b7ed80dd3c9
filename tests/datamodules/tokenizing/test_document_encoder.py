"""Documents in pieces have the tokens that they have as a whole, come back as they were, and know their bytes."""

from pathlib import Path

import numpy as np
import pytest

from datamodules.files.document_parts import Piece, pieces_of
from datamodules.storage.token_stream import TokenStream, stream_in_memory
from datamodules.tokenizing import document_encoder
from datamodules.tokenizing.document_encoder import DocumentEncoder
from datamodules.tokenizing.language import END_OF_TEXT, Vocabulary, bytes_of_tokens, new_language_tokenizer
from datamodules.tokenizing.pretrained_language import pretrained_vocabulary
from datamodules.tokenizing.tokens import token_id

TEXT = "It's a first line, with 42 words.\n\nAnd 中文的一行，还有 emoji 🙂.\n\tdef f(x):\n        return x\nend\n"
DOCUMENTS = [TEXT * 9, "short", " a space in front", TEXT, "<|endoftext|> is text, <s> too </s>\n", "中文" * 50]


def vocabulary(algorithm: str) -> Vocabulary:
    tokenizer = new_language_tokenizer(algorithm, [TEXT], 400)  # type: ignore[arg-type]
    end = token_id(tokenizer, END_OF_TEXT)
    return Vocabulary(tokenizer.to_str(), end, end)


def encoded(vocabulary: Vocabulary, size: int) -> TokenStream:
    encoder = DocumentEncoder(vocabulary)
    return stream_in_memory(
        lambda skipped: encoder.encoded(pieces_of((Piece(text, True) for text in DOCUMENTS), size), skipped)
    )


def documents_of(stream: TokenStream) -> list[list[int]]:
    values = stream.tokens.gather(np.arange(stream.lengths.sum()))
    return [part.tolist() for part in np.split(values, stream.lengths.cumsum()[:-1])]


def check(vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = DocumentEncoder(vocabulary)
    whole = [[*encoder.begin, *encoder.ids(text), *encoder.end] for text in DOCUMENTS]
    table = bytes_of_tokens(encoder.first)
    for size, at_once in ((1 << 15, 1 << 19), (100, 30), (1 << 15, 1)):
        monkeypatch.setattr(document_encoder, "AT_ONCE", at_once)
        stream = encoded(vocabulary, size)
        found = documents_of(stream)
        for text, tokens, expected, excess in zip(DOCUMENTS, found, whole, stream.excess, strict=True):
            if size > len(text) or "\n" in text:
                assert tokens == expected
            content = b"".join(table[token] for token in tokens)
            assert len(content) - excess == len(text.encode())
            assert content.removeprefix(b" " * excess) == text.encode()
            assert tokens[-1] == vocabulary.end
            assert tokens.count(vocabulary.end) == 1 + (vocabulary.begin == vocabulary.end)
    assert encoder.type.itemsize == (1 if encoder.size <= 256 else 2)


@pytest.mark.parametrize("algorithm", ["bpe", "characters", "bytes"])
def test_of_our_tokenizers(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(vocabulary(algorithm), monkeypatch)


@pytest.mark.real_data
@pytest.mark.parametrize("folder", ["tokenizers/gpt2", "tokenizers/minimind", "models/stories260K-hf"])
def test_of_pretrained_tokenizers(folder: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(pretrained_vocabulary(str(shared_data / folder)), monkeypatch)


def test_what_is_written_already_is_skipped() -> None:
    encoder = DocumentEncoder(vocabulary("bytes"))
    pieces = [*pieces_of((Piece(text, True) for text in DOCUMENTS), 100)]
    whole = np.concatenate([part.tokens for part in encoder.encoded(pieces)])

    def counts(count: int) -> int:
        return sum(len(part.tokens) for part in encoder.encoded(pieces[:count]))

    for skipped in (1, 5, len(pieces) - 1, len(pieces)):
        parts = [part.tokens for part in encoder.encoded(pieces, skipped)]
        assert np.array_equal(np.concatenate([*parts, whole[:0]]), whole[counts(skipped) :])

"""Documents come in parts of any size, and are the same documents whatever the parts are."""

import random
from collections.abc import Iterator

import pytest

from datamodules.files.document_parts import Piece, cut_at, not_blank, pieces_of


def parts_of(documents: list[str], draw: random.Random) -> Iterator[Piece]:
    """Documents in parts of random lengths."""
    for text in documents:
        while len(text) > 3 and draw.random() < 0.9:
            size = draw.randrange(1, len(text))
            yield Piece(text[:size], False)
            text = text[size:]
        yield Piece(text, True)


def joined(pieces: list[Piece]) -> list[str]:
    documents, text = [], ""
    for piece in pieces:
        text += piece.text
        if piece.ends:
            documents.append(text)
            text = ""
    assert not text
    return documents


DOCUMENTS = ["one line\nand another\n\n  and more of it\n" * 9, "x" * 200, "中文没有空格" * 30, "short", "a b " * 40]


@pytest.mark.parametrize("seed", range(5))
def test_pieces_do_not_depend_on_the_parts_that_texts_were_read_in(seed: int) -> None:
    whole = [*pieces_of((Piece(text, True) for text in DOCUMENTS), 32)]
    assert [*pieces_of(parts_of(DOCUMENTS, random.Random(seed)), 32)] == whole
    assert joined(whole) == DOCUMENTS
    assert max(len(piece.text) for piece in whole) == 32
    assert sum(len(piece.text) for piece in whole) / len(whole) > 20  # and not needlessly short ones


def test_a_piece_ends_where_tokenizers_part_words() -> None:
    text = "first line\nsecond line is longer than the first\n  indented\nlast"
    assert [piece.text for piece in pieces_of([Piece(text, True)], 20)] == [
        "first line\n",
        "second line is",
        " longer than the",
        " first\n  indented\n",
        "last",
    ]
    assert [*pieces_of([Piece("not longer", True)], 10)] == [Piece("not longer", True)]


def test_documents_without_a_text_are_left_out_and_counted() -> None:
    left_out: list[int] = []
    documents = ["", " \n", "text", "\n\n\n\n\ntext", "\t"]
    for seed in range(5):
        kept = joined([*not_blank(parts_of(documents, random.Random(seed)), lambda: left_out.append(1))])
        assert kept == ["text", "\n\n\n\n\ntext"]
    assert len(left_out) == 5 * 3


@pytest.mark.parametrize("seed", range(5))
def test_a_document_is_cut_after_so_many_bytes_and_no_character_is(seed: int) -> None:
    documents = ["whole", "abcdef", "汉字汉字", "end"]
    places = [(1, 2), (1, 4), (2, 7)]  # the last within the third character
    cut = joined([*cut_at(parts_of(documents, random.Random(seed)), places)])
    assert cut == ["whole", "ab", "cd", "ef", "汉字", "汉字", "end"]

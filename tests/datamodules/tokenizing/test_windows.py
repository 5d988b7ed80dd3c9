"""Windows predict every token of a document once, from its own document alone, and count its bytes exactly."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.loading.sampling import Splits
from datamodules.storage.token_stream import Tokens, TokenStream
from datamodules.tokenizing.packed import IGNORED
from datamodules.tokenizing.windows import WindowExamples, Windows

END = 0
BYTES = np.array([0, *(token % 4 + 1 for token in range(1, 200))])


def windows_of(documents: list[list[int]], splits: Splits, window: int, has_begin: bool = True) -> Windows:
    """Windows over documents of which each token occurs once, so that it can be told where it is from."""
    lengths = np.array([*map(len, documents)])
    values = np.array([token for document in documents for token in document], np.uint8)
    stream = TokenStream(Tokens(values), lengths, np.zeros_like(lengths))
    return Windows(stream, splits, window, BYTES, END, has_begin)


def numbered(sizes: list[int]) -> list[list[int]]:
    """Documents that begin and end with END, and have so many other tokens, none of which is in another."""
    token = itertools.count(1)
    return [[END, *itertools.islice(token, size), END] for size in sizes]


SPLITS = Splits(torch.tensor([0, 2, 5]), torch.tensor([1]), torch.tensor([3, 4]))
DOCUMENTS = numbered([3, 1, 17, 8, 9, 2])


@pytest.mark.parametrize("window", [8, 9, 16, 100])
def test_each_token_but_the_first_of_a_document_is_predicted_once(window: int) -> None:
    windows = windows_of(DOCUMENTS, SPLITS, window)
    for name, rows in windows.splits._asdict().items():
        batch = WindowExamples(windows, rows)[torch.arange(len(rows))]
        targets = batch.targets[batch.targets != IGNORED].tolist()
        own = [DOCUMENTS[document] for document in getattr(SPLITS, name).tolist()]
        assert targets == [token for document in own for token in document[1:]]
        follows = {one: other for document in own for one, other in itertools.pairwise(document) if one != END}
        for ids, following in zip(batch.ids.flatten().tolist(), batch.targets.flatten().tolist(), strict=True):
            assert ids == END or following == follows[ids]
        assert batch.num_bytes.sum() == sum(BYTES[token] for document in own for token in document)


@pytest.mark.parametrize("window", [8, 11])
def test_documents_are_told_apart_and_padding_is_the_last_of_them(window: int) -> None:
    windows = windows_of(DOCUMENTS, SPLITS, window)
    of_token = {token: index for index, document in enumerate(DOCUMENTS) for token in document if token != END}
    batch = windows.batch(torch.cat(list(windows.splits)))
    assert batch.documents is not None
    for ids, documents, targets in zip(batch.ids, batch.documents, batch.targets, strict=True):
        assert documents[0] == 0
        assert set(documents.diff().tolist()) <= {0, 1}
        for one, other in itertools.combinations(range(window), 2):
            known = [of_token.get(int(ids[place])) for place in (one, other)]
            if None not in known:
                assert (documents[one] == documents[other]) == (known[0] == known[1])
        counted = (targets != IGNORED).nonzero()[-1]
        assert (documents[counted + 2 :] == documents[-1]).all()


def test_a_row_within_one_document_needs_no_index_of_documents() -> None:
    windows = windows_of(numbered([100, 3, 3]), Splits(*torch.arange(3).split(1)), 16)
    assert windows.batch(torch.arange(4)).documents is None
    assert windows.batch(windows.splits.val).documents is None  # with padding, which nothing reads
    assert windows.batch(windows.splits.val).targets[0, 4:].tolist() == [IGNORED] * 12


def test_windows_are_as_short_as_the_longest_split() -> None:
    windows = windows_of(numbered([5, 2, 1]), Splits(*torch.arange(3).split(1)), 64)
    assert windows.width == 6
    assert [len(rows) for rows in windows.splits] == [1, 1, 1]
    assert windows.batch(torch.arange(3)).ids.shape == (3, 6)


def test_a_token_too_many_is_taken_from_the_first_that_is_predicted() -> None:
    documents = numbered([3, 4, 5])
    lengths = np.array([*map(len, documents)])
    values = np.array([token for document in documents for token in document], np.uint8)
    excess = np.array([1, 0, 2])
    splits = Splits(torch.tensor([0, 2]), torch.tensor([1]), torch.tensor([], dtype=torch.long))
    plain, exact = (
        Windows(TokenStream(Tokens(values), lengths, each), splits, 4, BYTES, END, True)
        for each in (np.zeros(3, np.int64), excess)
    )
    rows = plain.splits.train
    before, after = plain.batch(rows).num_bytes, exact.batch(rows).num_bytes
    assert (before - after).tolist() == [1, 2, 0]  # where the first and the last document have their first letters


def test_without_a_token_in_front_the_first_of_a_document_is_predicted_from_nothing() -> None:
    documents = [[1, 2, 3, END], [4, 5, END], [6, 7, 8, 9, END]]
    windows = windows_of(documents, Splits(*torch.arange(3).split(1)), 8, has_begin=False)
    batch = windows.batch(torch.arange(3))
    assert [row[row != IGNORED].tolist() for row in batch.targets] == [document[1:] for document in documents]


def test_the_place_of_a_row_is_its_document_and_how_far_it_is_in_it() -> None:
    windows = windows_of(DOCUMENTS, SPLITS, 8)
    assert [windows.place(row) for row in windows.splits.train.tolist()] == [(0, 0), (2, 3), (2, 11), (5, 0)]
    assert [windows.place(row) for row in windows.splits.test.tolist()] == [(3, 0), (3, 8), (4, 6)]


@pytest.mark.parametrize("type_", [np.uint8, np.uint16, np.uint32])
def test_no_token_is_larger_than_its_type(type_: Any) -> None:
    values: Any = np.array([0, np.iinfo(type_).max, 0], type_)
    stream = TokenStream(Tokens(values), np.array([3]), np.array([0]))
    found = stream.tokens.gather(np.arange(3)).astype(np.int64)
    assert found.tolist() == [0, int(np.iinfo(type_).max), 0]

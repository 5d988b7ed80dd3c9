"""The n-gram model is one: its probabilities sum to one, it reads what a model may read, and no more."""

import math

import numpy as np
import pytest
import torch

from datamodules.baselines.byte_ngram import ByteNGram, _counted, _probabilities
from datamodules.loading.sampling import Splits
from datamodules.storage.token_stream import Tokens, TokenStream
from datamodules.tokenizing.packed import Packed
from datamodules.tokenizing.row_bytes import APART, ByteTable
from datamodules.tokenizing.windows import Windows

END = 0
TABLE = ByteTable([b"", *(bytes([byte]) for byte in range(255)), b"the ", "你".encode(), b""], END, END)
SIZES = np.array([0, *[1] * 255, 4, 3, 0])
TEXTS = [b"the cat sat on the mat", b"the dog sat", "你好，你们好".encode(), b"a cat and a dog"]


def tokens_of(text: bytes) -> list[int]:
    return [END, *(byte + 1 for byte in text), END]


def windows(documents: list[list[int]], window: int) -> Packed:
    """All rows of these documents."""
    values = np.array([token for document in documents for token in document], np.uint16)
    lengths = np.array([*map(len, documents)])
    splits = Splits(torch.arange(len(documents)), *(torch.tensor([], dtype=torch.long),) * 2)
    rows = Windows(TokenStream(Tokens(values), lengths, np.zeros_like(lengths)), splits, window, SIZES, END, True)
    return rows.batch(rows.splits.train)


@pytest.mark.parametrize("context", [0, 1, 3, 7])
def test_the_probabilities_of_all_bytes_sum_to_one_after_any_context(context: int) -> None:
    text = np.frombuffer(b"".join(bytes([APART]) + each for each in TEXTS) + bytes([APART]), np.uint8)
    orders = _counted(text, np.zeros(len(text), np.int64), context + 1)
    for before in (b"", b"the c", b"\xffthe", b"xyz", "你".encode()[:2], b"t\xff"):
        total = 0.0
        for byte in range(256):
            tried = np.frombuffer(before + bytes([byte]), np.uint8)
            total += _probabilities(tried, np.zeros(len(tried), np.int64), orders)[-1]
        assert total == pytest.approx(1)


def test_the_bytes_of_rows_are_those_of_their_targets() -> None:
    documents = [tokens_of(text) for text in TEXTS]
    batch = windows(documents, 9)
    found = TABLE.of(batch)
    counted = bytes(found.values[found.counts].tolist())
    assert counted == b"".join(text + bytes([APART]) for text in TEXTS)
    assert np.bincount(found.rows, found.counts & (found.values != APART)).tolist() == batch.num_bytes.tolist()
    first = found.values[np.diff(found.rows, prepend=-1) != 0]
    assert [*first] == [APART if token == END else token - 1 for token in batch.ids[:, 0].tolist()]


def test_what_is_read_of_a_document_does_not_depend_on_those_beside_it() -> None:
    model = ByteNGram(TABLE, context=5)
    predict = model.predictor(model.fit([windows([tokens_of(text) for text in TEXTS], 1000)]))
    alone = [float(predict(windows([tokens_of(text)], 1000)).sum()) for text in TEXTS]
    assert float(predict(windows([tokens_of(text) for text in TEXTS], 1000)).sum()) == pytest.approx(sum(alone))


def test_the_nats_do_not_depend_on_the_tokens() -> None:
    model = ByteNGram(TABLE)
    fitted = model.fit([windows([tokens_of(text) for text in TEXTS], 1000)])
    larger = [END, 256, *tokens_of(b"cat ")[1:-1], 256, 257, END]  # `the `, cat, `the `, 你
    text = b"the cat the " + "你".encode()
    both = [float(model.predictor(fitted)(windows([each], 1000)).sum()) for each in (larger, tokens_of(text))]
    assert both[0] == pytest.approx(both[1])


def test_repetition_is_learned_and_noise_is_not() -> None:
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 128, 6000).astype(np.uint8).tobytes()
    repeated = b"abcdefgh" * 500
    for text, low, high in ((repeated, 0, 0.02), (noise, 6.9, 8.1)):
        model = ByteNGram(TABLE)
        fitted = model.fit([windows([tokens_of(text[:3000])], 200)])
        batch = windows([tokens_of(text[3000:])], 200)
        bits = float(model.predictor(fitted)(batch).sum()) / math.log(2) / float(batch.num_bytes.sum())
        assert low <= bits <= high, text[:10]


def test_a_token_in_front_that_is_not_the_end_begins_a_document_too() -> None:
    begin = 258
    table = ByteTable([b"", *(bytes([byte]) for byte in range(255)), b"", b"", b""], begin, END)
    documents = [[begin, *tokens_of(text)[1:]] for text in TEXTS]
    one, other = table.of(windows(documents, 9)), TABLE.of(windows([tokens_of(text) for text in TEXTS], 9))
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one._fields)

"""How the next token is chosen, and how texts grow."""

import math
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from datamodules.tokenizing.language import new_language_tokenizer
from lightning_modules.tasks.sampling import GREEDY, Decoded, Sampling, Stream, continued

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0]])


class Counting:
    """Continues a text by the token that is one more than the last; asserts what it is given."""

    max_positions = 50

    def __init__(self, vocabulary: int = 20) -> None:
        self.vocabulary = vocabulary
        self.computed = 0

    def start(self, rows: int, size: int) -> Tensor:
        return torch.full((rows, size), -1)

    def advance(self, ids: Tensor, places: Tensor, caches: Tensor) -> Tensor:
        caches.scatter_(1, places, ids)
        self.computed += ids.numel()
        before = caches.gather(1, (places - 1).clamp(min=0))
        assert bool((before[places > 0] >= 0).all()), "every earlier token is in the cache"
        return torch.nn.functional.one_hot((ids + 1) % self.vocabulary, self.vocabulary).float() * 20


def test_temperature_divides_the_logits() -> None:
    found = Sampling(temperature=0.5).probabilities(LOGITS)
    torch.testing.assert_close(found, (LOGITS / 0.5).softmax(1))


def test_top_k_keeps_the_most_probable_ones() -> None:
    found = Sampling(temperature=1, top_k=2).probabilities(LOGITS)
    torch.testing.assert_close(found, torch.cat([LOGITS[:, :2].softmax(1), torch.zeros(1, 2)], dim=1))
    torch.testing.assert_close(Sampling(temperature=1, top_k=9).probabilities(LOGITS), LOGITS.softmax(1))


def test_top_p_keeps_the_fewest_that_sum_to_it() -> None:
    logits = torch.tensor([[0.1, 0.5, 0.1, 0.3]]).log()
    expected = {0.4: [0, 1, 0, 0], 0.5: [0, 1, 0, 0], 0.6: [0, 0.625, 0, 0.375], 1.0: [0.1, 0.5, 0.1, 0.3]}
    for top_p, probabilities in expected.items():
        found = Sampling(temperature=1, top_p=top_p).probabilities(logits)
        torch.testing.assert_close(found, torch.tensor([probabilities]).float())


def test_min_p_is_relative_to_the_most_probable_one() -> None:
    logits = torch.tensor([[0.5, 0.26, 0.24]]).log()
    found = Sampling(temperature=1, min_p=0.5).probabilities(logits)
    torch.testing.assert_close(found, torch.tensor([[0.5 / 0.76, 0.26 / 0.76, 0.0]]))


def test_repetition_weakens_what_the_text_has() -> None:
    seen = torch.tensor([[True, False, False, True]])
    found = Sampling(temperature=1, repetition=2).probabilities(LOGITS, seen)
    torch.testing.assert_close(found, torch.tensor([[1.0, 1.0, 0.0, -2.0]]).softmax(1))


def test_tokens_are_drawn_with_their_probabilities() -> None:
    class Same(Counting):
        def advance(self, ids: Tensor, places: Tensor, caches: Tensor) -> Tensor:
            return torch.tensor([0.0, 1.0, 2.0]).expand(*ids.shape, 3)

    sampling = Sampling(temperature=1.0, top_k=2)
    texts = continued(Same(3), [[0]] * 2000, 5, {9}, sampling, torch.Generator().manual_seed(0))
    drawn = torch.tensor(texts).flatten()
    expected = math.e / (1 + math.e)
    assert not (drawn == 0).any()
    assert float((drawn == 2).float().mean()) == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(len(drawn)))


def test_prompts_of_different_lengths_are_continued_as_each_alone() -> None:
    prompts = [[1, 2, 3], [7], [4, 5]]
    model = Counting()
    assert continued(model, prompts, 4, {9}) == [[4, 5, 6, 7], [8], [6, 7, 8]]
    assert [continued(Counting(), [prompt], 4, {9})[0] for prompt in prompts] == [[4, 5, 6, 7], [8], [6, 7, 8]]


def test_one_token_costs_one_token() -> None:
    model = Counting(100)
    continued(model, [[1, 2, 3]], 30, {99})
    assert model.computed == 3 + 29


def test_a_text_ends_at_the_last_position_that_the_model_knows() -> None:
    model = Counting(100)
    assert len(continued(model, [[0] * 40], 30, {99})[0]) == 10
    with pytest.raises(ValueError, match="a prompt of 50 tokens: expected less than the 50 that the model reads"):
        continued(model, [[0] * 50], 1, {99})
    with pytest.raises(ValueError, match="an empty prompt"):
        continued(model, [[1], []], 1, {99})


def test_a_stream_gives_a_token_at_a_time_and_none_of_what_has_ended() -> None:
    stream = Stream(Counting(), [[1], [6]], 4, {8})
    assert [*stream] == [[2, 7], [3, None], [4, None], [5, None]]
    assert stream.ended == [False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "--temperature: expected at least 0, got -1"),
        ({"top_k": 0}, "--top_k: expected at least 1, got 0"),
        ({"top_p": 0}, "--top_p: expected more than 0 and at most 1, got 0"),
        ({"min_p": 1.5}, "--min_p: expected from 0 to 1, got 1.5"),
        ({"repetition": 0}, "--repetition: expected more than 0, got 0"),
        ({"temperature": math.nan}, "--temperature: expected at least 0, got nan"),
    ],
)
def test_values_out_of_their_ranges_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**options).check()
    assert GREEDY.check() == GREEDY


@pytest.fixture(scope="module")
def of_bytes() -> Tokenizer:
    return new_language_tokenizer("bytes", [], 0)


@pytest.mark.parametrize("text", ["plain", "中文，and English", "😀😀", "e\u0301 and \ufffd kept"])
def test_no_half_character_is_told(text: str, of_bytes: Tokenizer) -> None:
    decoded = Decoded(of_bytes.decode)
    told = [decoded.add(token) for token in of_bytes.encode(text).ids]
    assert "".join(told) + decoded.rest() == text
    assert all("\ufffd" not in part or "\ufffd" in text for part in told)


def test_what_never_becomes_a_character_is_told_at_the_end(of_bytes: Tokenizer) -> None:
    decoded = Decoded(of_bytes.decode)
    first, second, *_ = of_bytes.encode("中").ids
    assert decoded.add(first) == ""
    assert decoded.add(second) == ""
    assert decoded.rest() == "\ufffd"

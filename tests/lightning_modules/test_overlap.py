import math

import pytest
import torch
from torch import Tensor

from datamodules.reading import Passages
from lightning_modules.bert_qa import SHARPNESS, WIDTHS, ngram_matches, overlap_nearby


def windows_of(ids: Tensor, lengths: list[int], starts: list[int], owner: list[int]) -> Passages:
    """Windows of questions with their contexts, without what the overlap does not use."""
    empty = torch.zeros(len(ids), 1, dtype=torch.long)
    sizes = torch.zeros(max(owner) + 1, dtype=torch.long)
    return Passages(ids, torch.tensor(lengths), torch.tensor(starts), torch.tensor(owner), empty, sizes, empty, [], [])


def test_ngram_matches_are_those_found_one_by_one() -> None:
    torch.manual_seed(0)
    starts, lengths = [6, 4, 3], [15, 11, 15]
    ids = torch.randint(5, 9, (3, 15))  # few distinct tokens: many matches
    levels = ngram_matches(windows_of(ids, lengths, starts, [0, 1, 2])).tolist()
    for row, (start, end) in enumerate(zip(starts, lengths, strict=True)):
        tokens = ids[row].tolist()
        question, context = tokens[:start], tokens[start:end]
        for place, level in enumerate(levels[row]):
            if not start <= place < end:
                assert level == 0
                continue
            here = place - start
            expected = 1
            for size in (1, 2, 3):
                ngrams = [context[first : first + size] for first in range(max(here - size + 1, 0), here + 1)]
                asked = [question[first : first + size] for first in range(len(question) - size + 1)]
                expected += any(len(run) == size and run in asked for run in ngrams)
            assert level == expected


def test_overlap_nearby_is_that_counted_one_by_one() -> None:
    torch.manual_seed(0)
    starts, lengths, owner = [6, 6, 4], [150, 90, 120], [0, 0, 1]
    ids = torch.randint(5, 40, (3, 150))
    ids[0, 2] = ids[0, 1]  # a token that the question has twice counts once
    ids[1, :6] = ids[0, :6]  # the second window of the same question
    found = overlap_nearby(windows_of(ids, lengths, starts, owner))
    assert found.shape == (3, 150, 3 * len(WIDTHS))
    contexts = [ids[row, start:end].tolist() for row, (start, end) in enumerate(zip(starts, lengths, strict=True))]
    fractions = torch.zeros(3, 150, len(WIDTHS))
    for row, start in enumerate(starts):
        context = [token for other, text in enumerate(contexts) if owner[other] == owner[row] for token in text]
        asked = set(ids[row, :start].tolist()) & set(context)
        weight = {token: math.log(1 + len(context) / context.count(token)) for token in asked}
        for position in range(len(contexts[row])):
            for index, width in enumerate(WIDTHS):
                near = contexts[row][max(position - width // 2, 0) : position + width // 2 + 1]
                fraction = sum(weight[token] for token in asked & set(near)) / sum(weight.values())
                fractions[row, start + position, index] = fraction
    torch.testing.assert_close(found[..., : len(WIDTHS)], fractions)
    best = torch.stack([fractions[:2].amax((0, 1)), fractions[:2].amax((0, 1)), fractions[2].amax(0)])[:, None]
    torch.testing.assert_close(found[..., len(WIDTHS) : -len(WIDTHS)], fractions / best)
    torch.testing.assert_close(found[..., -len(WIDTHS) :], (fractions / best) ** SHARPNESS)


@pytest.mark.parametrize("question", [[7, 8], []])
def test_without_common_tokens_the_overlap_is_zero(question: list[int]) -> None:
    ids = torch.tensor([[*question, 11, 12, 13]])
    passages = windows_of(ids, [ids.shape[1]], [len(question)], [0])
    assert not overlap_nearby(passages).any()

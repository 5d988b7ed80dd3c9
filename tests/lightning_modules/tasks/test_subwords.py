import pytest
import torch

from datamodules.tokenizing.tokens import Text
from lightning_modules.tasks.subwords import heaviest, joined, tokens_of


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["un", "##believ", "##able", "food"], "unbelievable food"),
        (["房", "间", "很", "好", "，", "ok", "fine"], "房间很好，ok fine"),
        (["[CLS]", "good", "[SEP]"], "good"),
        (["<s>", "Ġa", "Ġgood", "ish", "Ġfilm", "</s>"], "a goodish film"),
        (["▁Das", "▁Haus", "##"], "Das Haus##"),
        (["▁", "中", "文"], "中文"),
        ([], ""),
    ],
)
def test_tokens_are_joined_as_each_language_is_written(tokens: list[str], text: str) -> None:
    found, places = joined(tokens)
    assert found == text
    assert len(places) == len(tokens)
    for token, (start, end) in zip(tokens, places, strict=True):
        assert found[start:end] in token


def test_the_tokens_of_a_text_end_before_the_padding() -> None:
    text = Text(torch.tensor([[1, 2, 0], [2, 2, 1]]), torch.tensor([2, 3]))
    assert tokens_of(text, ["[PAD]", "a", "好"]) == [["a", "好"], ["好", "好", "a"]]


def test_the_heaviest_tokens_come_first() -> None:
    found = heaviest(["a", "b", "c"], [0.2, 0.5, 0.3, 0.0], count=2)
    assert [(row["token"], row["place"]) for row in found] == [("b", 1), ("c", 2)]

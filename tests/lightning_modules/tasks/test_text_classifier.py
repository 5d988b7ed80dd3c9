"""What is shown of classified texts: the mistakes, worst first, with the attention to each token."""

from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules.tokenizing.tokens import Ragged, Text
from lightning_modules.attention_rnn import AttentionRNN
from lightning_modules.bert_classifier import BertClassifier
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.pictures.texts import ALL_RIGHT
from lightning_modules.tasks.text_classifier import TextClassifier, attended
from tests.helpers.recorded_board import RecordedBoard

NAMES = ["好_评", "bad"]
TOKENS = ["[PAD]", "[CLS]", "[SEP]", "the", "un", "##pleasant", "房", "间", "|", "$"]
LENGTHS = [7, 5, 9, 4, 6]


@pytest.fixture
def batch() -> tuple[Text, Tensor]:
    random = torch.Generator().manual_seed(0)
    rows = [[1, *torch.randint(3, 10, (length - 2,), generator=random).tolist(), 2] for length in LENGTHS]
    return Ragged(rows).padded(torch.arange(5), 0), torch.tensor([0, 1, 1, 0, 1])


def answering(cls: type[TextClassifier], logits: list[float]) -> TextClassifier:
    """A model that gives these logits of the second class."""
    torch.manual_seed(0)
    build: Any = cls
    model = build(10, 2, token_names=TOKENS, class_names=NAMES, hidden_size=8).eval()
    column = torch.tensor(logits)
    answer = torch.stack([torch.zeros_like(column), column], dim=1)
    model.forward = lambda _: answer
    return model


@pytest.mark.parametrize("cls", [AttentionRNN, BertClassifier])
def test_shows_mistakes_alone_worst_first(cls: Any, batch: tuple[Text, Tensor]) -> None:
    model, board = answering(cls, [1.0, 2.0, -3.0, -1.0, 0.5]), RecordedBoard()  # the first and the third are wrong
    board.names = [f"a.csv:{row}" for row in range(5)]
    random = torch.get_rng_state()
    with torch.no_grad(), style():
        model.show(batch, board)
    assert torch.equal(torch.get_rng_state(), random)
    figure = board.figures["worst mistakes"]
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown[0].startswith("2 mistakes, the worst first")
    assert model.attends.split()[0] in shown[0]
    assert [text for text in shown if "→" in text and "·" in text] == [
        "bad → 好_评 95 % · a.csv:2",
        "好_评 → bad 73 % · a.csv:0",
    ]
    rows = board.texts["texts"].splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["bad", "好\\_评"]
    assert "[CLS]" not in rows[0]
    backgrounds = [patch for patch in figure.axes[0].patches if patch.get_alpha()]
    assert len(backgrounds) <= sum(LENGTHS[row] - 2 for row in (0, 2))
    assert len({round(patch.get_y()) for patch in backgrounds}) == 2


def test_says_that_there_is_no_mistake(batch: tuple[Text, Tensor]) -> None:
    board = RecordedBoard()
    with torch.no_grad(), style():
        answering(AttentionRNN, [-1.0, 2.0, 3.0, -1.0, 0.5]).show(batch, board)
    texts = board.figures["worst mistakes"].axes[0].texts
    assert texts[0].get_text().startswith(ALL_RIGHT)
    assert [text.get_text() for text in texts].count("✓") == 5
    assert len(board.texts["texts"].splitlines()) == 2 + 5


def test_a_classifier_without_attention_shows_its_mistakes_unmarked(batch: tuple[Text, Tensor]) -> None:
    model, board = answering(AttentionRNN, [1.0, 2.0, 3.0, -1.0, 0.5]), RecordedBoard()
    model.attention_weights = lambda text: None  # type: ignore[method-assign]
    with torch.no_grad(), style():
        model.show(batch, board)
    assert not [patch for patch in board.figures["worst mistakes"].axes[0].patches if patch.get_alpha()]


def test_tokens_are_marked_relative_to_the_strongest_that_is_part_of_the_text() -> None:
    places = [(0, 0), (0, 3), (4, 8), (8, 9), (9, 9)]
    spans = attended(places, [0.6, 0.2, 0.1, 0.001, 0.099, 0.0])
    assert [(span.start, span.end) for span in spans] == [(0, 3), (4, 8)]
    assert [span.weight for span in spans] == [1.0, 0.5]
    assert attended([(0, 0)], [1.0]) == []
    assert attended([], []) == []

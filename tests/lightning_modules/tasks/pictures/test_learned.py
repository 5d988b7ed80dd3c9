from collections.abc import Iterator

import pytest
import torch
from matplotlib.colors import to_hex
from tokenizers import Tokenizer

from datamodules.tokenizing.language import new_language_tokenizer
from datamodules.tokenizing.packed import IGNORED, Packed
from lightning_modules.tasks.pictures.figure import GREEN, figure_file, style
from lightning_modules.tasks.pictures.learned import LEARNED, MOST, learned_texts

TOKENIZER: Tokenizer = new_language_tokenizer("bytes", [], 0)


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style():
        yield


def rows(*pairs: tuple[str, str]) -> Packed:
    """Rows of a question each, which does not count, and an answer, which does."""
    ids, targets = [], []
    for asked, answer in pairs:
        first, second = (TOKENIZER.encode(text).ids for text in (asked, answer))
        ids.append([*first, *second][:-1])
        targets.append([*[IGNORED] * (len(first) - 1), *second])
    return Packed(torch.tensor(ids), torch.tensor(targets), None, torch.zeros(len(ids)))


def test_what_counts_in_the_loss_is_coloured() -> None:
    figure = learned_texts({"": rows(("7加5？", "十二"), ("3加5？", "仅八"))}, TOKENIZER)
    shown = [text.get_text().strip() for text in figure.axes[0].texts]
    assert shown[:2] == [LEARNED, "row 1"]
    assert "row 2" in shown
    assert "7加5？十二" in "".join(shown)
    assert [to_hex(box.get_facecolor()) for box in figure.axes[0].patches] == [GREEN] * 3  # the legend's, and two
    assert figure_file(figure, "svg")


def test_two_answers_stand_below_each_other_and_a_page_has_an_end() -> None:
    pairs = {"better": rows(*[("7？", "8")] * MOST), "worse": rows(*[("7？", "9")] * MOST)}
    shown = [text.get_text().strip() for text in learned_texts(pairs, TOKENIZER).axes[0].texts]
    captions = [text for text in shown if "row" in text]
    assert captions[:3] == ["better, row 1", "worse, row 1", "better, row 2"]
    assert len(captions) == MOST

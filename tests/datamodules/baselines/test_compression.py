"""The compressors' bits are those of the compressed files, whatever the rows are."""

import bz2
import lzma
import math
from pathlib import Path

import pytest
import torch

from datamodules.baselines import compression
from datamodules.corpus import Corpus

TEXT = "".join(f"Line {line} says {line * line}, and the next one is much like it.\n" for line in range(400))


def bits_of(data: Corpus, name: str) -> float:
    baseline = data.baselines()[name]
    rows = data.split_examples("train")
    fitted = baseline.fit([rows[part] for part in torch.arange(len(rows)).split(50)])
    predict = baseline.predictor(fitted)
    batches = [*data.test_dataloader()]
    nats = sum(float(predict(batch).sum()) for batch in batches)
    return nats / math.log(2) / sum(int(batch.num_bytes.sum()) for batch in batches)


@pytest.fixture
def data(tmp_path: Path) -> Corpus:
    (tmp_path / "train.txt").write_text(TEXT)
    (tmp_path / "val.txt").write_text("Line 5\n" * 9)
    (tmp_path / "test.txt").write_text(TEXT[5000:9000])
    data = Corpus(str(tmp_path), batch_size=4, window=32, vocab_size=300)
    data.setup()
    return data


def test_bz2_is_that_of_the_text_alone(data: Corpus) -> None:
    assert bits_of(data, "bz2") == pytest.approx(8 * len(bz2.compress(TEXT[5000:9000].encode())) / 4000)


def test_xz_knows_the_training_text(data: Corpus) -> None:
    both, one = (len(lzma.compress(text.encode())) for text in (TEXT + TEXT[5000:9000], TEXT))
    assert bits_of(data, "xz") == pytest.approx(8 * (both - one) / 4000)
    assert bits_of(data, "xz") < 0.1 < bits_of(data, "bz2")


def test_of_a_large_test_split_the_beginning_is_compressed(data: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_BYTES", 1000)
    assert bits_of(data, "bz2") == pytest.approx(8 * len(bz2.compress(TEXT[5000:6000].encode())) / 1000)

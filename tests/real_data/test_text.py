"""Scores on published texts; TF-IDF with logistic regression stands beside them in every run."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.in_minutes import IN_MINUTES

pytestmark = [pytest.mark.real_data, pytest.mark.long]


@IN_MINUTES
@pytest.mark.parametrize(("name", "accuracy"), [("SST-2", 0.80), ("ChnSentiCorp", 0.87)])
def test_attention_rnn_is_no_worse_than_words_without_order(
    name: str, accuracy: float, score: Callable[..., Any]
) -> None:
    share = ["--data.test_fraction", "0.1"] if name == "ChnSentiCorp" else []
    results = score("--model", "attention_rnn", "--data", name, *share)
    assert results["test"]["accuracy"] >= max(accuracy, results["baseline"]["tf_idf_accuracy"])


@IN_MINUTES
def test_bert_on_sst_2_from_a_pretrained_model(score: Callable[..., Any], minilm: str) -> None:
    words = ("--data", "SST-2", "--model.pretrained", minilm, "--trainer.max_epochs", "1")
    assert score("--model", "bert_classifier", *words)["test"]["accuracy"] >= 0.86

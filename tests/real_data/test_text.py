"""Scores on published texts, beside those of TF-IDF with logistic regression on the same split."""

from pathlib import Path
from typing import Any

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from datamodules.text import TextClassification
from scripts.cli.recipes import resolve
from scripts.cli.training import fit

pytestmark = [pytest.mark.real_data, pytest.mark.long]


def tf_idf(data: TextClassification) -> float:
    """Test accuracy of scikit-learn's logistic regression on TF-IDF of words (Chinese: of characters)."""
    data.setup()
    assert data.splits is not None
    tokens = data.encoded(data.texts)
    words = [part.tolist() for part in tokens.values.split(tokens.lengths.tolist())]
    train, test = data.splits.train.tolist(), data.splits.test.tolist()
    vectorizer = TfidfVectorizer(analyzer=lambda row: words[row])
    model = LogisticRegression(max_iter=1000).fit(vectorizer.fit_transform(train), data.labels[train])
    return float(model.score(vectorizer.transform(test), data.labels[test]))


@pytest.mark.parametrize(
    ("name", "accuracy", "options"),
    [("SST-2", 0.80, {}), ("ChnSentiCorp", 0.87, {"test_fraction": 0.1})],
)
def test_attention_rnn_is_no_worse_than_tf_idf(
    name: str, accuracy: float, options: dict[str, Any], shared_data: Path, tmp_path: Path
) -> None:
    words = ["--model", "attention_rnn", "--data", name, "--data.root", str(shared_data), "--logs", str(tmp_path)]
    results = fit(resolve(words), debug=True)
    assert results is not None
    reached = results["test"]["accuracy"]
    assert reached >= accuracy
    assert reached >= tf_idf(TextClassification(name, root=str(shared_data), **options))

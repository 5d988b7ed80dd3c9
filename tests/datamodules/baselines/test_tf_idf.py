import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from datamodules.baselines.tf_idf import TfIdf
from datamodules.tokenizing.tokens import Ragged


@pytest.mark.parametrize("classes", [2, 3])
def test_equals_scikit_learns_pipeline(classes: int) -> None:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.integers(0, classes, 120))
    texts = [(random.poisson(3 + 2 * label, 4 + label) % 20).tolist() for label in labels.tolist()]
    tokens, train, test = Ragged(texts), torch.arange(0, 80), torch.arange(80, 120)
    baseline = TfIdf(num_tokens=20, num_classes=classes)
    fitted = baseline.fit((tokens.padded(part, padding=0), labels[part]) for part in train.split(30))
    ours = baseline.predictor(fitted)((tokens.padded(test, padding=0), labels[test])).softmax(-1)

    vectorizer = TfidfVectorizer(analyzer=lambda row: texts[row])
    model = LogisticRegression(max_iter=1000)
    model.fit(vectorizer.fit_transform(train.tolist()), labels[train])
    theirs = model.predict_proba(vectorizer.transform(test.tolist()))
    # alike but for tokens that training never saw: there scikit-learn's vocabulary ends
    seen = {token for row in train.tolist() for token in texts[row]}
    assert all(token in seen for row in test.tolist() for token in texts[row])
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_order_of_words_and_the_padding_do_not_matter() -> None:
    labels = torch.tensor([0, 1] * 10)
    tokens = Ragged([[1 + label, 3, 4 + number % 3] for number, label in enumerate(labels.tolist())])
    baseline = TfIdf(num_tokens=8, num_classes=2)
    predict = baseline.predictor(baseline.fit([(tokens.padded(torch.arange(20), 0), labels)]))
    one = predict((Ragged([[1, 3, 5]]).padded(torch.tensor([0]), 0), None))
    two = predict((Ragged([[5, 1, 3], [1, 1, 1, 1, 1]]).padded(torch.tensor([0, 1]), 0), None))
    torch.testing.assert_close(one[0], two[0])


def test_a_class_that_training_lacks_is_never_said() -> None:
    tokens = Ragged([[1, 2], [2, 3]] * 5)
    baseline = TfIdf(num_tokens=4, num_classes=3)
    fitted = baseline.fit([(tokens.padded(torch.arange(10), 0), torch.tensor([0, 2] * 5))])
    assert baseline.predictor(fitted)((tokens.padded(torch.arange(2), 0), None)).argmax(-1).tolist() == [0, 2]

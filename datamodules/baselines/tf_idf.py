"""The bag of words: a text's class from its words, whatever their order."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.baselines.linear import logistic_regression
from datamodules.tokenizing.tokens import Text


class TfIdf(Baseline):
    """Logistic regression on TF-IDF features of the tokens, in Chinese the characters, as scikit-learn has both.

    Spärck Jones 1972, https://doi.org/10.1108/eb026526. A batch is `(Text, classes)`.

    Args:
        num_tokens: size V of the vocabulary.
        num_classes: C
    """

    def __init__(self, num_tokens: int, num_classes: int) -> None:
        self.num_tokens = num_tokens
        self.num_classes = num_classes

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """`idf` (V,), the tokens' inverse document frequencies; `weight` (C, V) and `bias` (C,)."""
        from sklearn.feature_extraction.text import TfidfTransformer  # takes a second to import

        texts, targets = zip(*batches, strict=True)
        transformer = TfidfTransformer()
        features = transformer.fit_transform(token_counts(texts, self.num_tokens))
        idf = torch.from_numpy(transformer.idf_).float()
        return {"idf": idf} | logistic_regression(features, torch.cat(targets), self.num_classes)

    def predictor(self, fitted: Fitted) -> Predictor:
        """Logits (B, C)."""

        def predict(batch: Any) -> Tensor:
            text = Text(*(part.cpu() for part in batch[0]))
            counts = torch.zeros(len(text.ids), self.num_tokens).scatter_add_(1, text.ids, text.mask.float())
            features = torch.nn.functional.normalize(counts * fitted["idf"])  # (B, V)
            return features @ fitted["weight"].T + fitted["bias"]

        return predict


def token_counts(texts: Iterable[Text], num_tokens: int) -> Any:
    """scipy's sparse (N, V) array of how often each text has each token."""
    from scipy.sparse import csr_array

    texts = list(texts)
    values = torch.cat([text.ids[text.mask] for text in texts])
    lengths = torch.cat([text.lengths for text in texts])
    ends = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    ones = torch.ones(len(values))
    counts = csr_array((ones.numpy(), values.int().numpy(), ends.int().numpy()), shape=(len(lengths), num_tokens))
    counts.sum_duplicates()
    return counts

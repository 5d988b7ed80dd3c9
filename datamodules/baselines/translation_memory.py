"""A translation memory: the translation of the most similar sentence of the training split."""

from collections.abc import Iterable
from typing import Any

import torch

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.baselines.tf_idf import token_counts
from datamodules.tokenizing.tokens import Text


class TranslationMemory(Baseline):
    """The translation of the training sentence with the highest cosine of TF-IDF features.

    A batch is `(Pair, references)`.

    Args:
        num_tokens: size V of the sources' vocabulary.
    """

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """`ids` of all sources end to end, their `lengths`, and the `translations`."""
        pairs, references = zip(*batches, strict=True)
        sources = [pair.source for pair in pairs]
        return {
            "ids": torch.cat([source.ids[source.mask] for source in sources]),
            "lengths": torch.cat([source.lengths for source in sources]),
            "translations": [text for texts in references for text in texts],
        }

    def predictor(self, fitted: Fitted) -> Predictor:
        """The translations, as texts."""
        from sklearn.feature_extraction.text import TfidfTransformer

        width = int(fitted["lengths"].max())
        ids = torch.zeros(len(fitted["lengths"]), width, dtype=torch.long)
        known = Text(ids, fitted["lengths"])
        ids[known.mask] = fitted["ids"]
        transformer = TfidfTransformer()
        memory = transformer.fit_transform(token_counts([known], self.num_tokens)).T.tocsr()  # (V, N)

        def predict(batch: Any) -> list[str]:
            text = Text(*(part.cpu() for part in batch[0].source))
            alike = transformer.transform(token_counts([text], self.num_tokens)) @ memory  # (B, N)
            return [fitted["translations"][place] for place in alike.toarray().argmax(1)]

        return predict

"""A tagger of the words of sentences. TODO: what it is."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from datamodules.tagging import Sentences
from lightning_modules.tasks.tagger import Tagger


class NewModel(Tagger):
    """A convolution over the tokens' embeddings, and a linear classifier of each word's first token.

    TODO: what it is, with its paper and the formula.

    Args:
        num_tokens: V, stated by the data, as are tag_names and padding.
        tag_names: K of them.
        padding: index of the padding token.
        hidden_size: D, features of each token.
        width: tokens that the convolution reads at once, an odd number.
        dropout: probability of zeroing a token's feature in training.
        kwargs: as for Tagger and Task.

    Shapes:
        input Sentences with B of W words, in P pieces of T tokens; output (B, W, K)
    """

    def __init__(
        self,
        num_tokens: int,
        tag_names: Sequence[str],
        padding: int = 0,
        hidden_size: int = 64,
        width: int = 5,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(tag_names=tag_names, **kwargs)
        self.embedding = nn.Embedding(num_tokens, hidden_size, padding_idx=padding)
        self.convolution = nn.Conv1d(hidden_size, hidden_size, width, padding=width // 2)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, len(tag_names))  # called head: fine-tuning trains it first

    def forward(self, sentences: Sentences) -> Tensor:
        """Scores of each word's tags."""
        embedded = self.dropout(self.embedding(sentences.ids) * sentences.mask[..., None])  # (P, T, D)
        states = self.convolution(embedded.transpose(1, 2)).relu().transpose(1, 2)
        words = states.flatten(0, 1)[sentences.first]  # (B, W, D)
        return self.head(self.dropout(words))

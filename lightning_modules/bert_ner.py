"""BERT that finds names."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from datamodules.tagging import Sentences
from lightning_modules.layers.bert import architecture_of, bert, encode
from lightning_modules.tasks.tagger import Tagger


class BertNER(Tagger):
    """A linear classifier of tags on BERT's state at each word's first token.

    Devlin et al. 2019, section 5.3, https://arxiv.org/abs/1810.04805.

    Args:
        num_tokens: V
        tag_names: K of them.
        known_entities: as for Tagger.
        pretrained: a name that transformers knows, or a model's folder; None for a small one with fresh weights.
        hidden_size: D, with fresh weights.
        num_layers: with fresh weights.
        num_heads: attention heads in each layer, with fresh weights.
        dropout: share of the states silenced in training; with fresh weights also within the encoder.
        padding: number of the padding token.
        max_length: tokens in the longest piece of a sentence.
        architecture: of the encoder, where a checkpoint brings it.
        kwargs: as for Task.

    Shapes:
        input Sentences with B of W words, output (B, W, K)

    Raises:
        ValueError: there is no such pretrained model, or it is made for fewer tokens.
    """

    def __init__(
        self,
        num_tokens: int,
        tag_names: Sequence[str],
        known_entities: Mapping[str, str] | None = None,
        pretrained: str | None = None,
        hidden_size: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        padding: int = 0,
        max_length: int = 128,
        architecture: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tag_names=tag_names, known_entities=known_entities, **kwargs)
        self.encoder = bert(
            pretrained, num_tokens, hidden_size, num_layers, num_heads, padding, dropout, max_length, architecture
        )
        self.rebuild = {"pretrained": None, "architecture": architecture_of(self.encoder)}
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.encoder.config.hidden_size, len(tag_names))  # type: ignore[union-attr,arg-type]

    def forward(self, sentences: Sentences) -> Tensor:
        """Scores of each word's tags."""
        states = encode(self.encoder, sentences.ids, sentences.mask)  # (P, T, D)
        words = states.flatten(0, 1)[sentences.first]  # (B, W, D)
        return self.head(self.dropout(words))

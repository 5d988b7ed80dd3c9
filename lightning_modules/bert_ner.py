"""BERT for named entity recognition."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from datamodules.tagging import Sentences
from lightning_modules.layers.bert import SmallModernBert, architecture_of, bert, encode
from lightning_modules.tasks.tagger import Tagger


class BertNER(Tagger):
    """BERT with a linear classifier of tags on its hidden state at each word's first token.

    Devlin et al. 2019, section 5.3, https://arxiv.org/abs/1810.04805. Without `pretrained` the encoder is a small
    ModernBERT trained from fresh weights (Warner et al. 2024, https://arxiv.org/abs/2412.13663).

    Args:
        num_tokens: V, the size of the vocabulary.
        tag_names: names of the K tags.
        known_entities: the lookup baseline, as for Tagger.
        pretrained: a model's name in transformers, or its folder; None for a small ModernBERT with fresh weights.
        hidden_size: D, with fresh weights.
        num_layers: number of layers, with fresh weights.
        num_heads: number of attention heads in each layer, with fresh weights.
        dropout: dropout probability of the hidden states; with fresh weights also within the encoder.
        padding: index of the padding token.
        max_length: maximum number of tokens of a piece of a sentence.
        architecture: the encoder's settings, where a checkpoint contains them.
        kwargs: arguments of Task.

    Shapes:
        input Sentences with B of W words, in P pieces of T tokens; output (B, W, K)

    Raises:
        ValueError: there is no such pretrained model, or its vocabulary or its maximum length is too small.
    """

    of_fresh_weights: ClassVar[tuple[str, ...]] = (
        "hidden_size",
        "num_layers",
        "num_heads",
    )

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
        small = SmallModernBert(hidden_size, num_layers, num_heads, dropout, padding)
        self.encoder = bert(pretrained, num_tokens, max_length, architecture=architecture, small=small)
        self.rebuild = {"pretrained": None, "architecture": architecture_of(self.encoder)}
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.encoder.config.hidden_size, len(tag_names))

    def forward(self, sentences: Sentences) -> Tensor:
        """Logits of each word's tags."""
        states = encode(self.encoder, sentences.ids, sentences.mask)  # (P, T, D)
        words = states.flatten(0, 1)[sentences.first]  # (B, W, D)
        return self.head(self.dropout(words))

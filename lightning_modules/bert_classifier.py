"""BERT that classifies texts."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from datamodules.tokenizing.tf_idf import tf_idf_logits
from datamodules.tokenizing.tokens import Text
from lightning_modules.layers.bert import architecture_of, bert, encode
from lightning_modules.tasks.boards import examples_table, tokens_of
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.task import Board


class BertClassifier(Classifier):
    """A linear classifier on BERT's state at the first token, with a hidden layer between as BERT's pooler has.

    Devlin et al. 2019, section 4.1, https://arxiv.org/abs/1810.04805.

    Args:
        num_tokens: V
        num_classes: C
        pretrained: a name that transformers knows, or a model's folder; None for a small one with fresh weights.
        hidden_size: D, with fresh weights.
        num_layers: with fresh weights.
        num_heads: attention heads in each layer, with fresh weights.
        dropout: share of the features silenced before the classifier; with fresh weights also within the encoder.
        padding: number of the padding token.
        max_length: tokens in the longest text.
        token_names: of the V tokens, for the dashboard; their numbers by default.
        tf_idf: baseline of words without order, see `datamodules.tokenizing.tf_idf`.
        architecture: of the encoder, where a checkpoint brings it.
        kwargs: as for Classifier and Task.

    Shapes:
        input Text with B of T tokens, output (B, C)

    Raises:
        ValueError: there is no such pretrained model, or it is made for fewer tokens.
    """

    def __init__(
        self,
        num_tokens: int,
        num_classes: int,
        pretrained: str | None = None,
        hidden_size: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        padding: int = 0,
        max_length: int = 256,
        token_names: Sequence[str] | None = None,
        tf_idf: dict[str, Tensor] | None = None,
        architecture: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.token_names = list(token_names or map(str, range(num_tokens)))
        self.tf_idf = tf_idf
        self.encoder = bert(
            pretrained, num_tokens, hidden_size, num_layers, num_heads, padding, dropout, max_length, architecture
        )
        self.rebuild = {"pretrained": None, "architecture": architecture_of(self.encoder)}
        width: int = self.encoder.config.hidden_size  # type: ignore[union-attr,assignment]
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def forward(self, text: Text) -> Tensor:
        """Logits."""
        states = encode(self.encoder, text.ids, text.mask)  # (B, T, D)
        return self.head(states[:, 0])

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Besides the majority class, logistic regression on TF-IDF."""
        tf_idf = self.tf_idf
        return super().baselines() | ({"tf_idf_": lambda batch: tf_idf_logits(batch[0], tf_idf)} if tf_idf else {})

    def show(self, batch: Any, board: Board) -> None:
        """The first texts with true and predicted class."""
        text, target = batch
        board.text("texts", examples_table(tokens_of(text, self.token_names), target, self(text), self.class_names))

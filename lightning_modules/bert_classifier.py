"""BERT that classifies texts."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from datamodules.tokenizing.tokens import Text
from lightning_modules.layers.bert import SmallModernBert, architecture_of, bert, encode
from lightning_modules.tasks.boards import examples_table, tokens_of
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.task import Board


class BertClassifier(Classifier):
    """BERT with a linear classifier on its hidden state at the first token; a hidden layer between, as BERT's pooler.

    Devlin et al. 2019, section 4.1, https://arxiv.org/abs/1810.04805. Without `pretrained` the encoder is a small
    ModernBERT trained from fresh weights (Warner et al. 2024, https://arxiv.org/abs/2412.13663).

    Args:
        num_tokens: V, the size of the vocabulary.
        num_classes: C
        pretrained: a model's name in transformers, or its folder; None for a small ModernBERT with fresh weights.
        hidden_size: D, with fresh weights.
        num_layers: number of layers, with fresh weights.
        num_heads: number of attention heads in each layer, with fresh weights.
        dropout: dropout probability of the classifier; with fresh weights also within the encoder.
        padding: index of the padding token.
        max_length: maximum number of tokens of a text.
        token_names: names of the V tokens, for the dashboard; their indices by default.
        architecture: the encoder's settings, where a checkpoint contains them.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input Text with B of T tokens, output (B, C)

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
        num_classes: int,
        pretrained: str | None = None,
        hidden_size: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        padding: int = 0,
        max_length: int = 256,
        token_names: Sequence[str] | None = None,
        architecture: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.token_names = list(token_names or map(str, range(num_tokens)))
        small = SmallModernBert(hidden_size, num_layers, num_heads, dropout, padding)
        self.encoder = bert(pretrained, num_tokens, max_length, architecture=architecture, small=small)
        self.rebuild = {"pretrained": None, "architecture": architecture_of(self.encoder)}
        width: int = self.encoder.config.hidden_size
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def forward(self, text: Text) -> Tensor:
        """Logits."""
        states = encode(self.encoder, text.ids, text.mask)  # (B, T, D)
        return self.head(states[:, 0])

    def show(self, batch: Any, board: Board) -> None:
        """The first texts with true and predicted class."""
        text, target = batch
        board.text("texts", examples_table(tokens_of(text, self.token_names), target, self(text), self.class_names))

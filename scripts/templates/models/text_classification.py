"""A classifier of texts. TODO: what it is."""

from typing import Any

from torch import Tensor, nn

from datamodules.tokenizing.tokens import Text
from lightning_modules.tasks.classifier import Classifier


class NewModel(Classifier):
    """A GRU reads the tokens; a linear classifier its states' maximum. TODO: what it is, with its paper.

    Args:
        num_tokens: V, stated by the data, as are num_classes and padding.
        num_classes: K
        padding: index of the padding token.
        hidden_size: D, features of each token.
        dropout: probability of zeroing a token's feature in training.
        kwargs: as for Classifier and Task.

    Shapes:
        input a Text of B sequences of T tokens, output (B, K)
    """

    def __init__(
        self,
        num_tokens: int,
        num_classes: int,
        padding: int = 0,
        hidden_size: int = 64,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.embedding = nn.Embedding(num_tokens, hidden_size, padding_idx=padding)
        self.cells = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, num_classes)  # called head: fine-tuning trains it first

    def forward(self, text: Text) -> Tensor:
        """Logits."""
        states, _ = self.cells(self.dropout(self.embedding(text.ids)))  # (B, T, D)
        states = states.masked_fill(~text.mask[..., None], -1)  # padding changes nothing: no state is below -1
        return self.head(states.amax(1))  # (B, D) → (B, K)

"""A reader that answers questions by a part of a text. TODO: what it is."""

from typing import Any

import torch
from torch import Tensor, nn

from datamodules.reading import Passages
from lightning_modules.tasks.reader import Reader


class NewModel(Reader):
    """Recurrent layers over question and context, and a score of each token as the answer's start and as its end.

    TODO: what it is, with its paper. A long context is read in windows, each of its tokens scored in one of them.

    Args:
        num_tokens: V, stated by the data, as are unanswerable and padding.
        unanswerable: as for Reader.
        padding: index of the padding token.
        hidden_size: D, features of each token, even.
        dropout: probability of zeroing a token's feature in training.
        kwargs: as for Reader and Task.

    Shapes:
        input Passages with B contexts of N tokens, in P windows of T tokens; output (B, 2, N + 1)
    """

    def __init__(
        self,
        num_tokens: int,
        unanswerable: bool = True,
        padding: int = 0,
        hidden_size: int = 64,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(unanswerable=unanswerable, **kwargs)
        self.embedding = nn.Embedding(num_tokens, hidden_size, padding_idx=padding)
        self.cells = nn.GRU(hidden_size, hidden_size // 2, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.none = nn.Parameter(torch.zeros(2))
        self.head = nn.Linear(hidden_size, 2)  # called head: fine-tuning trains it first

    def forward(self, passages: Passages) -> Tensor:
        """Scores of starts and ends, those of "no answer" first."""
        states, _ = self.cells(self.dropout(self.embedding(passages.ids)))  # (P, T, D)
        tokens = self.head(states).flatten(0, 1)[passages.first]  # (B, N, 2)
        none = self.none.expand(len(tokens), 1, 2).to(tokens)
        return torch.cat([none, tokens], dim=1).transpose(1, 2)  # (B, 2, N + 1)

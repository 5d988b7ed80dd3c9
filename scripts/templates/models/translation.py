"""A translator of sentences. TODO: what it is."""

from typing import Any

import torch
from torch import Tensor, nn

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from lightning_modules.tasks.decoding import State
from lightning_modules.tasks.translator import Translator


class NewModel(Translator):
    """A GRU reads the mean of the source's embeddings and the translation so far. TODO: what it is, with its paper.

    Args:
        hidden_size: D, features of each token.
        dropout: probability of zeroing a feature in training.
        kwargs: as for Translator, which knows both vocabularies, and Task.

    Shapes:
        input a Pair of B sentences of T tokens, output (B, T - 1, V)
    """

    def __init__(self, hidden_size: int = 128, dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embed_source = nn.Embedding(self.num_source_tokens, hidden_size, padding_idx=self.source_padding)
        self.embed_target = nn.Embedding(self.num_target_tokens, hidden_size, padding_idx=self.padding)
        self.cells = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, self.num_target_tokens)  # called head: fine-tuning trains it first

    def start(self, source: Text) -> State:
        """What decoding starts with: tensors whose first dimension is B, here the GRU's first state (B, D)."""
        present = source.mask[..., None]
        summed = (self.embed_source(source.ids) * present).sum(1)
        return (torch.tanh(summed / present.sum(1).clamp(min=1)),)

    def forward(self, pair: Pair) -> Tensor:
        """Logits of the translation's second to last token, each from those before it."""
        given = self.dropout(self.embed_target(pair.target.ids[:, :-1]))  # (B, T - 1, D)
        (first,) = self.start(pair.source)
        states, _ = self.cells(given, first[None].to(given))
        return self.head(self.dropout(states))

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (N, V) of the next token, from the newest ones (N,) and the state; and the new state."""
        (before,) = state
        embedded = self.embed_target(tokens)[:, None]  # (N, 1, D)
        _, after = self.cells(embedded, before[None].to(embedded))
        return self.head(after[0]), (after[0],)

"""Recurrent network with attention over time, for texts."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from datamodules.tokenizing.tf_idf import tf_idf_logits
from datamodules.tokenizing.tokens import Text
from lightning_modules.tasks.boards import examples_table, heaviest, tokens_of, weights_table
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.task import Board

SHOWN_WEIGHTS = 3  # texts whose every token is shown on the dashboard


class BidirectionalLSTM(nn.Module):
    """LSTM layers that read each sequence from both its ends; what is in the padding changes nothing.

    On a GPU the sequences are packed. On the CPU packed ones take four times as long as padded ones, since only those
    have a fused kernel: there each direction reads padded sequences, the backward one with each turned round within
    its own length, which comes to the same.

    Args:
        in_features: E
        hidden_size: H, of each direction.
        num_layers: number of layers.
        dropout: share of features silenced between layers.

    Shapes:
        x (B, T, E), lengths (B,), output (B, T, 2 · H), meaningless in the padding
    """

    def __init__(self, in_features: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(in_features, hidden_size, num_layers, batch_first=True, dropout=between, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """States of the last layer."""
        return self.packed(x, lengths) if x.is_cuda else self.turned(x, lengths)

    def packed(self, x: Tensor, lengths: Tensor) -> Tensor:
        """States by packed sequences."""
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]

    def turned(self, x: Tensor, lengths: Tensor) -> Tensor:
        """States by padded sequences, turned round for the backward direction."""
        places = torch.arange(x.shape[1], device=x.device)
        last = lengths[:, None] - 1
        mirrored = torch.where(places <= last, last - places, places)  # (B, T)
        weights = self.lstm.all_weights
        for layer in range(self.lstm.num_layers):
            if layer:
                x = F.dropout(x, self.lstm.dropout, self.training)
            forward = self._one_way(x, weights[2 * layer])  # (B, T, H)
            backward = self._one_way(_at(x, mirrored), weights[2 * layer + 1])
            x = torch.cat([forward, _at(backward, mirrored)], dim=-1)  # (B, T, 2 · H)
        return x

    def _one_way(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        zeros = x.new_zeros(1, x.shape[0], self.lstm.hidden_size)
        return torch.lstm(x, (zeros, zeros), list(weights), True, 1, 0.0, self.training, False, True)[0]


def _at(x: Tensor, places: Tensor) -> Tensor:
    """The features at other places in time: x (B, T, D), places (B, T)."""
    return x.gather(1, places.unsqueeze(-1).expand_as(x))


class AttentionPooling(nn.Module):
    """A weighted mean over time, in which padding has no weight.

    `u_t = tanh(W h_t + b)`, `α_t = softmax_t(v · u_t)`, `s = Σ_t α_t h_t`

    Args:
        hidden_size: D

    Shapes:
        states (B, T, D), mask (B, T), output (B, D) and the weights (B, T)
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pool; at least one place of each row of the mask is true."""
        scores = self.score(torch.tanh(self.project(states))).squeeze(-1)  # (B, T, D) → (B, T)
        weights = scores.float().masked_fill(~mask, -torch.inf).softmax(dim=1)
        return torch.einsum("bt,btd->bd", weights.to(states.dtype), states), weights


class AttentionRNN(Classifier):
    """Word embeddings, a bidirectional LSTM over them, attention over its states, and a linear layer.

    The attention over words of Yang et al. 2016, https://aclanthology.org/N16-1174. The backward direction begins at
    a text's own last token, not in the padding.

    Args:
        num_tokens: V
        num_classes: C
        padding: number of the padding token.
        token_names: of the V tokens, for the dashboard; their numbers by default.
        tf_idf: baseline of words without order, see `datamodules.tokenizing.tf_idf`.
        embedding_size: E, features of each token.
        hidden_size: features of each direction's state; D is twice that.
        num_layers: number of LSTM layers.
        dropout: share of features silenced in training: of the embeddings, between layers, and of the pooled state.
        token_dropout: share of tokens silenced as a whole in training.
        kwargs: as for Classifier and Task.

    Shapes:
        input Text with B of T tokens, output (B, C)
    """

    def __init__(
        self,
        num_tokens: int,
        num_classes: int,
        padding: int = 0,
        token_names: Sequence[str] | None = None,
        tf_idf: dict[str, Tensor] | None = None,
        embedding_size: int = 128,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.3,
        token_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.token_names = list(token_names or map(str, range(num_tokens)))
        self.tf_idf = tf_idf
        self.embedding = nn.Embedding(num_tokens, embedding_size, padding_idx=padding)
        self.lstm = BidirectionalLSTM(embedding_size, hidden_size, num_layers, dropout)
        self.attention = AttentionPooling(2 * hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.token_dropout = token_dropout
        self.head = nn.Linear(2 * hidden_size, num_classes)

    def attend(self, text: Text) -> tuple[Tensor, Tensor]:
        """The pooled state (B, D) and each token's weight (B, T)."""
        x = self.dropout(self.embedding(text.ids))  # (B, T, E)
        if self.training and self.token_dropout:
            x = x * F.dropout(torch.ones_like(x[..., :1]), self.token_dropout)
        states = self.lstm(x, text.lengths)  # (B, T, E) → (B, T, D)
        return self.attention(states, text.mask)

    def forward(self, text: Text) -> Tensor:
        """Logits."""
        pooled, _ = self.attend(text)
        return self.head(self.dropout(pooled))

    def predict_step(self, batch: Text, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each text's class, the probability of every class, and the tokens that weighed most."""
        pooled, weights = self.attend(batch)
        return [
            {**row, "attention": heaviest(tokens, of_tokens)}
            for row, tokens, of_tokens in zip(
                self.rows(self.head(pooled)), tokens_of(batch, self.token_names), weights.tolist(), strict=True
            )
        ]

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Besides the majority class, logistic regression on TF-IDF."""
        tf_idf = self.tf_idf
        return super().baselines() | ({"tf_idf_": lambda batch: tf_idf_logits(batch[0], tf_idf)} if tf_idf else {})

    def show(self, batch: Any, board: Board) -> None:
        """The first texts with true and predicted class, and the weight of every token of a few of them."""
        text, target = batch
        pooled, weights = self.attend(text)
        tokens = tokens_of(text, self.token_names)
        board.text("texts", examples_table(tokens, target, self.head(pooled), self.class_names))
        for number, words in enumerate(tokens[:SHOWN_WEIGHTS]):
            board.text(f"attention/{number}", weights_table(words, weights[number].tolist()))

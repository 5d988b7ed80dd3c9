"""Recurrent network with attention over time, for texts.

Shapes: B texts, T tokens, V tokens in the vocabulary, E features of an embedding, H features of a direction's hidden
state, D = 2 · H features of both, C classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from datamodules.tokenizing.tokens import Text
from lightning_modules.tasks.boards import examples_table, heaviest, tokens_of, weights_table
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.task import Board

SHOWN_WEIGHTS = 3  # texts whose attention weights are shown on the dashboard


class BidirectionalLSTM(nn.Module):
    """LSTM layers that read each sequence from both ends; what is in the padding changes nothing.

    Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; in both directions as in Graves &
    Schmidhuber 2005, https://doi.org/10.1016/j.neunet.2005.06.042.

    On a GPU, `nn.LSTM` reads packed sequences. On the CPU those have no fused kernel: forward and backward pass take
    1.3 to 3.3 times as long as on padded ones (measured on torch 2.14), and torch.export writes down none. There,
    each direction of each layer reads padded sequences by `torch.lstm`, the backward one a sequence that is reversed
    within its own length; the results are the same.

    Args:
        in_features: E
        hidden_size: H, of each direction.
        num_layers: number of layers.
        dropout: dropout probability between layers.

    Shapes:
        x (B, T, E), lengths (B,), output (B, T, 2 · H), meaningless in the padding
    """

    def __init__(self, in_features: int, hidden_size: int, num_layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(in_features, hidden_size, num_layers, batch_first=True, dropout=between, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states of the last layer."""
        return self.packed(x, lengths) if x.is_cuda else self.padded(x, lengths)

    def packed(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states by packed sequences."""
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]

    def padded(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Hidden states by padded sequences."""
        reversal = reversed_within(lengths, x.shape[1])
        weights = self.lstm.all_weights  # those of each layer's forward direction, then of its backward one
        for layer in range(self.lstm.num_layers):
            if layer:
                x = F.dropout(x, self.lstm.dropout, self.training)
            forward = self.one_direction(x, weights[2 * layer])  # (B, T, H)
            backward = self.one_direction(take(x, reversal), weights[2 * layer + 1])  # (B, T, H)
            x = torch.cat([forward, take(backward, reversal)], dim=-1)  # (B, T, 2 · H)
        return x

    def one_direction(self, x: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """One direction of one layer, from the first position to the last: (B, T, E) → (B, T, H)."""
        zeros = x.new_zeros(1, x.shape[0], self.lstm.hidden_size)
        options: Any = {"has_biases": True, "num_layers": 1, "bidirectional": False, "batch_first": True}
        return torch.lstm(x, (zeros, zeros), list(weights), dropout=0.0, train=self.training, **options)[0]


def reversed_within(lengths: Tensor, width: int) -> Tensor:
    """(B, T), the positions of each sequence from its last to its first, and of the padding as they are."""
    positions = torch.arange(width, device=lengths.device)
    last = lengths[:, None] - 1
    return torch.where(positions <= last, last - positions, positions)


def take(x: Tensor, positions: Tensor) -> Tensor:
    """The features at other positions in time: x (B, T, D), positions (B, T)."""
    return x.gather(1, positions.unsqueeze(-1).expand_as(x))


class AttentionPooling(nn.Module):
    """A weighted mean over time, in which padding has no weight.

    Yang et al. 2016, https://aclanthology.org/N16-1174: `u_t = tanh(W h_t + b)`, `α_t = softmax_t(v · u_t)`,
    `s = Σ_t α_t h_t`.

    Args:
        hidden_size: D

    Shapes:
        states (B, T, D), mask (B, T) with at least one token in each row, output (B, D) and the weights (B, T)
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(hidden_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled state, and the weight of each position."""
        scores = self.score(torch.tanh(self.project(states))).squeeze(-1)  # (B, T, 1) → (B, T)
        weights = scores.float().masked_fill(~mask, -torch.inf).softmax(dim=1)  # (B, T)
        return torch.einsum("bt,btd->bd", weights.to(states.dtype), states), weights


class AttentionRNN(Classifier):
    """Token embeddings, a bidirectional LSTM, attention over its hidden states, and a linear classifier.

    The word attention of Yang et al. 2016, https://aclanthology.org/N16-1174.

    Args:
        num_tokens: V, the size of the vocabulary.
        num_classes: C
        padding: index of the padding token.
        token_names: names of the V tokens, for the dashboard; their indices by default.
        embedding_size: E, features of each token.
        hidden_size: H, features of each direction's hidden state; D = 2 · H.
        num_layers: number of LSTM layers.
        dropout: dropout probability of the embeddings, between layers, and of the pooled state.
        token_dropout: probability that all features of a token are dropped in training.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input Text with B of T tokens, output (B, C)
    """

    def __init__(
        self,
        num_tokens: int,
        num_classes: int,
        padding: int = 0,
        token_names: Sequence[str] | None = None,
        embedding_size: int = 128,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.3,
        token_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.token_names = list(token_names or map(str, range(num_tokens)))
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
        states = self.lstm(x, text.lengths)  # (B, T, D)
        return self.attention(states, text.mask)

    def forward(self, text: Text) -> Tensor:
        """Logits."""
        pooled, _ = self.attend(text)
        return self.head(self.dropout(pooled))

    def predict_step(self, batch: Text, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each text's class, the probability of every class, and the tokens with the highest attention weights."""
        pooled, weights = self.attend(batch)
        return [
            {**row, "attention": heaviest(tokens, token_weights)}
            for row, tokens, token_weights in zip(
                self.rows(self.head(pooled)), tokens_of(batch, self.token_names), weights.tolist(), strict=True
            )
        ]

    def show(self, batch: Any, board: Board) -> None:
        """The first texts with true and predicted class, and the attention weights of a few of them."""
        text, target = batch
        pooled, weights = self.attend(text)
        tokens = tokens_of(text, self.token_names)
        board.text("texts", examples_table(tokens, target, self.head(pooled), self.class_names))
        for index, words in enumerate(tokens[:SHOWN_WEIGHTS]):
            board.text(f"attention/{index}", weights_table(words, weights[index].tolist()))

"""Blocks of the Transformer of 2017, from scratch: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

Shapes: B sentences, S source tokens, T tokens of the translation, H heads, D features, d = D / H features of a head.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.layers.decoder_cache import DecoderCache
from lightning_modules.layers.keys_values import KeysValues


class MultiHeadAttention(nn.Module):
    """`concat_h(softmax(Q_h K_hᵀ / √d) V_h) W`, where Q is linear in the queries' input, K and V in the memory.

    Vaswani et al. 2017, section 3.2, https://arxiv.org/abs/1706.03762.

    Args:
        hidden_size: D, a multiple of num_heads.
        num_heads: H
        dropout: dropout probability of the attention weights.

    Shapes:
        x (B, T, D), keys and values of a memory (B, S, D), mask (…, T or 1, S) true where T may attend to S,
        output (B, T, D)
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query, self.key, self.value, self.output = (nn.Linear(hidden_size, hidden_size) for _ in range(4))

    def split_heads(self, x: Tensor) -> Tensor:
        """Each head's features apart."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, S, D) → (B, H, S, d)

    def keys_values(self, memory: Tensor) -> KeysValues:
        """The memory's keys and values: computed once for a memory that does not change."""
        return KeysValues(self.split_heads(self.key(memory)), self.split_heads(self.value(memory)))

    def forward(self, x: Tensor, memory: KeysValues, mask: Tensor | None = None) -> Tensor:
        """For each position of x a weighted mean of the values."""
        dropout = self.dropout if self.training else 0.0
        q = self.split_heads(self.query(x))  # (B, H, T, d)
        heads = F.scaled_dot_product_attention(q, memory.keys, memory.values, mask, dropout)  # (B, H, T, d)
        return self.output(heads.transpose(1, 2).flatten(2))  # (B, T, D)

    def weights(self, x: Tensor, memory: KeysValues, mask: Tensor | None = None) -> Tensor:
        """How much each position of x attends to each of the memory, (B, H, T, S), where nothing is dropped."""
        q = self.split_heads(self.query(x))  # (B, H, T, d)
        scores = q @ memory.keys.mT / q.shape[-1] ** 0.5  # (B, H, T, S)
        return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)


class Residual(nn.Module):
    """A sublayer's output added to its input: `x + f(norm(x))` (pre-norm), or `norm(x + f(x))` as in the paper.

    Xiong et al. 2020, https://arxiv.org/abs/2002.04745.

    Args:
        hidden_size: D
        dropout: dropout probability of the sublayer's output.
        norm_first: whether to use pre-norm.

    Shapes:
        x (B, T, D), output (B, T, D)
    """

    def __init__(self, hidden_size: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """The sum, normalised before or after."""
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def feedforward(hidden_size: int, feedforward_size: int, dropout: float) -> nn.Sequential:
    """Two linear layers with rectified linear units between, at each position alike."""
    return nn.Sequential(
        nn.Linear(hidden_size, feedforward_size),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(feedforward_size, hidden_size),
    )


class EncoderLayer(nn.Module):
    """Self-attention of the source, then a feed-forward network.

    Args:
        hidden_size: D, a multiple of num_heads.
        num_heads: H
        feedforward_size: hidden units of the feed-forward network.
        dropout: dropout probability of features and of attention weights.
        norm_first: normalise before each sublayer instead of after it.

    Shapes:
        x (B, S, D), mask (B, 1, 1, S) true where there is a token, output (B, S, D)
    """

    def __init__(
        self, hidden_size: int, num_heads: int, feedforward_size: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(hidden_size, num_heads, dropout)
        self.feedforward = feedforward(hidden_size, feedforward_size, dropout)
        self.residuals = nn.ModuleList(Residual(hidden_size, dropout, norm_first) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The left half of the paper's figure 1."""
        x = self.residuals[0](x, lambda h: self.attention(h, self.attention.keys_values(h), mask))
        return self.residuals[1](x, self.feedforward)


class DecoderLayer(nn.Module):
    """Self-attention of the translation, attention to the source, then a feed-forward network.

    Args:
        hidden_size: D, a multiple of num_heads.
        num_heads: H
        feedforward_size: hidden units of the feed-forward network.
        dropout: dropout probability of features and of attention weights.
        norm_first: normalise before each sublayer instead of after it.

    Shapes:
        x (B, T, D), memory (B, S, D), source_mask (B, 1, 1, S) and mask (T, T) true where T may attend,
        output (B, T, D)
    """

    def __init__(
        self, hidden_size: int, num_heads: int, feedforward_size: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(hidden_size, num_heads, dropout)
        self.attention_to_source = MultiHeadAttention(hidden_size, num_heads, dropout)
        self.feedforward = feedforward(hidden_size, feedforward_size, dropout)
        self.residuals = nn.ModuleList(Residual(hidden_size, dropout, norm_first) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor, source_mask: Tensor, mask: Tensor) -> Tensor:
        """The right half of the paper's figure 1."""
        source = self.attention_to_source.keys_values(memory)
        x = self.residuals[0](x, lambda h: self.attention(h, self.attention.keys_values(h), mask))
        x = self.residuals[1](x, lambda h: self.attention_to_source(h, source, source_mask))
        return self.residuals[2](x, self.feedforward)

    def advance(self, x: Tensor, cache: DecoderCache, index: int) -> Tensor:
        """The same as `forward` for the newest token of each of K hypotheses, (B, K, D).

        Args:
            x: its features.
            cache: with room for its keys and values.
            index: of this layer.
        """

        def attend_to_past(h: Tensor) -> Tensor:
            return self.attention(h, *cache.attended(index, self.attention.keys_values(h)))

        x = self.residuals[0](x, attend_to_past)
        x = self.residuals[1](x, lambda h: self.attention_to_source(h, cache.source[index], cache.mask))
        return self.residuals[2](x, self.feedforward)


def causal_mask(length: int, device: torch.device) -> Tensor:
    """(T, T), true where the column is not after the row."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()

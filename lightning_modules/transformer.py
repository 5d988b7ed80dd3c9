"""The Transformer of 2017, from scratch.

Shapes: B sentences, S source tokens, T tokens of the translation, H heads, D features, d = D / H features of a head.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from lightning_modules.layers.sequence import PositionalEmbedding, tie
from lightning_modules.tasks.decoding import State
from lightning_modules.tasks.translator import Translator

KeysValues = tuple[Tensor, Tensor]  # (B, H, S, d) each


class MultiHeadAttention(nn.Module):
    """`concat_h(softmax(Q_h K_hᵀ / √d) V_h) W`, where Q, K and V are linear in what asks and in what is asked.

    Args:
        hidden_size: D
        num_heads: H
        dropout: share of the attention weights silenced in training.

    Shapes:
        x (B, T, D), memory (B, S, D), mask (…, T or 1, S) true where T may look, output (B, T, D)
    """

    def __init__(self, hidden_size: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query, self.key, self.value, self.output = (nn.Linear(hidden_size, hidden_size) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        """Each head's features apart."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, S, D) → (B, H, S, d)

    def keys_values(self, memory: Tensor) -> KeysValues:
        """What may be asked: computed once for a memory that does not change."""
        return self.split(self.key(memory)), self.split(self.value(memory))

    def forward(self, x: Tensor, asked: KeysValues, mask: Tensor | None = None) -> Tensor:
        """Each of x's places takes a weighted mean of the values."""
        keys, values = asked
        dropout = self.dropout if self.training else 0.0
        heads = F.scaled_dot_product_attention(self.split(self.query(x)), keys, values, mask, dropout)  # (B, H, T, d)
        return self.output(heads.transpose(1, 2).flatten(2))  # (B, T, D)


class Residual(nn.Module):
    """A sublayer's output added to its input: `x + f(norm(x))` (pre-norm), or `norm(x + f(x))` as in the paper.

    Args:
        hidden_size: D
        dropout: share of the sublayer's features silenced in training.
        norm_first: pre-norm (Xiong et al. 2020, https://arxiv.org/abs/2002.04745).
    """

    def __init__(self, hidden_size: int, dropout: float, norm_first: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, D) → (B, T, D)"""
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def feedforward(hidden_size: int, feedforward_size: int, dropout: float) -> nn.Sequential:
    """Two linear layers with rectified units between, at each place alike."""
    return nn.Sequential(
        nn.Linear(hidden_size, feedforward_size),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(feedforward_size, hidden_size),
    )


class EncoderLayer(nn.Module):
    """Attention of the source to itself, then a feed-forward network. Arguments as for Transformer."""

    def __init__(
        self, hidden_size: int, num_heads: int, feedforward_size: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(hidden_size, num_heads, dropout)
        self.feedforward = feedforward(hidden_size, feedforward_size, dropout)
        self.residuals = nn.ModuleList(Residual(hidden_size, dropout, norm_first) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, S, D) → (B, S, D)"""
        x = self.residuals[0](x, lambda h: self.attention(h, self.attention.keys_values(h), mask))
        return self.residuals[1](x, self.feedforward)


class DecoderLayer(nn.Module):
    """Attention of the translation to itself, then to the source, then a feed-forward network.

    Arguments as for Transformer.
    """

    def __init__(
        self, hidden_size: int, num_heads: int, feedforward_size: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(hidden_size, num_heads, dropout)
        self.attention_to_source = MultiHeadAttention(hidden_size, num_heads, dropout)
        self.feedforward = feedforward(hidden_size, feedforward_size, dropout)
        self.residuals = nn.ModuleList(Residual(hidden_size, dropout, norm_first) for _ in range(3))

    def forward(
        self,
        x: Tensor,
        source: Tensor | KeysValues,
        source_mask: Tensor,
        mask: Tensor | None = None,
        past: KeysValues | None = None,
    ) -> tuple[Tensor, KeysValues | None]:
        """The layer's output; and `past`, the keys and values of the places before x's, with those of x's own.

        Of the source come its features, or, where many steps ask it, its keys and values.
        """
        asked = self.attention_to_source.keys_values(source) if isinstance(source, Tensor) else source

        def to_itself(h: Tensor) -> Tensor:
            nonlocal past
            own = self.attention.keys_values(h)
            if past is not None:
                past = own = (
                    torch.cat([past[0], own[0]], dim=2),
                    torch.cat([past[1], own[1]], dim=2),
                )  # (B, H, t + T, d)
            return self.attention(h, own, mask)

        x = self.residuals[0](x, to_itself)
        x = self.residuals[1](x, lambda h: self.attention_to_source(h, asked, source_mask))
        return self.residuals[2](x, self.feedforward), past


def causal_mask(length: int, device: torch.device) -> Tensor:
    """(T, T), true where the column is not after the row."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


class Transformer(Translator):
    """An encoder and a decoder of attention layers.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.

    Args:
        hidden_size: D, a multiple of twice the heads.
        num_layers: in the encoder, and in the decoder.
        num_heads: H
        feedforward_size: hidden units of each feed-forward network.
        dropout: share of features, and of attention weights, silenced in training.
        norm_first: normalise before each sublayer, and once at the end, instead of after each as in the paper.
        tie_embeddings: one matrix for the translation's embedding and the output, and, if both languages share their
            vocabulary, the source's embedding.
        kwargs: as for Translator and Task.

    Shapes:
        input a Pair of B sentences, output (B, T - 1, V)
    """

    def __init__(
        self,
        hidden_size: int = 256,
        num_layers: int = 3,
        num_heads: int = 4,
        feedforward_size: int = 1024,
        dropout: float = 0.1,
        norm_first: bool = True,
        tie_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden_size % (2 * num_heads):
            raise ValueError(
                f"--model.hidden_size {hidden_size} and --model.num_heads {num_heads}: "
                f"expected a multiple of twice the heads"
            )
        self.embed_source = PositionalEmbedding(self.num_source_tokens, hidden_size, self.source_padding, dropout)
        self.embed_target = PositionalEmbedding(self.num_target_tokens, hidden_size, self.padding, dropout)
        sizes = (hidden_size, num_heads, feedforward_size, dropout, norm_first)
        self.encoder: Any = nn.ModuleList(EncoderLayer(*sizes) for _ in range(num_layers))
        self.decoder: Any = nn.ModuleList(DecoderLayer(*sizes) for _ in range(num_layers))
        self.encoder_norm, self.decoder_norm = (
            nn.LayerNorm(hidden_size) if norm_first else nn.Identity() for _ in range(2)
        )
        self.output = nn.Linear(hidden_size, self.num_target_tokens, bias=False)
        for layer in [*self.encoder.modules(), *self.decoder.modules()]:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        if tie_embeddings:
            tie(self.embed_source.tokens, self.embed_target.tokens, self.output, self.one_vocabulary)

    def encode(self, source: Text) -> tuple[Tensor, Tensor]:
        """The source's features (B, S, D), and their mask (B, 1, 1, S)."""
        mask = source.mask[:, None, None]
        x = self.embed_source(source.ids)
        for layer in self.encoder:
            x = layer(x, mask)
        return self.encoder_norm(x), mask

    def forward(self, pair: Pair) -> Tensor:
        """Logits."""
        memory, source_mask = self.encode(pair.source)
        x = self.embed_target(pair.target.ids[:, :-1])
        mask = causal_mask(x.shape[1], x.device)
        for layer in self.decoder:
            x, _ = layer(x, memory, source_mask, mask)
        return self.output(self.decoder_norm(x))

    def start(self, source: Text) -> State:
        """The mask of the source, and for each layer keys and values of the source and of no token yet."""
        memory, mask = self.encode(source)
        parts: list[Tensor] = [mask]
        for layer in self.decoder:
            keys, values = layer.attention_to_source.keys_values(memory)
            parts += [keys, values, keys[:, :, :0], values[:, :, :0]]
        return tuple(parts)

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One more token: only its own place is computed."""
        mask, *parts = state
        x = self.embed_target(tokens[:, None], first=parts[2].shape[2])  # (N, 1, D)
        new = [mask]
        for number, layer in enumerate(self.decoder):
            keys, values, *past = parts[4 * number : 4 * number + 4]
            x, own = layer(x, (keys, values), mask, past=(past[0], past[1]))
            new += [keys, values, *own]
        return self.output(self.decoder_norm(x))[:, 0], tuple(new)

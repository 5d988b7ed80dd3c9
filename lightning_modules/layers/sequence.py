"""Blocks of models of sequences."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

NORMS = nn.LayerNorm, nn.RMSNorm


class PositionalEmbedding(nn.Module):
    """Token embeddings, scaled, plus sinusoids of the position.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762: `P[t, 2i] = sin(t / 10000^(2i/D))`, and the cosine of the
    same at 2i + 1. Sequences may be of any length.

    Args:
        num_tokens: V, the size of the vocabulary.
        hidden_size: D, even.
        padding: index of the padding token.
        dropout: dropout probability of the sum.

    Shapes:
        input (B, T), output (B, T, D)
    """

    rates: Tensor

    def __init__(self, num_tokens: int, hidden_size: int, padding: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.tokens = nn.Embedding(num_tokens, hidden_size, padding_idx=padding)
        nn.init.normal_(self.tokens.weight, std=hidden_size**-0.5)  # 1 once scaled: as large as the sinusoids
        self.dropout = nn.Dropout(dropout)
        rates = torch.exp(torch.arange(0, hidden_size, 2) * (-math.log(10000.0) / hidden_size))
        self.register_buffer("rates", rates, persistent=False)  # (D / 2,)

    def positions(self, first: int, length: int) -> Tensor:
        """The sinusoids of `length` positions, beginning at `first`: (T, D)."""
        angles = torch.arange(first, first + length, device=self.rates.device)[:, None] * self.rates
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, D / 2, 2) → (T, D)

    def forward(self, ids: Tensor, first: int = 0) -> Tensor:
        """Embed tokens whose first position is `first`."""
        scale = math.sqrt(self.tokens.embedding_dim)
        return self.dropout(self.tokens(ids) * scale + self.positions(first, ids.shape[1]))


def check_heads(hidden_size: int, num_heads: int) -> None:
    """Refuse features that the heads do not divide, or a head with an odd number of them.

    Raises:
        ValueError: hidden_size is no multiple of twice the heads.
    """
    if hidden_size % (2 * num_heads):
        raise ValueError(
            f"--model.hidden_size {hidden_size} and --model.num_heads {num_heads}: "
            f"expected a multiple of twice the heads"
        )


def tie(source: nn.Embedding, target: nn.Embedding, output: nn.Linear, one_vocabulary: bool) -> None:
    """Share one matrix between the output layer, the target embedding and, with one vocabulary, the source embedding.

    Press & Wolf 2017, https://arxiv.org/abs/1608.05859.

    Args:
        source: embedding of the source's tokens.
        target: embedding of the translation's tokens.
        output: linear layer that computes the logits of the translation's next token.
        one_vocabulary: whether both languages share their vocabulary.
    """
    output.weight = target.weight
    if one_vocabulary:
        source.weight = target.weight


def forecast(cells: nn.RNNBase, head: nn.Module, x: Tensor, relative: bool) -> Tensor:
    """The forecast (B, H) of all steps at once, from the recurrent layers' last hidden state.

    Args:
        cells: recurrent layers of D features, batch first.
        head: (B, D) → (B, H)
        x: window (B, W, C), the target's past in channel 0.
        relative: read and forecast differences from the window's last value.
    """
    last = x[:, -1:]  # (B, 1, C)
    states, _ = cells(x - last if relative else x)  # (B, W, D)
    steps = head(states[:, -1])  # (B, H)
    return steps + last[..., 0] if relative else steps


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a Transformer: those modules in its outermost lists that normalise their features."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from (block for block in child if any(isinstance(part, NORMS) for part in block.modules()))
        else:
            yield from blocks(child)

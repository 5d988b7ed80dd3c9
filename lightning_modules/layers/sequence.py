"""Blocks that two or more models share."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class PositionalEmbedding(nn.Module):
    """Token embeddings, scaled, plus sinusoids of the position.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762: `P[t, 2i] = sin(t / 10000^(2i/D))`, and the cosine of the
    same at 2i + 1. There is no longest sequence.

    Args:
        num_tokens: V
        hidden_size: D, even.
        padding: number of the padding token.
        dropout: share of the features silenced in training.

    Shapes:
        input (B, T), output (B, T, D)
    """

    rates: Tensor

    def __init__(self, num_tokens: int, hidden_size: int, padding: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.tokens = nn.Embedding(num_tokens, hidden_size, padding_idx=padding)
        nn.init.normal_(self.tokens.weight, std=hidden_size**-0.5)  # one, once scaled: as large as the sinusoids
        self.dropout = nn.Dropout(dropout)
        rates = torch.exp(torch.arange(0, hidden_size, 2) * (-math.log(10000.0) / hidden_size))
        self.register_buffer("rates", rates, persistent=False)  # (D / 2,)

    def positions(self, first: int, length: int) -> Tensor:
        """The sinusoids of `length` positions from the `first` on, (T, D)."""
        angles = torch.arange(first, first + length, device=self.rates.device)[:, None] * self.rates
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # (T, D / 2, 2) → (T, D)

    def forward(self, ids: Tensor, first: int = 0) -> Tensor:
        """Embed tokens that stand from the position `first` on."""
        scale = math.sqrt(self.tokens.embedding_dim)
        return self.dropout(self.tokens(ids) * scale + self.positions(first, ids.shape[1]))


def tie(source: nn.Embedding, target: nn.Embedding, output: nn.Linear, one_vocabulary: bool) -> None:
    """Let the output layer and the target embedding be one matrix, and the source embedding, too, if it can be.

    Press & Wolf 2017, https://arxiv.org/abs/1608.05859.

    Args:
        source: embedding of the source's tokens.
        target: embedding of the translation's tokens.
        output: gives the logits of the translation's next token.
        one_vocabulary: whether both languages' tokens have the same numbers.
    """
    output.weight = target.weight
    if one_vocabulary:
        source.weight = target.weight


def forecast(cells: nn.RNNBase, head: nn.Module, x: Tensor, relative: bool) -> Tensor:
    """Read a window with recurrent layers, and forecast all steps ahead at once from their last state.

    Args:
        cells: of D features, batch first.
        head: (B, D) → (B, H)
        x: (B, W, C), the target's past in channel 0.
        relative: read and forecast differences from the window's last value.

    Returns:
        (B, H)
    """
    last = x[:, -1:]  # (B, 1, C)
    states, _ = cells(x - last if relative else x)  # (B, W, D)
    ahead = head(states[:, -1])
    return ahead + last[..., 0] if relative else ahead


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a Transformer: members of its outermost lists, each of which normalises its features."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from (block for block in child if any(isinstance(part, nn.LayerNorm) for part in block.modules()))
        else:
            yield from blocks(child)

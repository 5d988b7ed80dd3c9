"""BERT that answers questions about a text."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.reading import Passages
from lightning_modules.layers.bert import architecture_of, bert, encode
from lightning_modules.overlap import LONGEST_RUN, NEAR, runs_shared, shares_near
from lightning_modules.tasks.reader import Reader


class BertQA(Reader):
    """A linear layer on BERT's states scores each token as the answer's start and as its end.

    Devlin et al. 2019, sections 4.2 and 4.3, https://arxiv.org/abs/1810.04805. A long context is read in windows; each
    of its tokens is scored in the window that shows most of what is around it. "No answer" is scored at the first
    token, [CLS], as the mean over the windows. Each token's embedding says, besides, how much of the question stands
    around it, as in Chen et al. 2017, https://arxiv.org/abs/1704.00051.

    Args:
        num_tokens: V
        unanswerable: as for Reader.
        pretrained: a name that transformers knows, or a model's folder; None for a small one with fresh weights.
        hidden_size: D, with fresh weights.
        num_layers: with fresh weights.
        num_heads: attention heads in each layer, with fresh weights.
        dropout: share of features silenced in training, with fresh weights.
        padding: number of the padding token.
        max_length: tokens in the longest window.
        architecture: of the encoder, where a checkpoint brings it.
        kwargs: as for Reader and Task.

    Shapes:
        input Passages with B contexts of N tokens, output (B, 2, N + 1)

    Raises:
        ValueError: there is no such pretrained model, or it is made for fewer tokens.
    """

    def __init__(
        self,
        num_tokens: int,
        unanswerable: bool = True,
        pretrained: str | None = None,
        hidden_size: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        padding: int = 0,
        max_length: int = 384,
        architecture: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(unanswerable=unanswerable, **kwargs)
        self.encoder = bert(
            pretrained,
            num_tokens,
            hidden_size,
            num_layers,
            num_heads,
            padding,
            dropout,
            max_length,
            architecture,
            attention_dropout=0.0,  # with it every window's T² attention weights would be kept, and take twice as long
        )
        self.rebuild = {"pretrained": None, "architecture": architecture_of(self.encoder)}
        width: int = self.encoder.config.hidden_size  # type: ignore[union-attr,assignment]
        self.marks = nn.Embedding(2 + LONGEST_RUN, width)
        self.near = nn.Linear(3 * len(NEAR), width, bias=False)
        for layer in (self.marks, self.near):
            nn.init.zeros_(layer.weight)  # what a pretrained encoder reads is at first what it knows
        self.head = nn.Linear(width, 2)

    def forward(self, passages: Passages) -> Tensor:
        """Scores of starts and ends, those of "no answer" first."""
        marks = self.marks(runs_shared(passages)) + self.near(shares_near(passages))
        states = encode(self.encoder, passages.ids, passages.mask, passages.segments, marks)  # (P, T, D)
        scores = self.head(states)  # (P, T, 2)
        tokens = scores.flatten(0, 1)[passages.first]  # (B, N, 2)
        size = passages.num_tokens.shape[0]
        first = F.pad(scores[:, 0], (0, 1), value=1.0)  # (P, 3), the last to be counted
        sums = scores.new_zeros(size, 3).index_add(0, passages.owner, first)
        none = sums[:, :2] / sums[:, 2:]  # (B, 2)
        return torch.cat([none[:, None], tokens], dim=1).transpose(1, 2)  # (B, N + 1, 2) → (B, 2, N + 1)

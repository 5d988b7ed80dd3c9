"""BERT that answers questions about a text."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.reading import Passages
from lightning_modules.layers.bert import architecture_of, bert, encode
from lightning_modules.tasks.reader import Reader

LONGEST_RUN = 3  # tokens; longer ones count alike
NEAR = (8, 32, 128)  # tokens: about a clause, a sentence and a paragraph
SHARPNESS = 8  # a place with nine tenths of what the best has counts 0.43, one with half of it nothing


def runs_shared(passages: Passages) -> Tensor:
    """How much of its question stands around each token of a context.

    Returns:
        (P, T), 0 in the question's part and the padding; in the context's part 1, and one more for each length from 1
        to LONGEST_RUN of which some run of tokens through this one stands in the question, too.
    """
    ids, start = passages.ids, passages.context_start[:, None]
    places = torch.arange(ids.shape[1], device=ids.device)
    in_context = passages.segments.bool()
    in_question = (places < start)[:, : _longest(start, places)]
    same = ids[:, :, None] == ids[:, None, : in_question.shape[1]]  # (P, T, Q)
    same &= in_context[:, :, None] & in_question[:, None]
    _, length, asked = same.shape
    further = F.pad(same, (0, LONGEST_RUN - 1, 0, LONGEST_RUN - 1))
    level, run = in_context.long(), same
    for ahead in range(LONGEST_RUN):
        run = run & further[:, ahead : ahead + length, ahead : ahead + asked]  # where runs of this length begin
        begins = F.pad(run.any(2), (ahead, 0))
        level += torch.stack([begins[:, back : back + length] for back in range(ahead + 1)]).any(0)
    return level


def _longest(start: Tensor, places: Tensor) -> int:
    """Tokens of the longest question."""
    return places.shape[0] if torch.compiler.is_exporting() else int(start.max())  # a file's sizes know no values


def shares_near(passages: Passages) -> Tensor:
    """Which share of its question stands near each token of a context.

    Each of the question's tokens counts once, and the more the rarer it is in the context: log(1 + tokens of the
    context / times that it stands there).

    Returns:
        (P, T, 3 · widths), from 0 to 1: for each width in NEAR the share of the question that stands in so many tokens
        around this one; then that share by the highest in the whole context, plain and sharpened. 0 in the question's
        part and the padding.
    """
    ids, start, owner = passages.ids, passages.context_start[:, None], passages.owner
    size, length = passages.num_tokens.shape[0], ids.shape[1]
    in_context = passages.segments.bool()
    places = torch.arange(length, device=ids.device)
    asked = ids[:, : _longest(start, places)]  # (P, Q)
    again = (asked[:, :, None] == asked[:, None]).tril(-1).any(2)
    counted = (places < start)[:, : asked.shape[1]] & ~again
    same = (ids[:, :, None] == asked[:, None]) & in_context[:, :, None] & counted[:, None]  # (P, T, Q)
    before = F.pad(same.cumsum(1, dtype=torch.int32), (0, 0, 1, 0))  # (P, T + 1, Q)

    times = before.new_zeros(size, asked.shape[1]).index_add(0, owner, before[:, -1])  # of all windows, (B, Q)
    tokens = torch.zeros_like(passages.num_tokens).index_add(0, owner, in_context.sum(1))
    weight = (1 + tokens[:, None] / times.clamp(min=1)).log().masked_fill(times == 0, 0)  # (B, Q)
    weight = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[owner, None]  # (P, 1, Q)

    shares = []
    for width in NEAR:
        first, end = (places - width // 2).clamp(min=0), (places + width // 2 + 1).clamp(max=length)
        near = before[:, end] > before[:, first]  # (P, T, Q)
        shares.append((near * weight).sum(2).masked_fill(~in_context, 0))
    share = torch.stack(shares, dim=2)  # (P, T, W)
    of = owner[:, None].expand(-1, len(NEAR))
    best = share.new_zeros(size, len(NEAR)).scatter_reduce(0, of, share.amax(1), "amax")  # of all windows
    relative = share / best.clamp(min=1e-6)[owner, None]
    return torch.cat([share, relative, relative**SHARPNESS], dim=2)


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

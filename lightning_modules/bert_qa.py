"""BERT for extractive question answering.

Shapes: B questions with N context tokens at most, read in P windows of T tokens; Q tokens of the longest question;
W context widths; D features.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.reading import Passages
from lightning_modules.layers.bert import SmallModernBert, architecture_of, bert, encode
from lightning_modules.tasks.reader import Reader

MAX_NGRAM = 3  # tokens; longer matches count alike
WIDTHS = (8, 32, 128)  # tokens: about a clause, a sentence and a paragraph
SHARPNESS = 8  # a position with nine tenths of the best one's overlap gets 0.43, one with half of it nothing


def longest_question(passages: Passages) -> int:
    """Q, or T while a graph is exported, whose sizes cannot depend on values."""
    return passages.ids.shape[1] if torch.compiler.is_exporting() else int(passages.context_start.max())


def ngram_matches(passages: Passages) -> Tensor:
    """The length of the longest n-gram through each context token that its question contains, too.

    Returns:
        (P, T), 0 in the question and the padding; in the context 1, and one more for each length up to MAX_NGRAM of
        which an n-gram through this token is in the question.
    """
    ids, start = passages.ids, passages.context_start[:, None]
    positions = torch.arange(ids.shape[1], device=ids.device)
    in_context = passages.segments.bool()
    in_question = (positions < start)[:, : longest_question(passages)]
    same = ids[:, :, None] == ids[:, None, : in_question.shape[1]]  # (P, T, Q)
    same &= in_context[:, :, None] & in_question[:, None]
    _, length, width = same.shape
    padded = F.pad(same, (0, MAX_NGRAM - 1, 0, MAX_NGRAM - 1))
    level, match = in_context.long(), same
    for n in range(MAX_NGRAM):
        match = match & padded[:, n : n + length, n : n + width]  # where matches of n + 1 tokens begin
        begins = F.pad(match.any(2), (n, 0))
        level += torch.stack([begins[:, back : back + length] for back in range(n + 1)]).any(0)
    return level


def overlap_nearby(passages: Passages) -> Tensor:
    """The fraction of its question that is near each context token.

    Each distinct token of the question counts once, weighted by its rarity in the context: log(1 + number of tokens in
    the context / number of its occurrences there).

    Returns:
        (P, T, 3 · W), from 0 to 1: for each of WIDTHS the fraction of the question that is among so many tokens around
        this one; then that fraction divided by its maximum over the context, plain and sharpened. 0 in the question
        and the padding.
    """
    ids, start, owner = passages.ids, passages.context_start[:, None], passages.owner
    size, length = passages.num_tokens.shape[0], ids.shape[1]
    in_context = passages.segments.bool()
    positions = torch.arange(length, device=ids.device)
    question = ids[:, : longest_question(passages)]  # (P, Q)
    repeated = (question[:, :, None] == question[:, None]).tril(-1).any(2)
    counted = (positions < start)[:, : question.shape[1]] & ~repeated
    same = (ids[:, :, None] == question[:, None]) & in_context[:, :, None] & counted[:, None]  # (P, T, Q)
    before = F.pad(same.cumsum(1, dtype=torch.int32), (0, 0, 1, 0))  # (P, T + 1, Q)

    occurrences = before.new_zeros(size, question.shape[1]).index_add(0, owner, before[:, -1])  # of all windows, (B, Q)
    tokens = torch.zeros_like(passages.num_tokens).index_add(0, owner, in_context.sum(1))
    weight = (1 + tokens[:, None] / occurrences.clamp(min=1)).log().masked_fill(occurrences == 0, 0)  # (B, Q)
    weight = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[owner, None]  # (P, 1, Q)

    fractions = []
    for width in WIDTHS:
        first, end = (positions - width // 2).clamp(min=0), (positions + width // 2 + 1).clamp(max=length)
        near = before[:, end] > before[:, first]  # (P, T, Q)
        fractions.append((near * weight).sum(2).masked_fill(~in_context, 0))
    fraction = torch.stack(fractions, dim=2)  # (P, T, W)
    rows = owner[:, None].expand(-1, len(WIDTHS))
    best = fraction.new_zeros(size, len(WIDTHS)).scatter_reduce(0, rows, fraction.amax(1), "amax")  # of all windows
    relative = fraction / best.clamp(min=1e-6)[owner, None]
    return torch.cat([fraction, relative, relative**SHARPNESS], dim=2)


class BertQA(Reader):
    """BERT with a linear layer that scores each token as the answer's start and as its end.

    Devlin et al. 2019, sections 4.2 and 4.3, https://arxiv.org/abs/1810.04805. A long context is read in windows; each
    of its tokens is scored in the window that shows most of its surroundings. "No answer" is scored at the first
    token, [CLS], as the mean over the windows. Each token's embedding also says how much of the question is near it,
    as in Chen et al. 2017, https://arxiv.org/abs/1704.00051. Without `pretrained` the encoder is a small ModernBERT
    trained from fresh weights (Warner et al. 2024, https://arxiv.org/abs/2412.13663).

    Args:
        num_tokens: V, the size of the vocabulary.
        unanswerable: whether a question may have no answer, as for Reader.
        pretrained: a model's name in transformers, or its folder; None for a small ModernBERT with fresh weights.
        hidden_size: D, with fresh weights.
        num_layers: number of layers, with fresh weights.
        num_heads: number of attention heads in each layer, with fresh weights.
        dropout: dropout probability within the encoder, with fresh weights.
        padding: index of the padding token.
        max_length: maximum number of tokens of a window.
        architecture: the encoder's settings, where a checkpoint contains them.
        kwargs: arguments of Reader and Task.

    Shapes:
        input Passages with B contexts of N tokens, output (B, 2, N + 1)

    Raises:
        ValueError: there is no such pretrained model, or its vocabulary or its maximum length is too small.
    """

    of_fresh_weights: ClassVar[tuple[str, ...]] = (
        "hidden_size",
        "num_layers",
        "num_heads",
        "dropout",
    )

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
        # with attention dropout every window's T² attention weights would be kept, and take twice as long
        small = SmallModernBert(hidden_size, num_layers, num_heads, dropout, padding, attention_dropout=0.0)
        self.encoder = bert(pretrained, num_tokens, max_length, architecture=architecture, small=small)
        self.rebuild = {"pretrained": None, "architecture": architecture_of(self.encoder)}
        width: int = self.encoder.config.hidden_size
        self.marks = nn.Embedding(2 + MAX_NGRAM, width)
        self.near = nn.Linear(3 * len(WIDTHS), width, bias=False)
        for layer in (self.marks, self.near):
            nn.init.zeros_(layer.weight)  # a pretrained encoder first reads the embeddings that it knows
        self.head = nn.Linear(width, 2)

    def forward(self, passages: Passages) -> Tensor:
        """Scores of starts and ends, those of "no answer" first."""
        overlap = self.marks(ngram_matches(passages)) + self.near(overlap_nearby(passages))  # (P, T, D)
        states = encode(self.encoder, passages.ids, passages.mask, passages.segments, overlap)  # (P, T, D)
        scores = self.head(states)  # (P, T, 2)
        tokens = scores.flatten(0, 1)[passages.first]  # (B, N, 2)
        size = passages.num_tokens.shape[0]
        first = F.pad(scores[:, 0], (0, 1), value=1.0)  # (P, 3), the last column counts windows
        sums = scores.new_zeros(size, 3).index_add(0, passages.owner, first)
        none = sums[:, :2] / sums[:, 2:]  # (B, 2)
        return torch.cat([none[:, None], tokens], dim=1).transpose(1, 2)  # (B, N + 1, 2) → (B, 2, N + 1)

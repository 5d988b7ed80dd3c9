"""Decoding token by token: greedy and beam search, for any model that predicts the next token."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# The state of decoding: tensors whose first dimension is the sentence (or hypothesis), or what has their two methods
# index_select and repeat_interleave, as a DecoderCache has.
State = tuple[Any, ...]
# From the newest tokens (N,) and the state to the next token's logits (N, V) and the new state.
Advance = Callable[[Tensor, State], tuple[Tensor, State]]


def select(state: State, rows: Tensor) -> State:
    """The state of the sentences with these indices, in this order."""
    return tuple(part.index_select(0, rows) for part in state)


def greedy(advance: Advance, state: State, begin: int, end: int, max_lengths: Tensor) -> list[list[int]]:
    """The most probable token at each step.

    Args:
        advance: the model.
        state: of B sentences.
        begin: the first token.
        end: the token after the last.
        max_lengths: (B,) maximum numbers of tokens, the end not counted.

    Returns:
        Each sentence's tokens, without begin and end.
    """
    live = torch.arange(len(max_lengths), device=max_lengths.device)  # the sentences that have not ended
    tokens = torch.full_like(live, begin)
    found = torch.full((len(max_lengths), int(max_lengths.max()) + 1), end, device=max_lengths.device)
    for length in range(found.shape[1] - 1):
        logits, state = advance(tokens, state)
        tokens = logits.argmax(-1)
        found[live, length] = tokens
        unfinished = (tokens != end) & (length + 1 < max_lengths[live])
        if not unfinished.all():  # compute the remaining sentences only
            rows = unfinished.nonzero().flatten()
            live, tokens, state = live[rows], tokens[rows], select(state, rows)
            if len(live) == 0:
                break
    return [row[: row.index(end)] for row in found.tolist()]


def beam_search(
    advance: Advance, state: State, begin: int, end: int, max_lengths: Tensor, beams: int, length_penalty: float
) -> list[list[int]]:
    """The finished hypothesis with the highest score.

    The score of a hypothesis Y is `log P(Y) / ((5 + |Y|) / 6) ** length_penalty`, |Y| counting the end, as in
    Wu et al. 2016, https://arxiv.org/abs/1609.08144. The search for a sentence stops when as many hypotheses as there
    are beams have ended. With one beam this is greedy search.

    Args:
        advance: the model.
        state: of B sentences.
        begin: the first token.
        end: the token after the last.
        max_lengths: (B,) maximum numbers of tokens, the end not counted.
        beams: K, hypotheses kept at each step.
        length_penalty: 0 prefers short sentences, 1 compares the mean of the tokens' log-probabilities.

    Returns:
        Each sentence's tokens, without begin and end.
    """
    size, device = len(max_lengths), max_lengths.device
    live = torch.arange(size, device=device)  # (S,) the unfinished sentences
    state = tuple(part.repeat_interleave(beams, 0) for part in state)
    total = torch.full((size, beams), -torch.inf, device=device)  # (S, K) log-probability of each hypothesis
    total[:, 0] = 0  # they are all equal at first: only one is expanded
    history = torch.full((size, beams, 1), begin, device=device)  # (S, K, t)
    best: list[tuple[float, list[int]]] = [(-torch.inf, [])] * size
    ended = torch.zeros(size, dtype=torch.long, device=device)  # (S,) hypotheses
    for length in range(1, int(max_lengths.max()) + 1):
        logits, state = advance(history[:, :, -1].flatten(), state)
        scores = total[:, :, None] + logits.float().log_softmax(-1).view(len(live), beams, -1)  # (S, K, V)
        width = scores.shape[-1]
        top, where = scores.flatten(1).topk(2 * beams)  # at most K of them are ends, one per hypothesis
        origin, tokens = where // width, where % width
        is_end = tokens == end
        counts = is_end & (torch.arange(2 * beams, device=device) < beams) & top.isfinite()  # among the K best
        normalizer = ((5 + length) / 6) ** length_penalty
        for row, column in counts.nonzero().tolist():
            score = float(top[row, column]) / normalizer
            if score > best[live[row]][0]:
                best[live[row]] = score, history[row, origin[row, column], 1:].tolist()
        ended += counts.sum(1)
        total, rank = top.masked_fill(is_end, -torch.inf).topk(beams)  # (S, K)
        origin, tokens = origin.gather(1, rank), tokens.gather(1, rank)
        history = torch.cat([history.gather(1, origin[:, :, None].expand(-1, -1, length)), tokens[:, :, None]], 2)
        last = length >= max_lengths[live]  # (S,), whose unfinished hypotheses count as finished
        for row in (last & (ended < beams)).nonzero().flatten().tolist():
            score = float(total[row, 0]) / normalizer
            if score > best[live[row]][0]:
                best[live[row]] = score, history[row, 0, 1:].tolist()
        rows = (~last & (ended < beams)).nonzero().flatten()
        state = select(state, (rows[:, None] * beams + origin[rows]).flatten())
        live, total, history, ended = live[rows], total[rows], history[rows], ended[rows]
        if len(live) == 0:
            break
    return [tokens for _, tokens in best]

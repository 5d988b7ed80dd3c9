"""Finding a probable sentence, token by token: greedy and beam search, for any model that says what comes next."""

from collections.abc import Callable

import torch
from torch import Tensor

# What a model carries from token to token: tensors whose first dimension is the sentence (or hypothesis).
State = tuple[Tensor, ...]
# Takes the newest tokens (N,) and the state; gives the next token's logits (N, V) and the new state.
Advance = Callable[[Tensor, State], tuple[Tensor, State]]


def chosen(state: State, rows: Tensor) -> State:
    """The state of these sentences only, in this order."""
    return tuple(part.index_select(0, rows) for part in state)


def greedy(advance: Advance, state: State, begin: int, end: int, most: Tensor) -> list[list[int]]:
    """The most probable token at each place.

    Args:
        advance: the model.
        state: of B sentences.
        begin: the token that comes first.
        end: the token after the last.
        most: (B,) tokens at the most, the end not counted.

    Returns:
        Each sentence's tokens, without begin and end.
    """
    live = torch.arange(len(most), device=most.device)  # the sentences not yet at their end
    tokens = torch.full_like(live, begin)
    found = torch.full((len(most), int(most.max()) + 1), end, device=most.device)
    for place in range(found.shape[1] - 1):
        logits, state = advance(tokens, state)
        tokens = logits.argmax(-1)
        found[live, place] = tokens
        going = (tokens != end) & (place + 1 < most[live])
        if not going.all():  # the work shrinks with the number of sentences left
            rows = going.nonzero().flatten()
            live, tokens, state = live[rows], tokens[rows], chosen(state, rows)
            if len(live) == 0:
                break
    return [row[: row.index(end)] for row in found.tolist()]


def beam_search(
    advance: Advance, state: State, begin: int, end: int, most: Tensor, beams: int, length_penalty: float
) -> list[list[int]]:
    """Of the hypotheses kept at each place, the one that ends with the highest score.

    The score of a hypothesis Y is `log P(Y) / ((5 + |Y|) / 6) ** length_penalty`, |Y| counting the end, as in
    Wu et al. 2016, https://arxiv.org/abs/1609.08144. A sentence is done when as many hypotheses as there are beams
    have ended. With one beam this is greedy search.

    Args:
        advance: the model.
        state: of B sentences.
        begin: the token that comes first.
        end: the token after the last.
        most: (B,) tokens at the most, the end not counted.
        beams: K, hypotheses kept at each place.
        length_penalty: 0 prefers short sentences, 1 compares the mean of the tokens' log-probabilities.

    Returns:
        Each sentence's tokens, without begin and end.
    """
    size, device = len(most), most.device
    live = torch.arange(size, device=device)  # (S,) the sentences not yet done
    state = chosen(state, live.repeat_interleave(beams))
    total = torch.full((size, beams), -torch.inf, device=device)  # (S, K) log-probability of each hypothesis
    total[:, 0] = 0  # at first they are all the same: only one may be continued
    history = torch.full((size, beams, 1), begin, device=device)  # (S, K, t)
    best: list[tuple[float, list[int]]] = [(-torch.inf, [])] * size
    ended = torch.zeros(size, dtype=torch.long, device=device)  # (S,) hypotheses
    for place in range(int(most.max())):
        logits, state = advance(history[:, :, -1].flatten(), state)
        scores = total[:, :, None] + logits.float().log_softmax(-1).view(len(live), beams, -1)  # (S, K, V)
        width = scores.shape[-1]
        top, where = scores.flatten(1).topk(2 * beams)  # at most K of them are ends, one a hypothesis: K are left
        origin, tokens = where // width, where % width
        is_end = tokens == end
        counts = is_end & (torch.arange(2 * beams, device=device) < beams) & top.isfinite()  # among the K best
        normal = ((5 + place + 1) / 6) ** length_penalty
        for row, column in counts.nonzero().tolist():
            score = float(top[row, column]) / normal
            if score > best[live[row]][0]:
                best[live[row]] = score, history[row, origin[row, column], 1:].tolist()
        ended += counts.sum(1)
        going = top.masked_fill(is_end, -torch.inf)
        total, rank = going.topk(beams)  # (S, K)
        origin, tokens = origin.gather(1, rank), tokens.gather(1, rank)
        history = torch.cat([history.gather(1, origin[:, :, None].expand(-1, -1, place + 1)), tokens[:, :, None]], 2)
        last = place + 1 >= most[live]  # (S,), where what is left counts as it stands
        for row in (last & (ended < beams)).nonzero().flatten().tolist():
            score = float(total[row, 0]) / normal
            if score > best[live[row]][0]:
                best[live[row]] = score, history[row, 0, 1:].tolist()
        rows = (~last & (ended < beams)).nonzero().flatten()
        state = chosen(state, (rows[:, None] * beams + origin[rows]).flatten())
        live, total, history, ended = live[rows], total[rows], history[rows], ended[rows]
        if len(live) == 0:
            break
    return [tokens for _, tokens in best]

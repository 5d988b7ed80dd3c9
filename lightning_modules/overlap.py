"""How much of a question stands around each token of its context: what a reader goes by that knows no language yet."""

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.reading import Passages

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

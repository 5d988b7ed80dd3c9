"""Permutation importance: how much worse predictions get when the values of a column are permuted.

Breiman 2001, https://doi.org/10.1023/A:1010933404324, section 10.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

REPEATS = 5
MAX_COLUMNS = 40
MAX_ROWS, MIN_ROWS = 2000, 200
WORK = 2 * 10**10  # multiplications of all passes together, which take about a second

Losses = Callable[[Tensor], Tensor]


class Importance(NamedTuple):
    """How important a column is.

    Args:
        column: its name.
        increase: of the mean loss, the mean over all permutations.
        std: standard deviation of it over the permutations.
    """

    column: str
    increase: float
    std: float


def affordable_rows(num_weights: int, num_columns: int) -> int:
    """On how many examples importance is measured within about a second.

    Args:
        num_weights: of the model, of which each is taken for one multiplication an example.
        num_columns: of the table.
    """
    passes = REPEATS * min(num_columns, MAX_COLUMNS) + 1
    return max(MIN_ROWS, min(MAX_ROWS, WORK // (passes * max(num_weights, 1))))


def permutation_importance(losses: Losses, features: Tensor, columns: Mapping[str, Sequence[int]]) -> list[Importance]:
    """The importance of each column, the most important first.

    All features of a column are permuted together, with a generator of its own: the random state does not change.

    Args:
        losses: the loss (N,) of each example, from the features.
        features: (N, F)
        columns: the features of each column.
    """
    random = torch.Generator().manual_seed(0)
    usual = losses(features).double()
    found = []
    for name, places in columns.items():
        increases = []
        for _ in range(REPEATS):
            order = torch.randperm(len(features), generator=random).to(features.device)
            changed = features.clone()
            changed[:, places] = features[:, places][order]
            increases.append((losses(changed).double() - usual).mean())
        of_column = torch.stack(increases)
        found.append(Importance(name, float(of_column.mean()), float(of_column.std(correction=0))))
    finite = [each for each in found if each.increase == each.increase]  # not NaN
    return sorted(finite, key=lambda each: -each.increase)


def steepest(
    loss: Losses, features: Tensor, columns: Mapping[str, Sequence[int]], most: int = MAX_COLUMNS
) -> dict[str, Sequence[int]]:
    """The columns whose permutation would change the loss the most, to first order, in the order of the table.

    Args:
        loss: the mean loss, a scalar that has a gradient, from the features.
        features: (N, F)
        columns: the features of each column.
        most: maximum number of columns.
    """
    if len(columns) <= most:
        return dict(columns)
    with torch.enable_grad():
        variable = features.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(variable), variable)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0)).to(features.device)
    moved = slope * (features[order] - features)  # (N, F)
    change = {name: float(moved[:, places].sum(1).abs().mean().nan_to_num(0)) for name, places in columns.items()}
    kept = set(sorted(change, key=lambda name: -change[name])[:most])
    return {name: places for name, places in columns.items() if name in kept}

"""What a test shows of tables: the importance of their columns, the coefficients of a linear model, residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from datamodules.checking.described import sampled
from lightning_modules.tasks.pictures.labels import label
from lightning_modules.tasks.pictures.tables import bars, residuals
from lightning_modules.tasks.results.importance import (
    MAX_COLUMNS,
    REPEATS,
    affordable_rows,
    permutation_importance,
    steepest,
)
from lightning_modules.tasks.results.outcomes import LOSS, Outcomes

if TYPE_CHECKING:
    from lightning_modules.tasks.task import Board, Task

TRAINING_ROWS = 10_000  # of which a feature's standard deviation is computed


def show_importance(task: Task, board: Board, outcomes: Outcomes, features_of: Mapping[str, Sequence[str]]) -> None:
    """How much worse the predictions get when a column's values are permuted.

    Args:
        task: the tested model.
        board: where.
        outcomes: of the test split.
        features_of: the names of each column's features, in order.
    """
    columns: dict[str, range] = {}
    first = 0
    for name, names in features_of.items():
        columns[name] = range(first, first + len(names))
        first += len(names)
    results = task.results()
    assert results is not None
    size = affordable_rows(sum(weight.numel() for weight in task.parameters()), len(columns))
    features, target = outcomes.take(sampled(torch.arange(len(outcomes)), size)).batch(task.device)

    def losses(changed: Tensor) -> Tensor:
        batch = (changed, target)
        return results.kept(batch, *task.answers_of_test(batch, task.step(batch)))[LOSS]  # type: ignore[return-value]

    chosen = steepest(lambda changed: task.step((changed, target)).loss, features, columns)
    found = permutation_importance(losses, features, chosen)
    if not found:
        return  # no loss is a number
    title = f"permutation importance of the columns, on {len(features):,} test examples (± of {REPEATS} permutations)"
    if len(columns) > MAX_COLUMNS:
        title += f"\nof {len(columns):,} columns the {MAX_COLUMNS} with the steepest loss"
    unit = outcomes.data.target_unit if outcomes.data is not None and target.is_floating_point() else ""
    axis = f"increase of the {results.loss_name}"
    if unit:
        axis += f" ({label(unit, 24)})"
    names, increases, errors = zip(*found, strict=True)
    board.figure("importance of columns", bars(names, increases, errors, title, axis))


def show_coefficients(coefficients: Tensor | None, board: Board, outcomes: Outcomes | None) -> None:
    """The coefficients of a linear model of a table, for one standard deviation of each feature.

    Args:
        coefficients: (F,) for one more of each feature; None if the model is not linear.
        board: where.
        outcomes: of the test split.
    """
    data = None if outcomes is None else outcomes.data
    if coefficients is None or data is None or not len(data.splits.train):  # of other data than that of training
        return
    feature_names = [feature for features in data.features_of_columns().values() for feature in features]
    if len(feature_names) != len(coefficients):
        return
    examples = data.examples(sampled(data.splits.train, TRAINING_ROWS))
    features, _ = examples[torch.arange(len(examples))]
    effects = coefficients.detach().float().cpu() * features.std(0, correction=0)
    largest = effects.abs().argsort(descending=True, stable=True)[:MAX_COLUMNS].tolist()
    names = [feature_names[index] for index in largest]
    title = "coefficients of the linear model, for one standard deviation of each feature"
    if len(effects) > len(largest):
        title += f"\nthe {len(largest)} largest of {len(effects):,}"
    axis = f"change of the predicted {label(data.target_unit or 'target', 40)}"
    board.figure("coefficients", bars(names, effects[largest].tolist(), None, title, axis))


def show_residuals(board: Board, outcomes: Outcomes | None) -> None:
    """Predictions beside true values, and their differences."""
    if outcomes is not None and len(outcomes):
        unit = "" if outcomes.data is None else outcomes.data.target_unit
        board.figure("residuals", residuals(outcomes["target"], outcomes["prediction"], unit))

"""What a test shows in terms of what the inputs are: the columns of a table, or graphs; the data says which."""

from typing import Any

from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.shows.graphs import show_graphs
from lightning_modules.tasks.shows.tables import show_importance


def show_inputs(task: Any, board: Any, outcomes: Outcomes | None) -> None:
    """Show what the data has to show besides the scores; nothing of data that has neither columns nor graphs.

    Args:
        task: the tested model, a Task.
        board: where.
        outcomes: of each example of the test split; None where nothing was kept of it.
    """
    if outcomes is None or outcomes.data is None or not len(outcomes):
        return
    if features := outcomes.data.features_of_columns():
        show_importance(task, board, outcomes, features)
    elif outcomes.data.drawable(outcomes.data.splits.test[outcomes.positions]).any():
        show_graphs(task, board, outcomes)

"""The confusion matrix of a test: scores of each class, and a table."""

from collections.abc import Sequence

from torch import Tensor

from lightning_modules.tasks import boards
from lightning_modules.tasks.scores import Scores, precision_recall_f1


def class_scores(confusion: Tensor) -> Scores:
    """The scores of each class, (C,).

    Args:
        confusion: (C, C) counts, a row for each true class, a column for each predicted one.
    """
    return precision_recall_f1(confusion.diagonal(), confusion.sum(0), confusion.sum(1))


def confusion_table(confusion: Tensor, names: Sequence[str]) -> str:
    """A confusion matrix as a Markdown table: a row for each true class, a column for each predicted one.

    Args:
        confusion: (C, C) counts.
        names: of the classes.
    """
    precision, recall, f1 = (scores.tolist() for scores in class_scores(confusion))
    names = [boards.escape(name) for name in names]
    rows = [
        [name, *counts, *scores] for name, counts, *scores in zip(names, confusion.tolist(), recall, f1, strict=True)
    ]
    return boards.table(["true \\ predicted", *names, "recall", "F1"], [*rows, ["precision", *precision, None, None]])

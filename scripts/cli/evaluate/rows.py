"""Predictions as rows, in the order of the input, of one process or several."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from datamodules.base import DataModule
from datamodules.files.paths import printable_path

Row = dict[str, Any]


class Rows(Callback):
    """Passes on each prediction as soon as it and all before it are there.

    Examples are batched by length within pools, so that memory does not grow with the number of predictions. Of several
    processes the first passes them on; it gathers those of the others batch by batch.

    Args:
        data: whose input is predicted.
        write: takes a row; None in the other processes.
    """

    def __init__(self, data: DataModule, write: Callable[[Row], None] | None) -> None:
        self.data = data
        self.names = iter(data.predicted_names)
        self.write = write
        self.written = 0
        self.batches = data.predicted_batches
        self.ended = 0  # of these
        self.shown = 0  # examples whose rows are written
        self.waiting: dict[int, list[Row]] = {}  # of examples, for those before them

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Write the rows that none before them is missing of."""
        positions = self.batches[self.ended].tolist()
        self.ended += 1
        found = self.gathered(trainer, of_examples(outputs, len(positions[trainer.global_rank :: trainer.world_size])))
        self.waiting.update(zip(positions, found, strict=self.write is not None))
        while self.shown in self.waiting:
            for row in self.waiting.pop(self.shown):
                self.written += 1
                if self.write is not None:
                    self.write({"input": printable_path(next(self.names)), **row})
            self.shown += 1

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take part in gathering a last batch that had no example for this process."""
        if self.ended < len(self.batches):
            self.gathered(trainer, [])

    def gathered(self, trainer: Trainer, rows: list[list[Row]]) -> list[list[Row]]:
        """The rows of a complete batch, whose examples were distributed one by one; none but in the first process."""
        if trainer.world_size == 1:
            return rows
        parts: list[Any] = [None] * trainer.world_size
        distributed.all_gather_object(parts, rows)
        batch = [parts[index % len(parts)][index // len(parts)] for index in range(sum(map(len, parts)))]
        return [] if self.write is None else batch


def of_examples(rows: list[Row], examples: int) -> list[list[Row]]:
    """The rows of each example: one, but of a window of a series one for each step ahead."""
    each = len(rows) // max(examples, 1)
    return [rows[first : first + each] for first in range(0, len(rows), max(each, 1))]


def write_rows(trainer: Trainer, model: LightningModule, data: DataModule, write: Callable[[Row], None] | None) -> None:
    """Predict the input of the data, and write each row as soon as it is there."""
    rows = Rows(data, write)
    trainer.callbacks.append(rows)  # type: ignore[attr-defined]
    try:
        trainer.predict(model, data, return_predictions=False)
    finally:
        trainer.callbacks.remove(rows)  # type: ignore[attr-defined]
    assert write is None or rows.written == len(data.predicted_names), "one prediction an example"


def collected_rows(trainer: Trainer, model: LightningModule, data: DataModule) -> list[Row]:
    """All rows of the input of the data."""
    rows: list[Row] = []
    write_rows(trainer, model, data, rows.append)
    return rows

"""Predict for a user's files, and write it down."""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from datamodules.base import DataModule
from datamodules.files.paths import printable, printable_path, user_path
from datamodules.storage.atomic_file import whole_file
from scripts.cli.distributed.launch import broadcast_from_rank_zero, wait_for_others
from scripts.cli.errors import UsageError, one_line_errors
from scripts.cli.evaluate.ensemble import load_all
from scripts.cli.evaluate.load import Trained
from scripts.cli.spreadsheet import Sheet


def predict(
    checkpoints: list[str],
    average: str | None,
    input_path: str,
    output: str | None,
    arguments: list[str],
    debug: bool,
) -> None:
    """Write a row for each example of the input, in its order, to a CSV or JSONL file or as CSV to the screen."""
    with one_line_errors(debug, (ValueError, OSError)):
        if output is not None and not output.endswith((".csv", ".jsonl")):
            raise UsageError(f"--output {output}: expected a name that ends in .csv or .jsonl")
        path = None if output is None else user_path(output, "--output")
        trained = load_all(checkpoints, average, None, arguments)
        trained.data.set_input(user_path(input_path, "--input"))
        broadcast_from_rank_zero(
            trained.trainer, lambda: None
        )  # from here on there are as many processes as were asked for
    if not trained.trainer.is_global_zero:
        write_predictions(trained, Writer(trained.data, None), debug)
        return
    if path is None:
        try:
            write_predictions(trained, Writer(trained.data, sys.stdout), debug)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        with one_line_errors(debug, (OSError,)), whole_file(path) as binary:
            file = io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
            as_json = path.suffix == ".jsonl"
            write_predictions(trained, Writer(trained.data, file, as_json, path.with_suffix("")), debug)
            file.detach()
        print(f"{len(trained.data.predicted_names)} predictions in {printable(path)}")
    wait_for_others(trained.trainer)


def write_predictions(trained: Trained, writer: "Writer", debug: bool) -> None:
    """Predict, and write as it goes."""
    trained.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    with one_line_errors(debug):
        trained.trainer.predict(trained.model, trained.data, return_predictions=False)
    assert writer.file is None or writer.written == len(trained.data.predicted_names), "one prediction an example"


class Writer(Callback):
    """Writes each batch's predictions as soon as they are made, so that memory does not grow with their number.

    Of several processes the first writes; the others hand it theirs, batch by batch.

    Args:
        data: what is predicted for.
        file: to write to; None in the other processes.
        as_json: a line of JSON each; otherwise CSV with a header, in which `probabilities` become a column `p_<class>`
            each, lists are JSON, and nothing is a formula: see `spreadsheet.cell`.
        images: folder for the `image` of each row, where there is one, under the row's number; None to leave them out.
    """

    def __init__(
        self, data: DataModule, file: TextIO | None, as_json: bool = False, images: Path | None = None
    ) -> None:
        self.data = data
        self.names = iter(data.predicted_names)
        self.file = file
        self.as_json = as_json
        self.images = images
        self.sheet: Sheet | None = None
        self.written = 0
        self.batches = 0

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Write a row for each example of the batch."""
        self.batches += 1
        for row in self.gathered(trainer, outputs):
            self.written += 1
            self.write({"input": printable_path(next(self.names)), **row})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand over nothing of a last batch that had no example for this process."""
        if self.batches < self.data.num_predicted_batches:
            self.gathered(trainer, [])

    def gathered(self, trainer: Trainer, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of a whole batch, which was dealt out example by example; none but in the first process."""
        if trainer.world_size == 1:
            return rows
        parts: list[Any] = [None] * trainer.world_size
        distributed.all_gather_object(parts, rows)
        whole = [parts[place % len(parts)][place // len(parts)] for place in range(sum(map(len, parts)))]
        return [] if self.file is None else whole

    def write(self, row: dict[str, Any]) -> None:
        """Write a row."""
        assert self.file is not None, "the first process writes"
        image = row.pop("image", None)
        if image is not None and self.images is not None:
            self.images.mkdir(parents=True, exist_ok=True)
            row["image"] = str(self.images / f"{self.written:05}.png")
            Path(row["image"]).write_bytes(image)
        if self.as_json:
            self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
            return
        probabilities = row.pop("probabilities", {})
        flat = {key: _cell(value) for key, value in row.items()} | {f"p_{key}": p for key, p in probabilities.items()}
        if self.sheet is None:
            self.sheet = Sheet(self.file, list(flat))
        self.sheet.write(flat)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value

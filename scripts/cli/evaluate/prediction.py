"""Predict for a user's files, and write the predictions to a file or to the screen."""

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from datamodules.files.paths import printable, user_path
from datamodules.storage.atomic_file import atomic_write
from scripts.cli.distributed.launch import broadcast_from_rank_zero, wait_for_others
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.evaluate.ensemble import load_all
from scripts.cli.evaluate.rows import Row, write_rows
from scripts.cli.evaluate.typed_input import STANDARD_INPUT, inputs_of
from scripts.cli.spreadsheet import Sheet


def predict(
    words: list[str],
    checkpoint: list[str],
    input: Sequence[str] = (),
    average: str | None = None,
    output: str | None = None,
    example: Sequence[str] = (),
) -> None:
    """Write a row for each example of the input, in its order, to a CSV or JSONL file or as CSV to the screen.

    Args:
        words: options that differ from training.
        checkpoint: one or several, as one predictor.
        input: files and folders, or `-`, the standard input; of several, each row says from which it is.
        average: how several are averaged.
        output: the file; None for the screen.
        example: inputs as they were typed, in place of `input`.

    Raises:
        UserError: a checkpoint, the input or an option is not what it has to be, or the output cannot be written.
    """
    if output is not None and not output.endswith((".csv", ".jsonl")):
        raise UsageError(f"--output {output}: expected a name that ends in .csv or .jsonl")
    path = None if output is None else user_path(output, "--output")
    experiment = load_all(checkpoint, average, None, words)
    trainer, model, data = experiment.trainer, experiment.model, experiment.data
    if STANDARD_INPUT in input and len(input) > 1:
        raise UsageError("--input -: the standard input is one file; give it alone")
    broadcast_from_rank_zero(trainer, lambda: None)  # starts the other processes
    sources: Sequence[str | None] = [*input] or [None]
    count = 0

    def write(to: Callable[[Row], None] | None) -> None:
        nonlocal count
        for source in sources:
            with ExitStack() as files:
                with user_errors():
                    files.enter_context(inputs_of(data, source, example, trainer.world_size))
                write_rows(trainer, model, data, _naming(source, to) if to and len(input) > 1 else to)
                count += len(data.predicted_names)

    if not trainer.is_global_zero:
        write(None)
        return
    if path is None:
        try:
            write(Table(sys.stdout).write)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        with user_errors((OSError,)), atomic_write(path) as binary:
            file = io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
            table = Table(file, path.suffix == ".jsonl", path.with_suffix(""))
            write(table.write)
            file.detach()
        print(f"{count} predictions in {printable(path)}")
    wait_for_others(trainer)


def _naming(source: str | None, write: Callable[[Row], None]) -> Callable[[Row], None]:
    """Writes rows that say from which of several inputs they are."""
    return lambda row: write({"source": source, **row})


class Table:
    """A file of predictions.

    Args:
        file: to write to.
        as_json: a line of JSON each; otherwise CSV with a header, in which `probabilities` become a column `p_<class>`
            each, lists are JSON, and nothing is a formula: see `spreadsheet.cell`.
        images: folder for the `image` of each row, where there is one, under its index; None to leave them out.
    """

    def __init__(self, file: TextIO, as_json: bool = False, images: Path | None = None) -> None:
        self.file = file
        self.as_json = as_json
        self.images = images
        self.sheet: Sheet | None = None
        self.num_images = 0

    def write(self, row: Row) -> None:
        """Add a row."""
        image = row.pop("image", None)
        if image is not None and self.images is not None:
            self.num_images += 1
            self.images.mkdir(parents=True, exist_ok=True)
            row["image"] = str(self.images / f"{self.num_images:05}.png")
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

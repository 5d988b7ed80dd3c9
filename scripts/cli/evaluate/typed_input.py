"""Inputs of a prediction that are no files: from the standard input, or typed on the command line."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datamodules.base import DataModule
from datamodules.errors import DataError
from datamodules.files.paths import user_path
from scripts.cli.errors import UsageError

STANDARD_INPUT = "-"


@contextmanager
def inputs_of(data: DataModule, source: str | Path | None, examples: Sequence[str], processes: int) -> Iterator[None]:
    """Make what a command line names the input of the data, for as long as it is read.

    Args:
        data: of a trained model.
        source: a file, a folder, or `-`.
        examples: as they were typed, in place of a source.
        processes: that predict.

    Raises:
        UsageError: there are both, or several processes would read one standard input.
        DataError: the inputs are not what the model was trained on.
    """
    if source is not None and examples:
        raise UsageError(f"--input {source} and --example {examples[0]}: give one of them")
    if source is not None and str(source) != STANDARD_INPUT:
        data.set_input(user_path(str(source), "--input"))
        yield
        return
    if source is not None and processes > 1:
        raise UsageError(f"--input -: {processes} processes cannot share the standard input; give a file")
    with tempfile.TemporaryDirectory() as folder:
        if source is not None:
            content = sys.stdin.buffer.read()
        else:
            content = "".join(f"{data.typed_example(text)}\n" for text in examples).encode("utf-8", "surrogateescape")
        option = "--input -" if source is not None else "--example"
        file = data.save_typed(content, Path(folder), option)
        try:
            data.set_input(file)
        except DataError as error:
            raise DataError(str(error).replace(f"--input {file}", option).replace(str(file), option)) from None
        if any(isinstance(name, Path) for name in data.predicted_names):
            data.predicted_names = ["standard input"]
        yield

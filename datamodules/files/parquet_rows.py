"""The rows of Parquet files, a few at a time."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.errors import DataError
from datamodules.files.splits import listed
from datamodules.files.text_files import byte_stream

ROWS = 256  # that are read together


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row is, and its values in some columns.

    Args:
        path: the file; one that is packed besides is unpacked into a temporary file.
        columns: their names.

    Raises:
        DataError: the file is damaged, or has no such column.
    """
    count = 0
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(byte_stream(path))
            if not stream.seekable():
                unpacked = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(stream, unpacked)
                stream = unpacked
            file = pq.ParquetFile(stream)
            names = file.schema_arrow.names
            for column in columns:
                if column not in names:
                    raise DataError(
                        f"{path}: has no column {column}; it has {listed(names, 8)}: --data.text says which is the text"
                    )
            for batch in file.iter_batches(ROWS, columns=[*columns]):
                for row in batch.to_pylist():
                    count += 1
                    yield f"{path}: row {count}", row
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None

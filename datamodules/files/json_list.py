"""A list in JSON, one value after the other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.files.text_files import blocks_of

BLOCK = 1 << 16  # characters that are read together


def list_values(path: Path, encoding: str) -> Iterator[Any]:
    """The values of a list in JSON, which is never in memory as a whole.

    Raises:
        DataError: it is not JSON.
    """
    decoder, held, at, count = json.JSONDecoder(), "", 0, 0
    blocks = blocks_of(path, encoding, BLOCK)

    def next_sign(skipped: str = "") -> str:
        """The next character that is no space and none of these; empty at the end of the file."""
        nonlocal held, at
        while True:
            while at < len(held) and (held[at].isspace() or held[at] in skipped):
                at += 1
            if at < len(held):
                return held[at]
            held, at = next(blocks, ""), 0
            if not held:
                return ""

    def refused(reason: str) -> DataError:
        return DataError(f"{path}: not JSON after row {count} ({reason}); expected a list of objects")

    if next_sign() != "[":
        raise refused("no list")
    at += 1
    while next_sign(",") != "]":
        size = BLOCK
        while True:
            try:
                value, at = decoder.raw_decode(held, at)
                break
            except RecursionError:
                raise refused("nested too deeply") from None
            except ValueError as error:  # also of too many digits
                more = "".join(_taken(blocks, size))
                if not more:
                    raise refused(getattr(error, "msg", str(error))) from None
                held, at, size = held[at:] + more, 0, 2 * size
        count += 1
        yield value
    at += 1
    if next_sign():
        raise refused("more after the list")


def _taken(blocks: Iterator[str], size: int) -> Iterator[str]:
    """Blocks of at least so many characters together, as far as there are any."""
    while size > 0 and (block := next(blocks, "")):
        size -= len(block)
        yield block

"""The encodings of text files."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

from datamodules.errors import DataError

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # as JSON and YAML escape half of a character


def decoded(content: bytes, encoding: str, path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        DataError: it is not text in that encoding; the message has the byte.
    """
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise not_text(path, error.start, content[error.start], encoding) from None


def encoding_of(path: Path, encoding: str) -> str:
    """The encoding of a file: UTF-16 where its byte order mark says so, else as given."""
    with path.open("rb") as file:
        mark = file.read(2)
    return "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else encoding


def json_value(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        JSONDecodeError: it is not JSON, or Python cannot represent it: nested too deeply, a number of thousands of
            digits, half of a surrogate pair.
    """
    text = text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")
    try:
        value = json.loads(text)
        if found := SURROGATE.search(text):  # two halves have become a character
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, 0) from None
    except UnicodeEncodeError:
        assert found is not None
        message = f"{text[found.start() : found.end() + 2]} is half of a character, whose other half is missing"
        raise json.JSONDecodeError(message, text, found.start()) from None
    except ValueError as error:  # too many digits
        raise json.JSONDecodeError(str(error), text, 0) from None
    return value


def not_text(path: Path, position: int, byte: int, encoding: str) -> DataError:
    """The error for a file with a byte that is not text in that encoding."""
    return DataError(
        f"{path}: byte {position} (0x{byte:02x}) is not {encoding} text; "
        f"give its encoding as --data.encoding, such as gb18030 or latin-1"
    )


def known_encoding(name: str) -> str:
    """The name of an encoding, if Python knows it.

    Raises:
        ValueError: it does not.
    """
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"--data.encoding {name}: no such encoding; utf-8, gb18030 and latin-1 are common") from None
    return name

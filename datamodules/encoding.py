"""The encodings of text files."""

import codecs
from pathlib import Path

from datamodules.download import DataError


def decoded(content: bytes, encoding: str, path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        DataError: it is not text in that encoding; the message has the byte.
    """
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise not_text(path, error.start, content[error.start], encoding) from None


def not_text(path: Path, place: int, byte: int, encoding: str) -> DataError:
    """What to say of a file with a byte that is not text in that encoding."""
    return DataError(
        f"{path}: byte {place} (0x{byte:02x}) is not {encoding} text; "
        f"give its encoding as --data.encoding, such as gb18030 or latin-1"
    )


def known_encoding(name: str) -> str:
    """The name, if Python knows an encoding called so.

    Raises:
        ValueError: it does not.
    """
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"--data.encoding {name}: no such encoding; utf-8, gb18030 and latin-1 are common") from None
    return name

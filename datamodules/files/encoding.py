"""The encodings of text files."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

from datamodules.errors import DataError

CANDIDATES = ("gb18030", "big5", "shift_jis", "euc_kr", "cp1251", "cp1252", "utf_16")
SAMPLE = 1 << 18  # bytes
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # as JSON and YAML escape half of a character


def decoded(content: bytes, encoding: str, path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        DataError: it is not text in that encoding; the message has the byte.
    """
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise not_text(
            path, error.start, content[error.start], encoding, content[max(error.start - 1000, 0) :]
        ) from None


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


def not_text(path: Path, position: int, byte: int, encoding: str, sample: bytes) -> DataError:
    """The error for a file with a byte that is not text in that encoding.

    Args:
        path: the file.
        position: of the byte in it.
        byte: the byte.
        encoding: in which it is not text.
        sample: bytes of the file, from which its encoding is guessed.
    """
    likely = " or ".join(likely_encodings(sample)) or "gb18030 or latin-1"
    return DataError(
        f"{path}: byte {position} (0x{byte:02x}) is not {encoding} text; it looks like {likely}: "
        f"give its encoding as --data.encoding"
    )


def likely_encodings(sample: bytes) -> list[str]:
    """The encodings that a text is most likely in, judged by how often its characters follow one another."""
    from charset_normalizer import from_bytes  # for an error alone

    lines = sample[:SAMPLE].split(b"\n")
    telling = b"\n".join(line for line in lines if any(byte > 127 for byte in line))
    return [match.encoding for match in from_bytes(telling, cp_isolation=list(CANDIDATES))][:2]


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

"""Numbers as people write them: 1.234,5; 1,234.5; 12 %; €5; (3); decided for a complete column."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Decimal = Literal[".", ","]

MARKS = ["", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A"]  # of missing values, in any column
NUMBER_MARKS = ["-", "--", "–", "—", "na", "n.a.", "N.A.", "none", "Null", "nil", "NIL", "<NA>", "NULL", "#DIV/0!",
                "#VALUE!", "#REF!", "#NAME?", "#NUM!", ".", "..", "…", "*", "无", "缺失"]  # fmt: skip
SIGNS = "$€£¥￥₹₩₽元%％‰"
_CURRENCY = re.compile(rf"[{SIGNS}]|USD|EUR|GBP|CNY|RMB|CHF")
# Between digits only before each group of three: `1 000` and `1'000` are one number, `10 20` and `5'10` are two.
_AROUND = re.compile(r"(?<!\d)[ '’_]|[ '’_](?!\d)|(?<=\d)(?<!\d{4})[ '’_](?=\d{3}(?!\d))")
_POINT = re.compile(r"^[+-]?([1-9]\d{0,2}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?$")
_COMMA = re.compile(r"^[+-]?([1-9]\d{0,2}(\.\d{3})+|\d+)?(,\d*)?([eE][+-]?\d+)?$")
_EITHER = re.compile(r"^[+-]?[1-9]\d{0,2}([.,]\d{3})$")  # a thousand, or one and three decimals
_DIGIT = re.compile(r"\d")


def is_number(cell: str) -> bool:
    """Whether a text is a number as computers write it."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def is_written_number(cell: str) -> bool:
    """Whether a text is a number in any way of writing it."""
    return bool(_DIGIT.search(cell)) and (fits(plain(cell), ".") or fits(plain(cell), ","))


def plain(cell: str) -> str:
    """A number without blanks, currency and per cent; one in brackets, or with a sign behind it, is negative."""
    cell = _CURRENCY.sub(" ", unicodedata.normalize("NFKC", cell).replace("−", "-"))
    cell = _AROUND.sub("", " ".join(cell.split()))
    if cell.startswith("(") and cell.endswith(")"):
        cell = f"-{cell[1:-1]}"
    return f"-{cell[:-1]}" if cell.endswith("-") and len(cell) > 1 else cell


def fits(cell: str, decimal: Decimal) -> bool:
    """Whether a plain number is written with this decimal sign."""
    return bool(_DIGIT.search(cell)) and bool((_POINT if decimal == "." else _COMMA).match(cell))


def decimal_of(columns: Sequence[Sequence[str]]) -> Decimal | None:
    """The decimal sign of columns of plain numbers; None where both readings fit them all."""
    votes = dict.fromkeys((".", ","), 0)
    for cells in columns:
        certain = [cell for cell in cells if not _EITHER.match(cell)]
        for decimal, other in ((".", ","), (",", ".")):
            votes[decimal] += any(fits(cell, decimal) and not fits(cell, other) for cell in certain)  # type: ignore[arg-type]
    if votes["."] == votes[","]:
        return None
    return "." if votes["."] > votes[","] else ","


def value(cell: str, decimal: Decimal) -> float:
    """The value of a plain number."""
    return float(cell.replace(",", "") if decimal == "." else cell.replace(".", "").replace(",", "."))


def distinct(column: pa.ChunkedArray) -> list[str]:
    """The distinct texts of a column that are no marks of missing values, without blanks around them."""
    texts = (text.strip() for text in pc.unique(column).to_pylist() if text is not None)
    return [text for text in texts if text not in MARKS and text not in NUMBER_MARKS]


def converted(column: pa.ChunkedArray, decimal: Decimal) -> pa.ChunkedArray:
    """A column of texts as float64; null where a value is missing."""
    encoded = column.combine_chunks().dictionary_encode()
    texts = ["" if text is None else text.strip() for text in encoded.dictionary.to_pylist()]
    missing = {*MARKS, *NUMBER_MARKS}
    values: list[Any] = [np.nan if text in missing else value(plain(text), decimal) for text in texts]
    table = np.array([*values, np.nan])
    codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return pa.chunked_array([pa.array(table[codes], from_pandas=True)])

"""Numbers as people write them."""

import pytest

from datamodules.files.written_numbers import is_written_number, plain, value


@pytest.mark.parametrize(("cell", "number"), [
    ("1 000", 1000), ("1\u202f234,5", 1234.5), ("1'000", 1000), ("- 5", -5), ("( 3 €)", -3), ("12 345 678", 12345678),
    ("10 20", None), ("1 2 3", None), ("0228 123", None), ("5'10", None), ("5 € 50", None), ("10  20", None),
])  # fmt: skip
def test_numbers_side_by_side_are_no_number(cell: str, number: float | None) -> None:
    assert is_written_number(cell) == (number is not None)
    assert number is None or value(plain(cell), ",") == number

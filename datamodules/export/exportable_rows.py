"""A trained model whose inputs are the encoded rows of a table."""

from typing import Any

from datamodules.export.exportable import ExportableFeatures
from datamodules.files.date_columns import PARTS
from datamodules.files.written_numbers import MARKS, NUMBER_MARKS


class ExportableRows(ExportableFeatures):
    """Reads the features of rows, as training has scaled and encoded them."""

    reads = "tables"

    def preprocessing(self) -> dict[str, Any]:
        """The columns, and how each becomes features."""
        data = self.data
        inputs = [name for name in data.column_names if name != data.target_name]
        dates = {
            "columns": [*data.date_orders] if data.dates != "none" else [],
            "parts": [*PARTS] if data.dates == "parts" else [],
        }
        return {
            "inputs": inputs,
            "header": not all(name.isdecimal() for name in inputs),
            **cells(data.columns),
            "dates": {**dates, "format": "ISO 8601; numbers are seconds since 1970"},
            "decimal": data.decimal or data.decimal_found or ".",
        }


def cells(columns: list[dict[str, Any]]) -> dict[str, Any]:
    """How the cells of a table become features: numbers standardised, 0 where missing; categories one-hot."""
    return {
        "columns": columns,
        "missing": MARKS,
        "missing_numbers": NUMBER_MARKS,
        "dates": {"columns": [], "parts": []},
        "decimal": ".",
    }

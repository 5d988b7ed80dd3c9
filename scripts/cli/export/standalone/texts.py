"""Texts: the lines of a file, or a column of a CSV, TSV or JSON lines file; needs tokenizers."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer


def lines(path: Path, column: str) -> list[str]:
    """The texts of a file; of plain text its lines, without blank ones."""
    content = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".jsonl":
        return [json.loads(line)[column] for line in content.split("\n") if line.strip()]
    if path.suffix not in (".csv", ".tsv"):
        return [line.strip() for line in content.split("\n") if line.strip()]
    rows = csv.DictReader(io.StringIO(content, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",")
    if column not in (rows.fieldnames or ()):
        sys.exit(f"error: {path}: has no column {column}; it has {', '.join(rows.fieldnames or ())}")
    texts = [row[column] for row in rows]
    if None in texts:
        sys.exit(f"error: {path}: row {texts.index(None) + 1} has fewer cells than the header")
    return texts


def examples(path: Path, reader: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The token ids of each text."""
    tokenizer = Tokenizer.from_str(json.dumps(reader["tokenizer"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(reader["max_length"])
    for text in lines(path, reader["column"]):
        ids = tokenizer.encode(text).ids or [reader["unknown"]]
        length = len(ids)
        ids += [reader["padding"]] * ((reader["padded_to"] or 0) - length)
        yield [text], {"ids": np.array([ids], np.int64), "lengths": np.array([length], np.int64)}, None

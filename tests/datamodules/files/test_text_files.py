"""What is given as a text file and is none is named."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from datamodules.files.splits import split_files
from datamodules.files.tables import TABLE_FILES
from datamodules.files.text_files import byte_stream


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def workbook() -> bytes:
    content = io.BytesIO()
    Workbook().save(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{\\rtf1\\ansi good}", "is a rich text document"),
        (b"\n<TABLE border=1>", "is a table of a web page"),
        (b"@RELATION iris\n", "is an ARFF file"),
        (b"\x93NUMPY\x01", "is an array of NumPy"),
        (zipped("xl/workbook.bin", b""), "is a binary Excel workbook"),
        (gzip.compress(workbook()), "unpack it; what is in it is another archive, or a workbook"),
        (zipped("rows.xlsx", workbook()), "unpack it; what is in it is another archive, or a workbook"),
        (zipped("rows.pdf", b"%PDF-1.4"), "unpack it; what is in it is a PDF"),
    ],
)
def test_what_is_no_text_is_named(content: bytes, said: str, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with refused(tmp_path / "rows.csv", said), byte_stream(tmp_path / "rows.csv"):
        pass


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n"), zipped("t.csv", b"a,b\n1,2\n")])
def test_text_is_read_whether_it_is_packed_or_not(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with byte_stream(tmp_path / "rows.csv") as stream:
        assert stream.read() == b"a,b\n1,2\n"


def test_a_workbook_with_macros_is_a_table_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train.xlsm").write_bytes(workbook())
    assert split_files(tmp_path, TABLE_FILES, print) == {"train": tmp_path / "train.xlsm"}

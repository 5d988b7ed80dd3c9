"""Work that takes long is told of: in place on a terminal, a line a minute in a file, nothing if it is short."""

import gzip
import random
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datamodules.files.tables import Reading, read_table
from datamodules.files.text_files import lines_of
from datamodules.storage import progress
from datamodules.storage.progress import Progress, shown_items, shown_reads


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)  # type: ignore[attr-defined]
    return clock


def test_a_file_gets_a_line_a_minute(clock: Clock, capsys: Any) -> None:
    shown = Progress("reading", 100_000_000, done=10_000_000)
    for _ in range(13):
        clock.now += 10
        shown.add(2_000_000)
    shown.end()
    assert capsys.readouterr().err.splitlines() == [
        "reading: 22% of 100 MB, 0.2 MB/s, 6 min to go",
        "reading: 34% of 100 MB, 0.2 MB/s, 6 min to go",
    ]


def test_a_terminal_gets_a_line_that_is_removed(clock: Clock, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = Progress("reading", 10**9)
    for _ in range(8):
        clock.now += 1
        shown.add(10**8)
    shown.end()
    lines = capsys.readouterr().err.split("\r")
    assert lines[1] == "reading: 10% of 1,000 MB, 100.0 MB/s, 9 s to go"
    assert lines[5] == "reading: 50% of 1,000 MB, 100.0 MB/s, 5 s to go"
    assert lines[-1] == ""
    assert not lines[-2].strip()


def test_items_are_the_same_and_what_is_shown_of_them_is_removed_where_one_is_refused(
    clock: Clock, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    taken = []

    def take() -> None:
        for item in shown_items("abcd", "tokenizing", 4, "letters"):
            clock.now += 2
            taken.append(item)
            if item == "c":
                raise ValueError(item)

    with pytest.raises(ValueError, match="c"):
        take()
    assert taken == ["a", "b", "c"]
    lines = capsys.readouterr().err.split("\r")
    assert lines[1].startswith("tokenizing: 25% of 4 letters")
    assert lines[-1] == ""
    assert not lines[-2].strip()


def test_lines_of_text_show_how_much_of_them_is_read(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_IN_A_FILE", 0.0)
    file = tmp_path / "a text.txt"
    file.write_text("a line 行\n" * 100_000, encoding="utf-8")
    assert sum(line == "a line 行\n" for line in lines_of(file, "utf-8")) == 100_000
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("reading a text.txt: ") and "% of 1 MB, " in line for line in lines)


def test_what_is_short_is_not_told_of(clock: Clock, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = Progress("reading", 100)
    clock.now += 0.5
    shown.add(60)
    clock.now += 0.4
    shown.add(20)
    clock.now += 3
    shown.add(20)
    shown.end()
    assert capsys.readouterr().err == ""


def test_what_is_no_text_is_counted(clock: Clock, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = Progress("decoding", 10_000, unit="images")
    clock.now += 2
    shown.add(2500)
    assert capsys.readouterr().err == "\rdecoding: 25% of 10,000 images, 1,250 a second, 6 s to go"


def packed(file: Path, kind: str) -> Path:
    """The file as it is, or packed."""
    target = file.with_name(file.name + kind)
    if kind == ".gz":
        target.write_bytes(gzip.compress(file.read_bytes(), 1))
    elif kind == ".zst":
        target.write_bytes(pa.compress(file.read_bytes(), "zstd", asbytes=True))
    elif kind == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(file, file.name)
    return target


@pytest.mark.parametrize("kind", ["", ".gz", ".zst", ".zip"])
def test_a_large_file_is_told_of_as_it_is_read(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(progress, "EVERY_IN_A_FILE", 0.0)
    chance = random.Random(0)
    rows = [f"{chance.random()},{chance.getrandbits(300):x}" for _ in range(100_000)]
    plain = tmp_path / "table.csv"
    plain.write_text("\n".join(["number,label", *rows]), encoding="utf-8")
    file = packed(plain, kind)
    size = f"% of {file.stat().st_size / 1e6:,.0f} MB, "
    assert read_table(file, Reading()).column("label").to_pylist() == [row.partition(",")[2] for row in rows]
    of_table = capsys.readouterr().err.splitlines()
    assert [line.rstrip("\n") for line in lines_of(file, "utf-8")][1:] == rows
    of_lines = capsys.readouterr().err.splitlines()
    for lines in of_table, of_lines:
        assert len(lines) >= 2
        assert all(line.startswith(f"reading {file.name}: ") and size in line for line in lines)
        parts = [int(line.split()[2].rstrip("%")) for line in lines]
        assert parts == sorted(parts)
        assert parts[-1] > 50


def test_reads_that_are_shown_are_those_of_the_stream(capsys: Any) -> None:
    with shown_reads(pa.BufferReader(b"0123456789"), "reading") as stream:
        assert (stream.read(3), stream.read(3), stream.read(9)) == (b"012", b"345", b"6789")
        assert stream.read(1) == b""
    assert capsys.readouterr().err == ""

import gzip
import json
import os
import socket
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from datamodules.errors import DataError
from datamodules.files.class_folders import image_folders
from datamodules.files.delimited import read_table
from datamodules.files.encoding import json_value
from datamodules.files.file_list import files_in
from datamodules.files.image_lists import ImageList
from datamodules.files.paths import as_on_disk, file_or_folder, printable, printable_path, regular, user_path


def gbk(name: str) -> str:
    """Python's form of a name that a Chinese archive kept in GBK."""
    return os.fsdecode(name.encode("gbk"))


def touched(path: Path) -> Path:
    """An empty file of that name, on a file system that admits it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        pytest.skip("a file system that admits UTF-8 names only")
    return path


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("猫 cat.png", "猫 cat.png"),
        (gbk("狗"), "狗"),
        (gbk("侽丂.png"), "侽丂.png"),  # whose second bytes are ASCII letters
        (f"/数据/{gbk('数据')}/é {gbk('狗')}-1.png", "/数据/数据/é 狗-1.png"),
        (os.fsdecode(b"a\xff\xff"), "a\\xff\\xff"),
        ("half \ud800 of one", "half \\ud800 of one"),
        ("two\nlines\x1b[31m", "two\\x0alines\\x1b[31m"),
    ],
)
def test_a_name_is_shown_as_it_was_meant(name: str, shown: str) -> None:
    assert printable(name) == shown
    printable(name).encode()


def test_two_files_are_not_shown_under_one_name(tmp_path: Path) -> None:
    meant, left = touched(tmp_path / "狗"), touched(tmp_path / gbk("狗"))
    assert printable_path(meant) == str(meant)
    assert printable_path(left) == f"{tmp_path}/\\xb9\\xb7"


@pytest.mark.parametrize(
    ("make", "found"),
    [
        pytest.param(lambda path: os.mkfifo(path), "a named pipe", marks=pytest.mark.needs("mkfifo")),
        (lambda path: os.mkdir(path), "a folder"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "a socket"),
        (lambda path: os.symlink("nowhere", path), "a link that leads nowhere"),
        (lambda path: os.symlink("x.csv", path), "a link that leads nowhere"),
        (lambda path: os.symlink("/dev/zero", path), "a device"),
        (lambda path: None, "No such file or directory"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed <socket")
def test_what_is_not_a_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], found: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has few characters
    make(Path("x.csv"))
    for read in (regular, lambda path: read_table(path, "utf-8")):
        with pytest.raises(DataError, match=f"x.csv: expected a file, found {found}$"):
            read(tmp_path / "x.csv")


@pytest.mark.needs("mkfifo")
def test_a_folder_of_images_with_a_named_pipe_is_refused_and_one_named_like_an_image_is_searched(
    tmp_path: Path,
) -> None:
    (tmp_path / "a" / "b.png").mkdir(parents=True)
    (tmp_path / "a" / "b.png" / "c.png").touch()
    assert [path.name for path in files_in(tmp_path, (".png",))] == ["c.png"]
    os.mkfifo(tmp_path / "a" / "x.png")
    with pytest.raises(DataError, match=r"x\.png: expected a file, found a named pipe"):
        list(image_folders(print).found_in(tmp_path))


@pytest.mark.needs("mkfifo")
def test_a_path_that_is_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(DataError, match=r"--data \S+/x: expected a file or folder, found a named pipe"):
        file_or_folder(tmp_path / "x", "--data")
    assert file_or_folder(tmp_path, "--data") == tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("~nosuchuser/x", "--data ~nosuchuser/x: there is no user nosuchuser; a folder of that name is ./~nosuchuser"),
        ("a\0b", "--data a\0b: a path cannot hold a NUL character"),
        ("a\ud800b", "--data a\ud800b: expected text, found half a character, which no path can hold"),
        ("x" * 300, f"--data {'x' * 80}…: File name too long"),
    ],
)
def test_what_can_be_no_path(path: str, expected: str) -> None:
    with pytest.raises(DataError) as error:
        user_path(path, "--data")
    assert str(error.value) == expected


def test_a_long_text_is_shown_at_once() -> None:
    began = time.monotonic()
    for text in ("[" * 500_000, "狗" * 500_000 + "\udcd6"):
        assert len(printable(text)) >= 500_000
    assert time.monotonic() - began < 5  # the square of it would take minutes


def test_home_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/x.csv", "--output") == tmp_path / "x.csv"


@pytest.mark.parametrize(
    ("on_disk", "listed"),
    [
        (gbk("狗") + "/1.png", "狗/1.png"),
        (unicodedata.normalize("NFD", "é.png"), unicodedata.normalize("NFC", "é.png")),
        (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")),
        ("a/b.png", "a\\b.png"),
        ("a\\b.png", "a\\b.png"),
    ],
)
def test_a_list_finds_a_file_whose_name_is_spelt_otherwise(tmp_path: Path, on_disk: str, listed: str) -> None:
    file = touched(tmp_path / on_disk)
    assert as_on_disk(tmp_path, listed).samefile(file)
    (tmp_path / "list.csv").write_text(f"{listed},x\n", encoding="utf-8")
    ((_, found),) = ImageList(tmp_path / "list.csv", "utf-8", print).images()
    assert found.samefile(file)


def test_class_folders_that_are_shown_alike_are_refused(tmp_path: Path) -> None:
    for name in ("狗", gbk("狗")):
        touched(tmp_path / name / "1.png")
    with pytest.raises(DataError, match="two folders in it are called 狗"):
        list(image_folders(print).found_in(tmp_path))


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_table_whose_name_is_not_utf_8(tmp_path: Path, packed: str) -> None:
    path = touched(tmp_path / (gbk("狗") + ".csv" + packed))
    content = b"text,label\ngood,1\nbad,0\n"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read_table(path, "utf-8").column("text") == ["good", "bad"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
        ('{"text": "x \\ud83d y"}', r"\\ud83d is half of a character"),
        ('{"text": "x \\uDE00"}', r"\\uDE00 is half of a character"),
        ("9" * 5000, "4300 digits"),
    ],
)
def test_json_that_python_cannot_hold_is_not_json(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=message):
        json_value(text)
    (tmp_path / "x.jsonl").write_text(f'{{"text": "good", "label": 1}}\n{text}\n')
    with pytest.raises(DataError, match=rf"x\.jsonl:2: not JSON \(.*{message}"):
        read_table(tmp_path / "x.jsonl", "utf-8")


def test_json_with_both_halves_of_a_character() -> None:
    assert json_value('"\\ud83d\\ude00"') == "😀"


def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(DataError, match=r"^--logs ~/x: this user has no home folder; set \$HOME, or give a full path$"):
        user_path("~/x", "--logs")

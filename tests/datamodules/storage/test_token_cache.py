import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from datamodules.errors import DataError
from datamodules.storage import cache_files, locks, token_cache
from datamodules.storage.locks import Lock
from datamodules.storage.token_cache import stored, train_once
from datamodules.tokenizing import tokens
from datamodules.tokenizing.tokens import new_tokenizer

ROOT = Path(__file__).resolve().parents[3]
USES = """
import sys
from pathlib import Path
from datamodules.storage import cache_files, token_cache
cache_files.DATA_FOLDER = Path(sys.argv[1])
token_cache.stored([[1] * 250], ["used"])
print(flush=True)
sys.stdin.read()
"""
Learn = Callable[[Iterable[str]], Tokenizer]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for the files, with room for 4,000 bytes; a file of 250 tokens has 1,008."""
    cache_files.release()
    monkeypatch.setattr(cache_files, "DATA_FOLDER", tmp_path)
    monkeypatch.setattr(cache_files, "MAX_BYTES", 4000)
    yield tmp_path / "tokens"
    cache_files.release()


@contextmanager
def used_by_another_process(name: str) -> Iterator[Path]:
    """A file of 250 tokens, which another process uses until the end of this."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.write(writing, os.fsencode(stored([[1] * 250], [name]).path))
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    try:
        yield Path(os.fsdecode(os.read(reading, 4096)))
    finally:
        os.close(reading)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def used_before(name: str) -> Path:
    """The same file, which no process uses any more."""
    with used_by_another_process(name) as path:
        return path


def age(path: Path, seconds: float) -> None:
    os.utime(path, (path.stat().st_mtime - seconds,) * 2)


@pytest.mark.needs("fork")
def test_the_least_recently_used_file_makes_room() -> None:
    first, second, third = (used_before(name) for name in ("first", "second", "third"))
    for path, seconds in ((first, 30), (second, 20), (third, 10)):
        age(path, seconds)
    used_before("first")
    fourth = used_before("fourth")
    assert [path.exists() for path in (first, second, third, fourth)] == [True, False, True, True]


@pytest.mark.needs("fork")
def test_a_file_in_use_by_this_process_is_kept() -> None:
    ragged = stored([[1] * 250], ["first"])
    age(ragged.path, 30)
    others = [used_before(name) for name in ("second", "third", "fourth")]
    assert sum(path.exists() for path in others) == 2
    assert ragged.path.exists()


@pytest.mark.needs("fork")
def test_a_file_in_use_by_another_process_is_kept_until_that_ends(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", USES, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        (used,) = folder.glob("*.int32")
        age(used, 30)
        for name in ("second", "third", "fourth"):
            used_before(name)
        assert used.exists()
        (use,) = folder.glob(f"{used.stem}.*.used")
        process.stdin.close()
    assert not use.exists()
    age(used, 60)
    used_before("fifth")
    assert not used.exists()


@pytest.mark.needs("fork")
def test_a_killed_process_uses_no_file(folder: Path) -> None:
    with used_by_another_process("used") as used:
        (use,) = folder.glob("*.used")
        age(used, 30)
        for name in ("second", "third", "fourth"):
            used_before(name)
        assert used.exists()
    age(used, 60)
    used_before("fifth")
    assert not used.exists()
    assert not use.exists()


@pytest.mark.needs("fork")
def test_the_use_of_a_killed_process_is_forgotten_after_a_day(folder: Path) -> None:
    used_before("first")
    left, fresh = folder / "x.1.used", folder / "x.2.used"
    for use in (left, fresh):
        use.touch()
    age(left, 100_000)
    cache_files.prune(folder)
    assert [use.exists() for use in (left, fresh)] == [False, True]


@pytest.fixture
def learnings(monkeypatch: pytest.MonkeyPatch) -> tuple[Learn, list[list[str]]]:
    """A function that learns a vocabulary, and the texts of each call; from 100 bytes on, one call is enough."""
    monkeypatch.setattr(token_cache, "MIN_CACHED_BYTES", 100)
    calls: list[list[str]] = []

    def learn(texts: Iterable[str]) -> Tokenizer:
        calls.append(list(texts))
        return new_tokenizer("words", texts, 50)

    return learn, calls


def test_a_vocabulary_is_learned_once_from_many_texts(learnings: tuple[Learn, list[list[str]]], folder: Path) -> None:
    learn, calls = learnings
    texts = ["the same words and the same words"] * 5
    first, again = (train_once(learn, texts, 50) for _ in range(2))
    assert first == again == new_tokenizer("words", texts, 50).to_str()
    assert calls == [texts]
    train_once(learn, [*texts[:-1], "the same words and others"], 50)
    train_once(learn, texts, 60)
    train_once(learn, ["".join(texts)], 50)  # the same characters, split differently
    assert len(calls) == 4
    assert len([*folder.glob("*.json")]) == 4


def test_a_vocabulary_of_few_texts_needs_no_file(learnings: tuple[Learn, list[list[str]]], folder: Path) -> None:
    learn, calls = learnings
    assert train_once(learn, ["few words"] * 3) == train_once(learn, ["few words"] * 3)
    assert len(calls) == 2
    assert not folder.exists()


def test_changed_code_learns_again(
    learnings: tuple[Learn, list[list[str]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learn, calls = learnings
    texts = ["the same words and the same words"] * 5
    train_once(learn, texts)
    changed = tmp_path / "tokens.py"
    changed.write_text("another tokenizer")
    monkeypatch.setattr(tokens, "__file__", str(changed))
    train_once(learn, texts)
    assert len(calls) == 2


@pytest.mark.needs("getuid")
def test_a_temporary_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = cache_files.cache_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert cache_files.cache_folder() == folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="belongs to another user"):
        cache_files.cache_folder()
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    (tmp_path / f"tokens-{owner + 1}").mkdir()
    with pytest.raises(DataError, match="belongs to another user"):
        cache_files.cache_folder()


def test_another_user_s_file_that_may_not_be_read_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    monkeypatch.setattr(cache_files, "cache_folder", lambda: shared)
    monkeypatch.setattr(cache_files, "temporary_folder", lambda: own)

    def denied(path: Path) -> Lock:
        if path.is_relative_to(shared):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return Lock(path)

    monkeypatch.setattr(locks, "Lock", denied)
    path = cache_files.written_once(lambda file: file.write(b"tokens"), ["key"], ".json")
    assert path.parent == own
    assert path.read_bytes() == b"tokens"
    cache_files.release()

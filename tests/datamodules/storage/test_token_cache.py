import os
import signal
import subprocess
import sys

import pytest

from datamodules.errors import DataError
from datamodules.storage import token_cache
from datamodules.storage.token_cache import stored, train_once
from datamodules.tokenizing.tokens import new_tokenizer
from scripts.cli.command_line.recipes import ROOT

USES = """
import sys
from pathlib import Path
from datamodules.storage import token_cache
token_cache.DATA_FOLDER = Path(sys.argv[1])
token_cache.stored([[1] * 250], ["used"])
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty place for the files, with room for 4,000 bytes; a file of 250 tokens has 1,008."""
    monkeypatch.setattr(token_cache, "DATA_FOLDER", tmp_path)
    monkeypatch.setattr(token_cache, "MAX_BYTES", 4000)
    monkeypatch.setattr(token_cache, "_IN_USE", {})
    yield tmp_path / "tokens"
    token_cache.release()


def write(name):
    """Write a file, or use it again, as an earlier process would have; its path."""
    path = stored([[1] * 250], [name]).path
    token_cache._IN_USE.pop(path).remove()
    return path


def age(path, seconds):
    os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def test_what_has_not_been_used_for_longest_makes_room():
    first, second, third = (write(name) for name in ("first", "second", "third"))
    for path, seconds in ((first, 30), (second, 20), (third, 10)):
        age(path, seconds)
    write("first")
    fourth = write("fourth")
    assert [path.exists() for path in (first, second, third, fourth)] == [True, False, True, True]


def test_what_this_process_uses_stays():
    ragged = stored([[1] * 250], ["first"])
    age(ragged.path, 30)
    others = [write(name) for name in ("second", "third", "fourth")]
    assert sum(path.exists() for path in others) == 2
    assert ragged.path.exists()


def test_what_another_process_uses_stays(folder, tmp_path):
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", USES, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables
    ) as process:
        assert process.stdout.readline() == b"\n"
        (used,) = folder.glob("*.int32")
        age(used, 30)
        for name in ("second", "third", "fourth"):
            write(name)
        assert used.exists()
        process.stdin.close()
    age(used, 60)
    write("fifth")
    assert not used.exists()


@pytest.fixture
def learnings(monkeypatch):
    """How often a vocabulary was learned; from 100 letters on, once is enough."""
    monkeypatch.setattr(token_cache, "MIN_CACHED_BYTES", 100)
    found = []

    def learn(texts):
        found.append(list(texts))
        return new_tokenizer("words", texts, 50)

    return learn, found


def test_a_vocabulary_is_learned_from_many_texts_once(learnings, folder):
    learn, found = learnings
    texts = ["the same words and the same words"] * 5
    first, again = (train_once(learn, texts, 50) for _ in range(2))
    assert first == again == new_tokenizer("words", texts, 50).to_str()
    assert found == [texts]
    train_once(learn, [*texts[:-1], "the same words and others"], 50)
    train_once(learn, texts, 60)
    train_once(learn, ["".join(texts)], 50)  # the same letters, cut otherwise
    assert len(found) == 4
    assert len([*folder.glob("*.json")]) == 4


def test_a_vocabulary_is_learned_from_few_texts_without_a_file(learnings, folder):
    learn, found = learnings
    assert train_once(learn, ["few words"] * 3) == train_once(learn, ["few words"] * 3)
    assert len(found) == 2
    assert not folder.exists()


def test_other_code_learns_anew(learnings, monkeypatch, tmp_path):
    learn, found = learnings
    texts = ["the same words and the same words"] * 5
    train_once(learn, texts)
    changed = tmp_path / "tokens.py"
    changed.write_text("another way to cut words")
    monkeypatch.setattr(token_cache.tokens, "__file__", str(changed))
    train_once(learn, texts)
    assert len(found) == 2


def test_a_folder_for_temporary_files_that_somebody_else_has_made_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(token_cache.os, "access", lambda *_: False)
    monkeypatch.setattr(token_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = token_cache.cache_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert token_cache.cache_folder() == folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="belongs to another user"):
        token_cache.cache_folder()
    owner = os.getuid()
    monkeypatch.setattr(token_cache.os, "getuid", lambda: owner + 1)
    (tmp_path / f"tokens-{owner + 1}").mkdir()
    with pytest.raises(DataError, match="belongs to another user"):
        token_cache.cache_folder()


def test_a_process_that_was_killed_uses_nothing(folder, tmp_path):
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        stored([[1] * 250], ["used"])
        os.write(writing, b"1")
        signal.pause()
    os.read(reading, 1)
    (used,), (use,) = folder.glob("*.int32"), folder.glob("*.used")
    age(used, 30)
    for name in ("second", "third", "fourth"):
        write(name)
    assert used.exists()
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    age(used, 60)
    write("fifth")
    assert not used.exists()
    assert not use.exists()


def test_the_use_of_a_killed_process_is_forgotten_after_a_day(folder):
    write("first")
    left, fresh = folder / "x.1.used", folder / "x.2.used"
    for use in (left, fresh):
        use.touch()
    age(left, 100_000)
    token_cache.prune(folder)
    assert [use.exists() for use in (left, fresh)] == [False, True]

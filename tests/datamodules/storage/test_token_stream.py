"""Tokens in a file are those in memory; a writer that is killed loses little, and leaves nothing wrong."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from datamodules.errors import DataError
from datamodules.storage import cache_files, token_stream
from datamodules.storage.token_stream import TokenStream, stored_stream, stream_in_memory
from datamodules.tokenizing.document_encoder import Encoded
from tests.helpers.fork_server import Forked, code_as_program


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(cache_files, "DATA_FOLDER", tmp_path)
    monkeypatch.setattr(token_stream, "KEPT_EVERY", 1)
    yield tmp_path / "tokens"
    cache_files.release()


class Writer:
    """Tokens of documents in several parts, of which some documents span several."""

    def __init__(self, type_: type = np.uint16) -> None:
        draw = np.random.default_rng(0)
        self.parts = []
        for _ in range(20):
            lengths = draw.integers(1, 9, draw.integers(1, 4)).tolist()
            tokens = draw.integers(0, 250, sum(lengths)).astype(type_)
            excess, ends = [length % 3 for length in lengths], bool(draw.integers(2))
            self.parts.append(Encoded(tokens, lengths, excess, ends, 1, 100))
        self.parts[-1] = self.parts[-1]._replace(ends=True)
        self.begun: list[int] = []
        self.dies_after = len(self.parts)

    def __call__(self, skipped: int) -> Iterator[Encoded]:
        self.begun.append(skipped)
        for count, part in enumerate(self.parts[skipped:], skipped):
            if count == self.dies_after:
                raise InterruptedError
            yield part


def same(one: TokenStream, other: TokenStream) -> bool:
    every = np.arange(one.lengths.sum())
    return (
        np.array_equal(one.lengths, other.lengths)
        and np.array_equal(one.excess, other.excess)
        and np.array_equal(one.tokens.gather(every), other.tokens.gather(every))
        and one.tokens.type == other.tokens.type
    )


@pytest.mark.parametrize("type_", [np.uint8, np.uint16, np.uint32])
def test_a_file_has_what_there_is_in_memory_and_is_written_once(type_: type, folder: Path) -> None:
    writer = Writer(type_)
    held = stream_in_memory(writer)
    for _ in range(2):
        assert same(stored_stream(writer, type_, ["key"], 2000), held)
    assert writer.begun == [0, 0]
    assert {file.suffix for file in folder.iterdir()} == {f".{np.dtype(type_).name}", ".lock", ".used"}


@pytest.mark.parametrize("tail", [b"", b"half of a token and more"])
@pytest.mark.parametrize("dies", range(1, 20, 3))
def test_the_next_writer_goes_on_where_one_was_killed(dies: int, tail: bytes, folder: Path) -> None:
    writer = Writer()
    writer.dies_after = dies
    with pytest.raises(InterruptedError):
        stored_stream(writer, np.uint16, ["key"], 2000)
    for ending in (".partial", ".lengths"):
        (file,) = folder.glob(f"*{ending}")
        file.write_bytes(file.read_bytes() + tail)  # what was written after the last that is known to be on the disk
    writer.dies_after = len(writer.parts)
    assert same(stored_stream(writer, np.uint16, ["key"], 2000), stream_in_memory(writer))
    assert writer.begun[:2] == [0, dies]
    assert not [*folder.glob("*.partial"), *folder.glob("*.lengths"), *folder.glob("*.done")]


@pytest.mark.parametrize("lost", [".partial", ".lengths", ".done"])
def test_a_writer_begins_again_where_too_little_is_left(lost: str, folder: Path) -> None:
    writer = Writer()
    writer.dies_after = 9
    with pytest.raises(InterruptedError):
        stored_stream(writer, np.uint16, ["key"], 2000)
    (file,) = folder.glob(f"*{lost}")
    file.write_bytes(file.read_bytes()[:-3])
    writer.dies_after = len(writer.parts)
    assert same(stored_stream(writer, np.uint16, ["key"], 2000), stream_in_memory(writer))
    assert writer.begun[:2] == [0, 0]


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda content: content[:-8],
    lambda content: content[:-16] + bytes(16),
    lambda content: b"",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(damage: Callable[[bytes], bytes], folder: Path) -> None:
    stored_stream(Writer(), np.uint16, ["key"], 2000)
    (file,) = folder.glob("*.uint16")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match="damaged; delete it and run again"):
        stored_stream(Writer(), np.uint16, ["key"], 2000)


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from datamodules.corpus import Corpus
from datamodules.storage import cache_files, token_cache, token_stream
from datamodules.tokenizing import document_encoder
path, cache = sys.argv[1:]
cache_files.DATA_FOLDER, token_cache.MIN_CACHED_BYTES = Path(cache), 1
token_stream.KEPT_EVERY = document_encoder.AT_ONCE = 20_000
encoded = document_encoder.DocumentEncoder._encoded
def slowly(*arguments):
    time.sleep(0.01)
    return encoded(*arguments)
document_encoder.DocumentEncoder._encoded = slowly
Corpus(path, tokenizer="bytes", batch_size=2).setup()
"""


def kept_in(cache: Path) -> int:
    """Of how many pieces a writer has kept the tokens."""
    with suppress(FileNotFoundError, StopIteration):
        return int(json.loads(next(cache.rglob("*.done")).read_text())[0])
    return 0


@pytest.mark.long
def test_killed_again_and_again_the_tokens_are_those_of_a_writer_that_was_not(folder: Path, tmp_path: Path) -> None:
    text = "".join(f"line {line} of a long text, or 第 {line} 行\n" for line in range(80_000))
    (tmp_path / "long.txt").write_text(text, encoding="utf-8")
    results = []
    for cache, kills in (("whole", 0), ("pieces", 4)):
        words, out = [str(tmp_path / "long.txt"), str(tmp_path / cache)], tmp_path / "printed.txt"
        done: list[int] = []
        for kill in range(kills):
            process = Forked(code_as_program, KILLED, words, out=out)
            while kept_in(tmp_path / cache) <= max(done, default=0) + 5 * kill:
                assert process.poll() is None, out.read_text()
                time.sleep(0.01)
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
            done.append(kept_in(tmp_path / cache))
        assert done == sorted(done)
        assert Forked(code_as_program, KILLED, words, out=out).wait(300) == 0, out.read_text()
        (file,) = (tmp_path / cache).rglob("*.uint16")
        results.append(file.read_bytes())
    assert results[0] == results[1]

"""Data beyond memory: memory does not grow with it, and everything else is as if it were in memory."""

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.base import DataModule
from datamodules.files.squad import MEMORY_FACTOR
from datamodules.storage import cache_files
from datamodules.storage.streaming import is_large
from datamodules.text import TextClassification
from datamodules.translation import Translation
from tests.helpers.fork_server import Forked, code_as_program

MEASURE = """
import sys
from functools import partial
from pathlib import Path
from datamodules import corpus, images, reading, tagging, text, translation
from datamodules.storage import cache_files, streaming, token_cache
type_, small, large, cache = sys.argv[1:]
cache_files.DATA_FOLDER = Path(cache)
text.MAX_TF_IDF_TEXTS = 1000  # the baseline is fitted to a limited number of texts; here the small file has as many
types = {
    "images": images.Images,
    "text": text.TextClassification,
    "pairs": translation.Translation,
    "tagged": tagging.Tagging,
    "squad": reading.Reading,
    "corpus": partial(corpus.Corpus, tokenizer="bytes"),
}
for path, in_memory in ((small, 1000), (small, 1000), (large, 1000), (large, 2**40)):
    images.IN_MEMORY = streaming.IN_MEMORY = token_cache.MIN_CACHED_BYTES = in_memory
    data = types[type_](path, batch_size=32)
    data.setup()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        for _ in loader:
            pass
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peaks(type_: str, small: Path, large: Path) -> list[float]:
    """The maximum memory so far, in MB, of a process that iterated the small data twice, the large, and that in memory.

    The first time is for what is imported and allocated once.
    """
    out, errors = large.parent / "out.txt", large.parent / "errors.txt"
    words = [type_, str(small), str(large), str(large.parent / "cache")]
    assert Forked(code_as_program, MEASURE, words, out=out, err=errors).wait(300) == 0, errors.read_text()
    return [int(line) / 1024 for line in out.read_text().split()]


def write_texts(path: Path, size: int) -> Path:
    """A table of texts of 2 kB each."""
    path = path.with_suffix(".csv")
    draw = random.Random(0)
    words = [f"word{index}" * 10 for index in range(300)]
    rows = (f'"{row} {" ".join(draw.choices(words, k=30))}",{"abc"[row % 3]}\n' for row in range(size))
    with path.open("w", encoding="utf-8") as file:
        file.writelines(["text,label\n", *rows])
    return path


def words(draw: random.Random, size: int) -> str:
    return " ".join(f"word{draw.randrange(300)}" for _ in range(size))


def write_pairs(path: Path, size: int) -> Path:
    """A table of pairs of sentences of 700 letters each."""
    path = path.with_suffix(".tsv")
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{row} {words(draw, 100)}\t{words(draw, 100)} {row}\n" for row in range(size))
    return path


def write_tagged(path: Path, size: int) -> Path:
    """JSON lines with a sentence of 40 words and an entity each."""
    path = path.with_suffix(".jsonl")
    draw = random.Random(0)
    entity = {"start": 0, "end": 4, "type": "name"}
    with path.open("w", encoding="utf-8") as file:
        file.writelines(
            json.dumps({"text": f"Anna {words(draw, 40)}", "entities": [entity]}) + "\n" for _ in range(size)
        )
    return path


def write_squad(path: Path, size: int) -> Path:
    """SQuAD's JSON with contexts of 200 words and ten questions about each."""
    path = path.with_suffix(".json")
    draw = random.Random(0)
    answer = {"text": "Anna", "answer_start": 0}
    paragraphs = [
        {
            "context": f"Anna {row} {words(draw, 200)}",
            "qas": [{"question": f"{number} {words(draw, 5)}?", "answers": [answer]} for number in range(10)],
        }
        for row in range(size)
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    return path


def write_corpus(path: Path, size: int) -> Path:
    """A folder of texts of half a megabyte each."""
    path.mkdir()
    draw = random.Random(0)
    for number in range(size):
        text = "".join(f"{row} {words(draw, 100)}\n" for row in range(700))
        (path / f"{number:03}.txt").write_text(text, encoding="utf-8")
    return path


def write_images(path: Path, size: int) -> Path:
    """Photographs of 96 x 96 pixels, 27 kB each in memory; files of one size."""
    path.mkdir()
    for row in range(size):
        folder = path / "abc"[row % 3]
        folder.mkdir(exist_ok=True)
        pixels = np.full((96, 96, 3), row % 256, np.uint8)
        pixels[0, 0] = row // 256
        Image.fromarray(pixels).save(folder / f"{row}.png")
    return path


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to measure the peak of a process")
@pytest.mark.parametrize(
    ("type_", "make", "size", "megabytes"),
    [
        ("text", write_texts, 1200, 15),
        ("images", write_images, 600, 110),
        ("pairs", write_pairs, 1200, 40),
        ("tagged", write_tagged, 600, 40),
        ("squad", write_squad, 100, 30),
        ("corpus", write_corpus, 6, 50),
    ],
)
def test_memory_stays_flat_as_the_data_grows_tenfold(
    type_: str, make: Callable[[Path, int], Path], size: int, megabytes: int, place: Path
) -> None:
    small, large = make(place / "small", size), make(place / "large", 10 * size)
    _, least, *more = peaks(type_, small, large)
    read, held = (peak - least for peak in more)
    print(f"{type_}: {read:.0f} MB more if read as needed, {held:.0f} MB more if kept in memory")
    assert held > megabytes, "the difference would not be noticed"
    assert read < held / 3


def rows(size: int = 60) -> list[tuple[str, str]]:
    draw = random.Random(0)
    return [
        (
            f'No. {row}: "{draw.choice(["fine", "很好"])}", {" ".join(draw.choices("abcdef", k=row % 9))}.',
            "好坏"[row % 2],
        )
        for row in range(size)
    ]


def csv_text(examples: list[tuple[str, str]], comma: str = ",") -> str:
    quoted = [(text.replace('"', '""'), label) for text, label in examples]
    return f"text{comma}label\n" + "".join(f'"{text}"{comma}{label}\n' for text, label in quoted)


def tsv_text(examples: list[tuple[str, str]]) -> str:
    return "".join(f"{text}\t{label}\n" for text, label in examples)


def jsonl_text(examples: list[tuple[str, str]]) -> str:
    return "".join(json.dumps({"label": label, "text": text}) + "\n" for text, label in examples)


def named(value: Any) -> str:
    """A short test id: by default it would contain the file's content."""
    return value if isinstance(value, str) else ""


def batches(data: TextClassification) -> list[list[torch.Tensor]]:
    loaders = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
    return [[text.ids, text.lengths, target] for loader in loaders for text, target in loader]


def ready(path: Path, **options: Any) -> TextClassification:
    data = TextClassification(str(path), **{"batch_size": 4, **options})
    data.setup()
    return data


def assert_alike(one: TextClassification, other: TextClassification) -> None:
    for ours, theirs in zip(batches(one), batches(other), strict=True):
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(ours, theirs, strict=True))
    assert one.tokenizer_json == other.tokenizer_json
    assert one.class_names == other.class_names
    assert one.notes == other.notes


@pytest.mark.parametrize("tokenizer", ["words", "wordpiece"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table.csv", csv_text(rows()).encode()),
        ("windows.csv", b"\xef\xbb\xbf" + csv_text(rows()).replace("\n", "\r\n").encode()),
        ("lines.csv", csv_text([(f"{text}\nand more", label) for text, label in rows()]).encode()),
        ("table.tsv", tsv_text(rows()).encode()),
        ("spreadsheet.tsv", csv_text(rows(), "\t").encode()),
        ("table.jsonl", jsonl_text(rows()).encode()),
        ("packed.jsonl.gz", gzip.compress(jsonl_text(rows()).encode(), mtime=0)),
    ],
    ids=named,
)
def test_texts_beyond_memory_give_the_same_batches(
    name: str, content: bytes, tokenizer: str, place: Path, streamed: Callable[[], None]
) -> None:
    (place / name).write_bytes(content)
    held = ready(place / name, tokenizer=tokenizer)
    streamed()
    data = ready(place / name, tokenizer=tokenizer)
    assert isinstance(held.texts, list)
    assert not isinstance(data.texts, list)
    assert_alike(data, held)


def test_folders_beyond_memory_are_the_same_with_their_duplicates_and_empty_texts(
    place: Path, streamed: Callable[[], None]
) -> None:
    parts = {"train": rows()[:40], "dev": [*rows()[40:50], rows()[3]], "test": [*rows()[50:], ("", "好"), rows()[0]]}
    for split, examples in parts.items():
        (place / f"{split}.csv").write_text(csv_text(examples), encoding="utf-8")
    held = ready(place)
    streamed()
    data = ready(place)
    assert len(data.notes) == 3
    assert_alike(data, held)


def test_a_restored_state_tests_and_predicts_from_files_beyond_memory(
    place: Path, streamed: Callable[[], None]
) -> None:
    (place / "table.csv").write_text(csv_text(rows()), encoding="utf-8")
    (place / "lines.txt").write_text("".join(f"{text}\n\n" for text, _ in rows()), encoding="utf-8")
    state = ready(place / "table.csv").state_dict()
    results = []
    for _ in range(2):
        data = TextClassification(str(place / "table.csv"), batch_size=4)
        data.load_state_dict(state)
        data.setup_test()
        found = [text.ids for text, _ in data.test_dataloader()]
        for name in ("table.csv", "lines.txt"):
            data.set_input(place / name)
            assert list(data.predicted_names) == [text for text, _ in rows()]
            assert len(data.predicted_names) == 60
            found += [text.ids for text in data.predict_dataloader()]
        results.append(found)
        streamed()
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_workers_read_tokens_from_the_file(place: Path, streamed: Callable[[], None]) -> None:
    (place / "table.csv").write_text(csv_text(rows()), encoding="utf-8")
    streamed()
    assert_alike(ready(place / "table.csv", num_workers=1), ready(place / "table.csv"))


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("t.csv", csv_text(rows(2000)).encode() + b"a\n", [":2002:", "expected 2 fields", "found 1"]),
        ("t.csv", csv_text(rows(2000)).encode() + b'"a" b,1\n', [":2002:", "not CSV"]),
        ("t.tsv", tsv_text(rows(2000)).encode() + b"a b\n", [":2001:", "expected 2 fields", "found 1"]),
        ("t.csv", csv_text([*rows(2000), ("a", " "), ("b", "")]).encode(), [":2002:", "label is missing", "2 of 2002"]),
        ("t.jsonl", jsonl_text(rows(2000)).encode() + b"{}\n", [":2001:", "has no label"]),
        ("t.jsonl", jsonl_text(rows(2000)).encode() + b"{\n", [":2001:", "not JSON"]),
        ("t.csv", b"", ["the file is empty"]),
        ("t.csv", b"text,label\n", ["no rows"]),
        ("t.csv.gz", gzip.compress(csv_text(rows(2000)).encode(), mtime=0)[:-1000], ["cannot be read"]),
    ],
    ids=named,
)
def test_a_file_beyond_memory_that_cannot_be_used_is_refused(
    name: str, content: bytes, parts: list[str], place: Path, streamed: Callable[[], None], refused: Any
) -> None:
    (place / name).write_bytes(content)
    streamed()
    with refused(place / name, *parts):
        ready(place / name)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "ascii"])
@pytest.mark.parametrize("more", [0, 8193, 1_048_575])
def test_a_byte_that_is_not_text_is_reported_wherever_it_is(
    encoding: str, more: int, place: Path, streamed: Callable[[], None], refused: Any
) -> None:
    filler = "a" if encoding == "ascii" else "很"
    before = f"text,label\na,{filler * (more // len(filler.encode(encoding)))}\n".encode(encoding)
    (place / "t.csv").write_bytes(before + b"a\xff\xff,b\n" + b"c,d\n" * 10)
    streamed()
    with refused(place / "t.csv", f"byte {len(before) + 1} (0xff) is not {encoding} text", "--data.encoding"):
        ready(place / "t.csv", encoding=encoding)


def test_what_the_tokens_depend_on_has_a_file_of_its_own(place: Path, streamed: Callable[[], None]) -> None:
    streamed()
    for count, (examples, options) in enumerate([(rows(), {}), (rows(50), {}), (rows(50), {"max_length": 9})], 1):
        (place / "table.csv").write_text(csv_text(examples), encoding="utf-8")
        for _ in range(2):
            ready(place / "table.csv", **options)
        assert len([*cache_files.cache_folder().glob("*.int32")]) == count


STORE = """
import sys
from pathlib import Path
from datamodules import text
from datamodules.storage import cache_files, streaming, token_cache
path, cache, times = sys.argv[1:]
streaming.IN_MEMORY = 0
cache_files.DATA_FOLDER = Path(cache)
original = token_cache.tokenized
def counted(*args):
    with open(times, "a") as file:
        file.write("once\\n")
    yield from original(*args)
token_cache.tokenized = counted
text.TextClassification(path, batch_size=4).setup()
"""


@pytest.mark.long
def test_two_processes_at_once_tokenize_texts_once(place: Path) -> None:
    (place / "table.csv").write_text(csv_text(rows(3000)), encoding="utf-8")
    words = [str(place / name) for name in ("table.csv", "cache", "times")]
    processes = [Forked(code_as_program, STORE, words, out=place / "printed.txt") for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0], (place / "printed.txt").read_text()
    assert (place / "times").read_text() == "once\n"


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif not isinstance(value, str):
        for part in value:
            yield from tensors(part)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("type_", ["text", "translation"])
def test_the_tokens_may_be_deleted_under_a_run_and_are_written_anew_by_the_next(
    type_: str, workers: int, place: Path, streamed: Callable[[], None]
) -> None:
    content = csv_text(rows()) if type_ == "text" else tsv_text(rows())
    path = place / ("table.csv" if type_ == "text" else "pairs.tsv")
    path.write_text(content, encoding="utf-8")

    def epochs(delete: bool) -> list[torch.Tensor]:
        make = TextClassification if type_ == "text" else Translation
        data: DataModule = make(str(path), batch_size=4, num_workers=workers)
        data.setup()
        batches = iter(data.train_dataloader())
        found = [next(batches)]
        if delete:
            shutil.rmtree(cache_files.cache_folder())
        return [*tensors([*found, *batches, *data.val_dataloader()])]

    held = epochs(delete=False)
    streamed()
    for _ in range(2):
        torch.testing.assert_close(epochs(delete=True), held, rtol=0, atol=0)


@pytest.mark.parametrize(("times", "limit"), [(1, 256 * 2**20), (MEMORY_FACTOR, 64 * 2**20)])
def test_files_are_kept_in_memory_up_to_the_size_that_the_readme_states(times: int, limit: int, tmp_path: Path) -> None:
    files = [tmp_path / "train.csv", tmp_path / "test.csv"]
    for file, size in zip(files, (limit // 2, limit - limit // 2), strict=True):
        file.touch()
        os.truncate(file, size)  # sparse: takes no space on the disk
    assert not is_large(files, times)
    os.truncate(files[1], limit - limit // 2 + 1)
    assert is_large(files, times)

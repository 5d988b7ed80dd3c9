"""Pairs, sentences and questions beyond memory: all is as if they were in memory."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.base import DataModule
from datamodules.reading import Reading
from datamodules.storage import cache_files
from datamodules.storage.stored_rows import StoredRows, concatenated, stored_rows
from datamodules.tagging import Tagging
from datamodules.translation import Translation

TYPES: dict[str, Callable[..., DataModule]] = {"translation": Translation, "tagging": Tagging, "reading": Reading}


def pairs(size: int = 60) -> list[tuple[str, str]]:
    """Sentences of different lengths; every tenth source has a second translation."""
    draw = random.Random(0)
    rows = [
        (f'No. {row}: "{" ".join(draw.choices("abcdef", k=row % 9))}"', f"第{row}号：{'好' * (row % 7)}。")
        for row in range(size)
    ]
    return [*rows, *((source, f"又{target}") for source, target in rows[::10])]


def table(rows: list[tuple[str, str]], separator: str = "\t") -> str:
    def cell(text: str) -> str:
        return text if separator == "\t" else '"' + text.replace('"', '""') + '"'

    return "".join(f"{cell(source)}{separator}{cell(target)}\n" for source, target in rows)


def columns(size: int = 40, chinese: bool = False) -> str:
    """A word and its tag on each line; some sentences are too long for a piece."""
    name, other = (["王", "芳"], [*"住在上海"]) if chinese else (["Anna", "Blum"], ["lives", "in", "Ulm"])
    sentences = [
        [
            (name[0], "B-person"),
            (name[1], "I-person"),
            *((word, "O") for word in other * (1 + row % 5)),
            (str(row), "O"),
        ]
        for row in range(size)
    ]
    return "\n".join("".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in sentences)


def sentences(size: int = 40, chinese: bool = False) -> str:
    """JSON lines; every fifth has an entity over a longer one, every seventh one that ends within a word."""
    text = "王芳住在上海" if chinese else "Anna Blum lives in Ulm"
    first, last = (2, text.index("上")) if chinese else (9, text.index("Ulm"))
    rows = []
    for row in range(size):
        entities = [(0, first, "person"), (last, len(text), "place")]
        entities += [(0, 1, "person")] if row % 5 == 0 else []
        entities = [(0, first - 1, "person")] if row % 7 == 0 else entities
        spans = [{"start": start, "end": end, "type": type_} for start, end, type_ in entities]
        rows.append({"text": f"{text} {' '.join(map(str, range(row)))}", "entities": spans})
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def squad(size: int = 20, chinese: bool = False) -> str:
    """Contexts of one window and of several; some answers are not at their start, some nowhere; some are missing."""
    paragraphs = []
    for row in range(size):
        context = (
            f"{row} 王芳住在上海。" + "她喜欢这里。" * (row % 30)
            if chinese
            else f"{row} Anna lives in Ulm. " * (row + 1)
        )
        answer = "上海" if chinese else "Ulm"
        start = context.index(answer)
        qas = [
            {"id": f"{row}-0", "question": "Where? 哪里？", "answers": [{"text": answer, "answer_start": start}]},
            {
                "id": f"{row}-1",
                "question": "And where?",
                "answers": [{"text": answer, "answer_start": start + row % 2}],
            },
            {"id": f"{row}-2", "question": "Who? 谁？", "answers": [{"text": "nobody 无人", "answer_start": 0}]},
            {"id": f"{row}-3", "question": "Why? 为什么？", "answers": [], "is_impossible": True},
        ]
        paragraphs.append({"context": context, "qas": qas})
    return json.dumps({"data": [{"paragraphs": paragraphs}]}, ensure_ascii=False)


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files; the path of their folder if they are splits, and otherwise of the first file."""
    for name, text in files.items():
        content = text.encode()
        (folder / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    is_folder = any(name.startswith("train") for name in files)
    return folder if is_folder else folder / next(iter(files))


SMALLER: dict[str, dict[str, Any]] = {
    "translation": {},
    "tagging": {"max_length": 12},
    "reading": {"max_length": 24, "stride": 4},
}


def ready(type_: str, path: Path, **options: Any) -> DataModule:
    data = TYPES[type_](str(path), **{"batch_size": 4, **SMALLER[type_], **options})
    data.setup()
    return data


def flat(batch: Any) -> list[Any]:
    """Tensors, texts and numbers of a batch, one after the other."""
    if isinstance(batch, list | tuple):
        return [part for parts in batch for part in flat(parts)]
    return [batch]


def assert_alike(one: DataModule, other: DataModule) -> None:
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        batches = [[flat(batch) for batch in getattr(data, loader)()] for data in (one, other)]
        assert batches[0], "nothing to compare"
        for ours, theirs in zip(*batches, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                assert type(a) is type(b)
                assert torch.equal(a, b) and a.dtype == b.dtype if isinstance(a, torch.Tensor) else a == b
    assert one.state_dict() == other.state_dict()
    assert one.notes == other.notes
    for name in (
        one.fingerprint.keys() & other.fingerprint.keys()
    ):  # what is hashed in memory differs from what is hashed as files
        assert one.fingerprint[name] == other.fingerprint[name]


SIDES = [["".join(f"{pair[side]}\n" for pair in part) for side in (0, 1)] for part in (pairs(), pairs(9), pairs(7))]
CASES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "table": ("translation", {"pairs.tsv": table(pairs())}, {}),
    "table with names": (
        "translation",
        {"pairs.tsv": "en\tzh\n" + table(pairs())},
        {"source": "zh", "target": "en", "shared_vocabulary": True},
    ),
    "packed table": ("translation", {"pairs.tsv.gz": table(pairs())}, {"max_length": 5}),
    "csv": ("translation", {"pairs.csv": table(pairs(), ",").replace("No.", "No.\n").replace("\n", "\r\n")}, {}),
    "two files": ("translation", {"text.en": SIDES[0][0] + "\n\n", "text.zh": SIDES[0][1]}, {"target": "zh"}),
    "two packed files": ("translation", {"text.en.gz": SIDES[0][0], "text.zh": SIDES[0][1]}, {"target": "zh"}),
    "folder of two files": (
        "translation",
        {
            f"{split}.{language}": SIDES[part][side]
            for part, split in enumerate(("train", "dev", "test"))
            for side, language in enumerate(("en", "zh"))
        },
        {"source": "en", "target": "zh"},
    ),
    "columns": ("tagging", {"words.conll": columns()}, {}),
    "packed columns": ("tagging", {"words.conll.gz": columns().replace("\n", "\r\n")}, {"tokenizer": "words"}),
    "chinese columns": ("tagging", {"words.bmes": columns(chinese=True)}, {}),
    "json lines": ("tagging", {"names.jsonl": sentences()}, {}),
    "packed json lines": ("tagging", {"names.jsonl.gz": sentences(chinese=True)}, {}),
    "folder of columns": (
        "tagging",
        {"train.conll": columns(), "dev.conll.gz": columns(7), "test.conll": columns(9)},
        {"num_workers": 1},
    ),
    "squad": ("reading", {"book.json": squad()}, {}),
    "chinese squad": ("reading", {"book.json": squad(chinese=True)}, {}),
    "folder of squad": (
        "reading",
        {"train.json": squad(), "dev.json": squad(5, chinese=True), "test.json": squad(6)},
        {"num_workers": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_beyond_memory_gives_the_same_batches(case: str, place: Path, streamed: Any) -> None:
    type_, files, options = CASES[case]
    path = write(place, files)
    held = ready(type_, path, **options)
    assert not cache_files.cache_folder().exists(), "small data needs no files"
    streamed()
    data = ready(type_, path, **options)
    assert [*cache_files.cache_folder().glob("*.jsonl")]
    assert_alike(data, held)
    assert_alike(ready(type_, path, **options), held)  # of the files that are there now


INPUTS = {
    "translation": ("input.txt.gz", "one\n\n二\nthree\n"),
    "tagging": ("input.txt", "Anna lives\n\n王芳住在上海 and so on and so on and so on and so on\nUlm\n"),
    "reading": ("input.json", squad(5).replace("answers", "ignored")),
}


@pytest.mark.parametrize("case", ["table", "chinese columns", "folder of squad"])
def test_a_restored_state_tests_and_predicts_from_files_beyond_memory(case: str, place: Path, streamed: Any) -> None:
    type_, files, _ = CASES[case]
    path = write(place, files)
    name, text = INPUTS[type_]
    state = ready(type_, path).state_dict()
    results: list[list[Any]] = []
    for _ in range(2):
        (place / "input").mkdir(exist_ok=True)
        data = TYPES[type_](str(path), batch_size=4)
        data.load_state_dict(state)
        data.setup_test()
        data.set_input(write(place / "input", {name: text}))
        loaders = data.test_dataloader(), data.predict_dataloader()
        results.append([list(data.predicted_names), *([flat(batch) for batch in loader] for loader in loaders)])
        streamed()
    assert results[0][0] == results[1][0]
    assert len(results[0][0]) == (20 if type_ == "reading" else 3)
    for ours, theirs in zip(flat(results[0][1:]), flat(results[1][1:]), strict=True):
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs


@pytest.mark.parametrize(
    ("type_", "files", "message"),
    [
        ("translation", {"t.tsv": table(pairs(2000)) + "a\n"}, "t.tsv:2201: expected 2 fields"),
        (
            "translation",
            {"t.en": "a\n" * 2000, "t.zh": "一\n" * 1999},
            "t.zh: expected 2000 lines as in t.en, found 1999",
        ),
        ("tagging", {"t.conll": columns(2000) + "Ulm\n"}, ": expected a word and its tag, found only Ulm"),
        ("tagging", {"t.jsonl": sentences(100) + "{\n"}, "t.jsonl:101: not JSON"),
        ("reading", {"t.json": squad()[:-1]}, "t.json:1: not JSON"),
    ],
    ids=["ragged", "not parallel", "no tag", "not json lines", "not json"],
)
def test_a_file_beyond_memory_that_cannot_be_used_is_refused(
    type_: str, files: dict[str, str], message: str, place: Path, streamed: Any, refused: Any
) -> None:
    path = write(place, files)
    streamed()
    for _ in range(2):  # what was read before the fault is not taken for all of it
        with refused(message):
            ready(type_, path, **({"target": "zh"} if len(files) > 1 else {}))


def test_changed_files_and_options_are_read_again(place: Path, streamed: Any) -> None:
    streamed()
    path = write(place, {"pairs.tsv": table(pairs())})
    first, reverse = ready("translation", path), ready("translation", path, source="1", target="0")
    assert isinstance(first, Translation)
    assert isinstance(reverse, Translation)
    assert [*reverse.pairs] == [(target, source) for source, target in first.pairs]
    changed = ready("translation", write(place, {"pairs.tsv": table(pairs(30))}))
    assert isinstance(changed, Translation)
    assert len(changed.pairs) == 33


def test_rows_are_read_as_they_were_written(tmp_path: Path, streamed: Any) -> None:
    rows = ["", "a\nb", "中文 \u2028 😀", "\ud800 half a letter"]
    parts = [stored_rows(part, [str(index)], from_json=str) for index, part in enumerate([rows, [], rows[1:]])]
    everything = concatenated(parts)
    assert isinstance(everything, StoredRows)
    assert [*everything] == [everything[index] for index in range(len(everything))] == rows + rows[1:]
    assert everything[-1] == rows[-1]
    with pytest.raises(IndexError):
        everything[len(everything)]

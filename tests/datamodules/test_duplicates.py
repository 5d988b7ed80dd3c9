"""The same example in training and in testing is found, counted and told of (fault 23), in every kind of data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules.base import DataModule
from datamodules.corpus import Corpus
from datamodules.graphs import GraphClasses
from datamodules.images import Images
from datamodules.reading import Reading
from datamodules.tabular import TabularClassification, TabularRegression
from datamodules.tagging import Tagging
from datamodules.text import TextClassification
from datamodules.translation import Translation


def rows(folder: Path, twins: int) -> Path:
    lines = {"train": [f"{n}.5,红,{'ab'[n % 2]}" for n in range(40)], "test": ["0.25,绿,a", "1.25,绿,b"]}
    lines["val"] = ["-1,蓝,a", "-2,蓝,b"]
    lines["test"] += lines["train"][:twins]
    for split, part in lines.items():
        (folder / f"{split}.csv").write_text("\n".join(["大小,颜色,类", *part]) + "\n", encoding="utf-8")
    return folder


def numbers(folder: Path, twins: int) -> Path:
    lines = [f"{n}.5,,{n}" for n in range(40)]
    (folder / "train.csv").write_text("\n".join(["a,b,c", *lines]) + "\n", encoding="utf-8")
    (folder / "val.csv").write_text("a,b,c\n-1,,1\n-2,,1\n", encoding="utf-8")
    (folder / "test.csv").write_text("\n".join(["a,b,c", "7,,1", "8,,1", *lines[:twins]]) + "\n", encoding="utf-8")
    return folder


def photos(folder: Path, twins: int) -> Path:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (50, 9, 9, 3), np.uint8)
    pixels[44 : 44 + twins] = pixels[:twins]
    for number in range(44 + twins):
        split = "train" if number < 40 else "val" if number < 42 else "test"
        file = folder / split / "猫狗"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).save(file)
    return folder


def graphs(folder: Path, twins: int) -> Path:
    """Paths of graphs that grow by a node; the last ones repeat the first."""
    sizes = [n + 2 for n in range(60)] + [n + 2 for n in range(twins)]
    edges, indicator, start = [], [], 1
    for graph, size in enumerate(sizes, start=1):
        edges += [f"{start + n}, {start + n + 1}" for n in range(size - 1)]
        indicator += [str(graph)] * size
        start += size
    (folder / "G_A.txt").write_text("\n".join(edges))
    (folder / "G_graph_indicator.txt").write_text("\n".join(indicator))
    (folder / "G_graph_labels.txt").write_text("\n".join(str(n % 2) for n in range(len(sizes))))
    return folder


def reviews(folder: Path, twins: int) -> Path:
    train = [f"第 {n} 条\t{'好坏'[n % 2]}" for n in range(40)]
    (folder / "train.tsv").write_text("\n".join(train), encoding="utf-8")
    (folder / "val.tsv").write_text("old\t好\n旧\t坏", encoding="utf-8")
    (folder / "test.tsv").write_text("\n".join(["new\t好", "新\t坏", *train[:twins]]), encoding="utf-8")
    return folder


def names(folder: Path, twins: int) -> Path:
    train = [f"安娜 B-person\n住 O\n{n} O\n" for n in range(40)]
    (folder / "train.bio").write_text("\n".join(train), encoding="utf-8")
    (folder / "val.bio").write_text("Paul B-person\nsang O\n", encoding="utf-8")
    (folder / "test.bio").write_text("\n".join(["Anna B-person\nsang O\n"] * 2 + train[:twins]), encoding="utf-8")
    return folder


def questions(folder: Path, twins: int) -> Path:
    def paragraph(number: int | str) -> dict[str, Any]:
        context = f"The answer is {number}."
        answer = {"text": str(number), "answer_start": 14}
        return {"context": context, "qas": [{"question": "What is the answer?", "answers": [answer]}]}

    train = [paragraph(number) for number in range(40)]
    splits = {"train": train, "val": [paragraph("z")], "test": [paragraph("x"), paragraph("y"), *train[:twins]]}
    for split, part in splits.items():
        (folder / f"{split}.json").write_text(json.dumps({"data": [{"paragraphs": part}]}))
    return folder


def pairs(folder: Path, twins: int) -> Path:
    train = [f"sentence {n}\t句子{n}" for n in range(40)]
    (folder / "train.tsv").write_text("\n".join(train), encoding="utf-8")
    (folder / "val.tsv").write_text("three\t三", encoding="utf-8")
    (folder / "test.tsv").write_text("\n".join(["one\t一", "two\t二", *train[:twins]]), encoding="utf-8")
    return folder


def documents(folder: Path, twins: int) -> Path:
    train = [json.dumps({"text": f"第 {n} 篇文章。" * 5}) for n in range(40)]
    other = [json.dumps({"text": f"Text {n} of another split. " * 3}) for n in range(4)]
    for split, part in {"train": train, "val": other[:2], "test": other[2:] + train[:twins]}.items():
        (folder / f"{split}.jsonl").write_text("\n".join(part))
    return folder


KINDS: list[tuple[type[DataModule], Callable[[Path, int], Path]]] = [
    (TabularClassification, rows),
    (TabularRegression, numbers),
    (Images, photos),
    (TextClassification, reviews),
    (Tagging, names),
    (Reading, questions),
    (Translation, pairs),
    (Corpus, documents),
]


@pytest.mark.parametrize("twins", [0, 3])
@pytest.mark.parametrize(("kind", "make"), KINDS, ids=lambda value: getattr(value, "__name__", ""))
def test_is_told_of(kind: Any, make: Any, twins: int, tmp_path: Path, capsys: Any) -> None:
    data = kind(str(make(tmp_path, twins)), batch_size=2)
    data.setup()
    told = [line for line in capsys.readouterr().err.splitlines() if "in the training split, too" in line]
    expected = f"note: {tmp_path}: 3 of the 5 {data.hashed} of the test split are in the training split, too"
    assert told == ([expected] if twins else [])


@pytest.mark.parametrize("twins", [0, 10])
def test_is_told_of_graphs(twins: int, tmp_path: Path, capsys: Any) -> None:
    data = GraphClasses(str(graphs(tmp_path, twins)), batch_size=2)
    data.setup()
    splits = {name: set(index.tolist()) for name, index in data.splits._asdict().items()}
    twin = {60 + number: number for number in range(twins)} | {number: 60 + number for number in range(twins)}
    told = capsys.readouterr().err
    for split in ("val", "test"):
        expected = sum(twin.get(number) in splits["train"] for number in splits[split])
        line = f"{expected} of the {len(splits[split])} examples of the {split} split are in the training split, too"
        assert (line in told) == (expected > 0)
    assert ("in the training split" in told) == (twins > 0)


def test_an_image_listed_twice_is_told_of(tmp_path: Path, capsys: Any) -> None:
    photos(tmp_path, 0)
    files = sorted(tmp_path.glob("train/*/*.png"))
    lines = [f"{file.relative_to(tmp_path)},{file.parent.name},train" for file in files]
    lines += [f"{file.relative_to(tmp_path)},{file.parent.name},test" for file in files[:2]]
    lines += [f"{file.relative_to(tmp_path)},{file.parent.name},val" for file in sorted(tmp_path.glob("val/*/*.png"))]
    (tmp_path / "photos.csv").write_text("\n".join(lines), encoding="utf-8")
    Images(str(tmp_path / "photos.csv"), batch_size=2).setup()
    assert "2 of the 2 examples of the test split are in the training split, too" in capsys.readouterr().err

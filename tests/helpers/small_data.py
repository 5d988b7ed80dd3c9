"""Small files of every kind of data, with labels that have no order among numbers or more than one spelling."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datamodules.base import DataModule
from datamodules.corpus import Corpus
from datamodules.generation import ImagesToDraw
from datamodules.graphs import GraphClasses
from datamodules.images import Images
from datamodules.nodes import Nodes
from datamodules.reading import Reading
from datamodules.series import Series
from datamodules.tabular import TabularClassification, TabularRegression
from datamodules.tagging import Tagging
from datamodules.text import TextClassification
from datamodules.translation import Translation
from scripts.cli.command_line.classes import class_at
from scripts.cli.command_line.recipes import read_recipe, recipe_names

AWKWARD = ["nan", "NaN", "-nan", "1", "01", "1.0", "inf", "-inf", "-0", "0", "1e5", "1_000", "１２", "12", "猫"]
IN_A_TABLE = ["+nan", "NAN", "-nan", *AWKWARD[3:]]  # where `nan` means that the value is missing
SIZE = 10 * len(AWKWARD)


def rows(folder: Path) -> Path:
    lines = [f"{number}.5,{'红绿蓝'[number % 3]},{IN_A_TABLE[number % len(AWKWARD)]}" for number in range(SIZE)]
    return written(folder / "rows.csv", "age,colour,label", *lines)


def numbers(folder: Path) -> Path:
    return written(folder / "numbers.csv", "age,height,weight", *(f"{n},{n * n},{n / 7}" for n in range(60)))


def series(folder: Path) -> Path:
    lines = (f"{n},{n * n % 50},{n % 7}" for n in range(200))
    return written(folder / "series.csv", "wind,rain,power", *lines)


def photos(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE, 4, 4, 3), np.uint8)
    for number, picture in enumerate(pixels):
        file = folder / "photos" / AWKWARD[number % len(AWKWARD)] / f"{number:03}.bmp"  # all of one size
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return folder / "photos"


def texts(folder: Path) -> Path:
    words = ["red", "green", "blue", "你", "好", "tall", "short", "wide"]
    lines = (
        f"{words[n % 8]} {words[n * n % 7]}ish {n}\t{AWKWARD[n % len(AWKWARD)]}" for n in range(SIZE)
    )  # many words are seen equally often
    return written(folder / "texts.tsv", *lines)


def sentences(folder: Path) -> Path:
    types = ["nan", "1", "01", "人"]
    parts = (f"Anna{n % 9} B-{types[n % 4]}\nlives O\nin O\nPlace{n % 7} B-{types[n % 3]}\n" for n in range(80))
    return written(folder / "sentences.bio", *parts)


def questions(folder: Path) -> Path:
    def paragraph(number: int) -> dict[str, Any]:
        answer = {"text": str(number), "answer_start": 14}
        asked = {"question": f"What is answer {number}?", "answers": [answer]}
        return {"context": f"The answer is {number}.", "qas": [asked]}

    content = json.dumps({"data": [{"paragraphs": [paragraph(number) for number in range(60)]}]})
    return written(folder / "questions.json", content)


def pairs(folder: Path) -> Path:
    return written(folder / "pairs.tsv", *(f"sentence {n % 50} here\t句子{n}在这里" for n in range(70)))


def stories(folder: Path) -> Path:
    """Texts in which many pairs of letters are equally frequent."""
    (folder / "stories").mkdir()
    written(folder / "stories" / "rows.jsonl", *(json.dumps({"text": f"story {n}: 从前有 {n * n}"}) for n in range(60)))
    for number in range(20):
        written(folder / "stories" / f"{number}.txt", *(f"{word} and {number}" for word in AWKWARD))
    return folder / "stories"


def graphs(folder: Path) -> Path:
    """Rings of three to seven nodes."""
    sizes = [3 + graph % 5 for graph in range(60)]
    edges, start = [], 1
    for size in sizes:
        ring = [(start + node, start + (node + 1) % size) for node in range(size)]
        edges += [f"{one}, {other}" for pair in ring for one, other in (pair, pair[::-1])]
        start += size
    owners = [str(graph) for graph, size in enumerate(sizes, 1) for _ in range(size)]
    (folder / "rings").mkdir()
    parts = {
        "A": edges,
        "graph_indicator": owners,
        "graph_labels": [str((-1, 1, 10)[graph % 3]) for graph in range(60)],
        "node_labels": [str(node % 4) for node in range(len(owners))],
        "node_attributes": [f"{node % 6}, {node / 8}" for node in range(len(owners))],
        "edge_labels": [str(edge % 3) for edge in range(len(edges))],
        "edge_attributes": [f"{edge % 5}" for edge in range(len(edges))],
    }
    for part, lines in parts.items():
        written(folder / "rings" / f"rings_{part}.txt", *lines)
    return folder / "rings"


def network(folder: Path) -> Path:
    lines = (f"n{n},{n % 5},{'红绿'[n % 2]},{IN_A_TABLE[n % len(AWKWARD)]}" for n in range(SIZE))
    (folder / "network").mkdir()
    written(folder / "network" / "nodes.csv", "id,age,colour,label", *lines)
    written(folder / "network" / "edges.csv", "one,other", *(f"n{n},n{n * 7 % SIZE}" for n in range(1, SIZE)))
    return folder / "network"


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Case:
    """A kind of data.

    Args:
        kind: the datamodule.
        make: writes its files into a folder and says what to give as `dataset`.
        options: of the datamodule.
        embedded: the data set in place of files.
    """

    kind: type[DataModule]
    make: Callable[[Path], Path]
    options: dict[str, Any] = field(default_factory=dict)
    embedded: str | None = None

    def ready(self, path: Path, **options: Any) -> DataModule:
        data = self.kind(self.embedded or str(path), batch_size=2, **self.options, **options)
        data.setup("fit")
        return data


CASES = {
    "rows": Case(TabularClassification, rows),
    "numbers": Case(TabularRegression, numbers),
    "series": Case(Series, series, {"covariates": ["wind"], "window": 5, "horizon": 2}),
    "photos": Case(Images, photos),
    "drawings": Case(ImagesToDraw, photos),
    "texts": Case(TextClassification, texts),
    "word pieces": Case(TextClassification, texts, {"tokenizer": "wordpiece", "vocab_size": 40}),
    "sentences": Case(Tagging, sentences),
    "questions": Case(Reading, questions, {"vocab_size": 60}),
    "pairs": Case(Translation, pairs, {"vocab_size": 60}),
    "stories": Case(Corpus, stories, {"vocab_size": 300, "window": 16}),
    "graphs": Case(GraphClasses, graphs),
    "network": Case(Nodes, network),
}
for recipe in map(read_recipe, recipe_names()):  # a datamodule of which there are no files here
    kind = class_at(recipe["data"]["class_path"])
    if kind not in {case.kind for case in CASES.values()}:
        CASES[kind.__name__] = Case(kind, lambda folder: folder, embedded=recipe["data"]["init_args"]["dataset"])

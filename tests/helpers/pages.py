"""What the README and the pages of docs/ say: their commands, their code, and the files that the commands name."""

import json
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import BertConfig, BertModel

from datamodules.storage.known_datasets import published_datasets
from datamodules.tokenizing.tokens import new_tokenizer
from scripts.cli.command_line.recipes import ROOT, read_recipe

# Each page in English and in Chinese.
PAGES = [
    (ROOT / "README.md", ROOT / "README.zh-CN.md"),
    *((page, ROOT / "docs" / "zh" / page.name) for page in sorted((ROOT / "docs" / "en").glob("*.md"))),
]
READMES = PAGES[0]


def read(page: Path) -> str:
    """The page's text."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The content of its code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


def commands(*pages: Path) -> list[str]:
    """The lines of the pages' shell blocks, each once."""
    lines = [line for page in pages for block in blocks(page, "bash") for line in block.splitlines() if line.strip()]
    return list(dict.fromkeys(lines))


def code_by_section(page: Path) -> list[tuple[list[str], list[str]]]:
    """The code blocks of each section, and the code within its text in any order, without what is translated."""
    found = []
    for section in re.split(r"^## ", read(page), flags=re.MULTILINE):
        fenced = re.findall(r"```.*?```", section, re.DOTALL)
        spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", section, flags=re.DOTALL))
        found.append((fenced, sorted(re.sub(r"<\w+>", "<>", " ".join(span.split())) for span in spans)))
    return found


def published_for(model: str) -> Collection[str]:
    """The names of the data sets that the data module of a model's recipe downloads."""
    return published_datasets(read_recipe(model)["data"]["class_path"])


def write_inputs(place: Path) -> None:
    """Write the files that the commands name into a folder."""
    random = np.random.default_rng(0)
    write_images(place, random)
    rows = [f"{random.normal():.2f},{index % 7},{'ab'[index % 2]}" for index in range(100)]
    (place / "rows.csv").write_text("size,count,kind\n" + "\n".join(rows) + "\n")
    days = [f"2024-01-01,{10 + index % 7 + random.normal():.2f}" for index in range(400)]
    (place / "sales.csv").write_text("day,sold\n" + "\n".join(days) + "\n")
    write_texts(place)
    write_graphs(place)
    write_pretrained(place / "my_bert")


def write_images(place: Path, random: np.random.Generator) -> None:
    """A folder of images per class, and a list of them."""
    for index in range(60):
        name = ("cat", "dog", "鸟")[index % 3]
        size = (40, 30 + index % 5, 3)
        (place / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, size, np.uint8)).save(place / "photos" / name / f"{index}.png")
    files = sorted(place.glob("photos/*/*.png"))
    (place / "photos.csv").write_text(
        "".join(f"{file.relative_to(place)},{file.parent.name}\n" for file in files), encoding="utf-8"
    )


def write_texts(place: Path) -> None:
    """Reviews, named entities, questions and sentence pairs, in both languages."""
    words = ["good", "bad", "很好", "很差"]
    reviews = [f"{words[index % 4]} {index},{'ab'[index % 2]}" for index in range(80)]
    (place / "reviews.csv").write_text("text,label\n" + "\n".join(reviews) + "\n", encoding="utf-8")
    (place / "names.bio").write_text("Anna B-person\nsang O\n\n乌 B-place\n城 I-place\n大 O\n\n" * 40, encoding="utf-8")
    paragraphs = []
    for index in range(40):
        answer = {"text": f"{index}", "answer_start": 10}
        question = {"question": "What is it? 是什么？", "answers": [answer]}
        paragraphs.append({"context": f"Its value {index} 是它的值。", "qas": [question]})
    content = {"data": [{"paragraphs": paragraphs}]}
    (place / "questions.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    pairs = [(f"number {index} and {index * 7 % 11}", f"数字 {index} 和 {index * 7 % 11}") for index in range(80)]
    (place / "pairs.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")
    (place / "sentences.txt").write_text("number 3\nnumber 5\n")
    (place / "corpus").mkdir()
    for language, side in (("en", 0), ("zh", 1)):
        lines = "".join(f"{pair[side]}\n" for pair in pairs)
        (place / "corpus" / f"train.{language}").write_text(lines, encoding="utf-8")


def write_graphs(place: Path) -> None:
    """Forty rings in TUDataset's layout, and one graph of labelled nodes."""
    molecules, friends = place / "molecules", place / "friends"
    molecules.mkdir()
    friends.mkdir()
    sizes = [4 + index % 2 for index in range(40)]
    starts = np.cumsum([1, *sizes])
    edges = [
        (start + node, start + (node + step) % size)
        for start, size in zip(starts, sizes, strict=False)
        for node in range(size)
        for step in (1, -1)
    ]
    (molecules / "rings_A.txt").write_text("".join(f"{source}, {target}\n" for source, target in edges))
    graphs = [f"{graph}\n" * size for graph, size in enumerate(sizes, start=1)]
    (molecules / "rings_graph_indicator.txt").write_text("".join(graphs))
    (molecules / "rings_graph_labels.txt").write_text("".join(f"{size}\n" for size in sizes))
    (friends / "nodes.csv").write_text("id,label\n" + "".join(f"f{node},{'xy'[node % 2]}\n" for node in range(34)))
    (friends / "edges.csv").write_text(
        "from,to\n" + "".join(f"f{node},f{(node + step) % 34}\n" for node in range(34) for step in (1, 3))
    )


def write_pretrained(folder: Path) -> None:
    """A model's folder as transformers writes it."""
    tokenizer = new_tokenizer("wordpiece", ["good bad 很 好 差"] * 3, vocab_size=60)
    config = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")

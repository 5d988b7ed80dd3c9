"""Write examples/data/: a small sample of each kind of file that `--data` and `--input` read, from a fixed seed.

python examples/write_data.py            into examples/data
python examples/write_data.py FOLDER     into another folder

Nothing in it is anybody's data: the texts and the graphs are those of datamodules/synthetic, in English and Chinese.
"""

import argparse
import csv
import json
import math
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image, ImageDraw

from datamodules.files.entities import Entity
from datamodules.synthetic.conversations import generated_conversations, generated_pairs
from datamodules.synthetic.exercises import generated_exercises
from datamodules.synthetic.facts import generated_facts
from datamodules.synthetic.motifs import generated_motifs
from datamodules.synthetic.names import generated_names
from datamodules.synthetic.phrases import phrases
from datamodules.synthetic.reviews import generated_reviews

DATA = Path(__file__).parent / "data"
SEED = 14


def write_rows(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a header; an empty cell where a value is None."""
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows([header, *rows])


def write_lines(file: Path, lines: Iterable[object]) -> None:
    """A line for each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def write_tables(folder: Path) -> None:
    """Fruit, whose kind or weight is predicted, and transactions, of which one in twenty-five is a fraud."""
    chance = random.Random(SEED)
    kinds = {"apple": (7.5, 0.9), "pear": (7.0, 1.1), "柚子": (12.5, 0.75)}
    fruit = []
    for index in range(240):
        kind = [*kinds][index % len(kinds)]
        size, density = kinds[kind]
        diameter = chance.gauss(size, 0.8)
        weight = density * diameter**3 / 2 * chance.gauss(1, 0.06)
        colour = chance.choice({"apple": ("red", "green"), "pear": ("green", "yellow")}.get(kind, ("yellow",)))
        market = chance.choice(("北京", "上海", "London"))
        missing = chance.random() < 0.03
        fruit.append((round(diameter, 1), None if missing else colour, market, round(weight), kind))
    write_rows(folder / "fruit.csv", ("diameter_cm", "colour", "market", "weight_g", "kind"), fruit)

    transactions = []
    for index in range(2000):
        fraud = index % 25 == 0
        amount = math.exp(chance.gauss(4.6 if fraud else 3.6, 0.9))
        hour = round(chance.gauss(3, 4) if fraud else chance.gauss(14, 4)) % 24
        days = int(chance.expovariate(1 / 120 if fraud else 1 / 700))
        transactions.append((f"{amount:.2f}", hour, days, chance.choice(("card", "app")), "yes" if fraud else "no"))
    chance.shuffle(transactions)
    write_rows(folder / "transactions.csv", ("amount", "hour", "account_days", "channel", "fraud"), transactions)


def write_series(folder: Path) -> None:
    """What a shop sells in a day: a trend, a week, a year, and noise."""
    chance = random.Random(SEED)
    rows = []
    for index in range(730):
        day = date(2022, 1, 1) + timedelta(days=index)
        level = 60 + 0.02 * index + 12 * math.sin(2 * math.pi * index / 365.25)
        week = (0, -4, -6, -2, 6, 20, 14)[day.weekday()]
        rows.append((day.isoformat(), round(level + week + chance.gauss(0, 4))))
    write_rows(folder / "sales.csv", ("day", "sold"), rows)


def write_images(folder: Path) -> None:
    """Grey shapes in a folder for each class, and a list of them."""
    chance = random.Random(SEED)
    listed = []
    for index in range(120):
        kind = ("circle", "square", "三角形")[index % 3]
        file = folder / "shapes" / kind / f"{index:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        large = Image.new("L", (128, 128), chance.randrange(0, 60))  # drawn large, for smooth edges
        radius, turn = chance.randrange(28, 52), chance.uniform(-15, 15)
        x, y = chance.randrange(radius, 128 - radius), chance.randrange(radius, 128 - radius)
        shade = chance.randrange(150, 256)
        draw = ImageDraw.Draw(large)
        if kind == "circle":
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), shade)
        else:
            draw.regular_polygon((x, y, radius), 4 if kind == "square" else 3, turn, shade)
        large.resize((32, 32), Image.Resampling.BOX).point(lambda grey: grey & 0xF0).save(file, optimize=True)
        listed.append((file.relative_to(folder).as_posix(), kind))
    write_rows(folder / "shapes.csv", ("image", "label"), listed)


def tagged(text: str, entities: Sequence[Entity]) -> list[str]:
    """A sentence's lines in CoNLL's columns: a word, or a Chinese character, and its tag in BIO."""
    lines, position = [], 0
    is_chinese = any("\u4e00" <= character <= "\u9fff" for character in text)
    for word in list(text) if is_chinese else text.replace(".", " .").replace(",", " ,").replace("?", " ?").split():
        position = text.index(word, position)
        inside = [entity for entity in entities if entity.start <= position < entity.end]
        tag = f"{'B' if inside[0].start == position else 'I'}-{inside[0].type}" if inside else "O"
        lines.append(f"{word}\t{tag}")
        position += len(word)
    return lines


def write_texts(folder: Path) -> None:
    """Reviews, named entities, questions, pairs of sentences, and sentences to translate."""
    texts, labels = generated_reviews(400, SEED)
    names = {"negative": "bad", "positive": "good"}  # other classes than those of the data that bert_classifier has
    rows = zip(texts, (names[label] for label in labels), strict=True)
    write_rows(folder / "reviews.csv", ("text", "label"), rows)
    sentences, _ = generated_names(200, SEED)
    write_lines(folder / "entities.bio", (line for one in sentences for line in [*tagged(one.text, one.entities), ""]))

    book, _ = generated_facts(40, SEED)
    paragraphs = []
    for index, context in enumerate(book.contexts):
        questions = [question for question in book.questions if question.context == index]
        asked = [
            {
                "id": question.name,
                "question": question.text,
                "answers": [{"text": text, "answer_start": question.start} for text in question.answers],
                "is_impossible": not question.answers,
            }
            for question in questions
        ]
        paragraphs.append({"context": context, "qas": asked})
    content = {"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]}
    write_lines(folder / "questions.json", [json.dumps(content, ensure_ascii=False, indent=1)])

    pairs = phrases(600, SEED)
    write_lines(folder / "pairs.tsv", (f"{pair.source}\t{pair.target}" for pair in pairs[:500]))
    write_lines(folder / "sentences.txt", (pair.source for pair in pairs[-8:]))
    for language, side in (("en", 0), ("zh", 1)):
        write_lines(folder / "corpus" / f"train.{language}", (pair[side] for pair in pairs[:400]))
        write_lines(folder / "corpus" / f"val.{language}", (pair[side] for pair in pairs[400:500]))
        write_lines(folder / "corpus" / f"test.{language}", (pair[side] for pair in pairs[500:]))


def write_graphs(folder: Path) -> None:
    """Graphs in TUDataset's layout, and one graph of friends, whose clubs are predicted."""
    store, labels = generated_motifs(100, SEED)
    molecules = folder / "molecules"
    starts, edge_starts = store.node_start.tolist(), store.edge_start.tolist()
    edges = []
    for graph, (begin, end) in enumerate(pairwise(edge_starts)):
        for source, target in store.edge_index[:, begin:end].T.tolist():
            edges.append(f"{source + starts[graph] + 1}, {target + starts[graph] + 1}")
    write_lines(molecules / "molecules_A.txt", edges)
    owners = [graph for graph in range(len(labels)) for _ in range(starts[graph + 1] - starts[graph])]
    write_lines(molecules / "molecules_graph_indicator.txt", (graph + 1 for graph in owners))
    write_lines(molecules / "molecules_graph_labels.txt", labels)
    write_lines(molecules / "molecules_node_labels.txt", store.node_attributes.argmax(1).tolist())

    chance = random.Random(SEED)
    clubs = ("chess", "tennis", "合唱团")
    people = [(f"p{index:02d}", clubs[index % 3], chance.randrange(18, 70)) for index in range(72)]
    friends = [
        (one[0], other[0])
        for place, one in enumerate(people)
        for other in people[place + 1 :]
        if chance.random() < (0.2 if one[1] == other[1] else 0.015)
    ]
    (folder / "friends").mkdir(parents=True, exist_ok=True)
    write_rows(folder / "friends" / "nodes.csv", ("id", "label", "age"), people)
    write_rows(folder / "friends" / "edges.csv", ("from", "to"), friends)


def write_language(folder: Path) -> None:
    """Texts to pretrain on, conversations, and preferences."""
    texts, _ = generated_exercises(600, SEED)
    (folder / "stories.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8", newline="\n")
    conversations, _ = generated_conversations(200, SEED)
    write_lines(folder / "chat.jsonl", (as_json({"messages": each.messages}) for each in conversations))
    pairs, _ = generated_pairs(120, SEED)
    rows = ({"messages": each.asked, "chosen": each.chosen, "rejected": each.rejected} for each in pairs)
    write_lines(folder / "preferences.jsonl", map(as_json, rows))


def as_json(row: Mapping[str, object]) -> str:
    """A line of JSON."""
    return json.dumps(row, ensure_ascii=False)


def write_data(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(folder)
    write_series(folder)
    write_images(folder)
    write_texts(folder)
    write_graphs(folder)
    write_language(folder)
    write_lines(folder / "seeds.txt", range(8))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=DATA)
    write_data(parser.parse_args().folder)

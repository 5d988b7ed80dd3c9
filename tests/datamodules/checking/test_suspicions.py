"""What a check of data finds: each fault that is planted, and none in data without one."""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules.base import DataModule
from datamodules.checking.neighbours import nearest, text_vectors
from datamodules.checking.suspicions import of_classes
from datamodules.images import Images
from datamodules.tabular import TabularClassification, TabularRegression
from datamodules.tagging import Tagging
from datamodules.text import TextClassification

Row = list[Any]


def written(file: Path, names: list[str], rows: list[Row]) -> str:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([names, *rows])
    return str(file)


def found_in(data: DataModule) -> str:
    data.setup()
    return "\n".join(data.suspicions())


def points(size: int = 300) -> list[Row]:
    """Two features, of which the sum has the sign that is the class."""
    draw = random.Random(0)
    rows = [[round(draw.gauss(0, 1), 4), round(draw.gauss(0, 1), 4)] for _ in range(size)]
    return [[a, b, "yes" if a + b > 0 else "no"] for a, b in rows if abs(a + b) > 0.3]


NAMES = ["a", "b", "kind"]


def test_nothing_is_found_in_data_without_a_fault(tmp_path: Path) -> None:
    assert found_in(TabularClassification(written(tmp_path / "t.csv", NAMES, points()))) == ""


def test_columns_that_give_the_class_away_are_named(tmp_path: Path) -> None:
    rows = [[{"yes": 7, "no": 3}[kind], f"code {kind}", a, b, kind] for a, b, kind in points()]
    rows[5][0] = 3
    found = found_in(TabularClassification(written(tmp_path / "t.csv", ["number", "text", *NAMES], rows)))
    assert "column number gives the target kind away" in found
    assert "column text gives the target kind away: alone it tells 100.0% of it" in found
    assert "column a" not in found
    data = TabularClassification(str(tmp_path / "t.csv"), ignore=["number", "text"])
    assert "away" not in found_in(data)


@pytest.mark.parametrize(
    ("tells", "said"),
    [
        (lambda a, b: 1.1 * a + 3, "column a gives the target y away"),
        (lambda a, b: a**3, "column a gives the target y away"),
        (lambda a, b: a + 2 * b, "y is a weighted sum of a, b"),
        (lambda a, b: a * b + a, ""),
    ],
)
def test_columns_that_give_a_number_away_are_named(
    tells: Callable[[float, float], float], said: str, tmp_path: Path
) -> None:
    rows = [[a, b, tells(a, b)] for a, b, _ in points()]
    found = found_in(TabularRegression(written(tmp_path / "t.csv", ["a", "b", "y"], rows)))
    assert said in found if said else not found


def test_a_label_that_its_neighbours_contradict_is_found_with_its_line(tmp_path: Path) -> None:
    rows = points()
    row = max(range(len(rows)), key=lambda index: sum(rows[index][:2]))
    rows[row][2] = "no"
    found = found_in(TabularClassification(written(tmp_path / "t.csv", NAMES, rows)))
    assert f"labels that may be wrong: 1 of {len(rows)} examples" in found
    assert f"t.csv:{row + 2} is no, these are yes" in found


def test_the_line_of_a_row_is_that_of_its_file(tmp_path: Path) -> None:
    rows = [[a, b, f'two\nlines "{index}"', kind] for index, (a, b, kind) in enumerate(points())]
    rows[20] = [*rows[19][:3], {"yes": "no", "no": "yes"}[rows[19][3]]]
    names = ["a", "b", "text", "kind"]
    (tmp_path / "t.csv").write_text("a title\n\n", encoding="utf-8")
    with (tmp_path / "t.csv").open("a", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([names, *rows[:10], names, *rows[10:]])
    found = found_in(TabularClassification(str(tmp_path / "t.csv")))
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines, 1) if line.startswith(f"{rows[19][0]},{rows[19][1]}"))
    assert f"t.csv:{first} is {rows[19][3]} and t.csv:{first + 2} is {rows[20][3]}" in found


def test_rows_that_differ_in_an_identifier_alone_are_duplicates(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    rows = points()
    train = [[f"x{index:03}", *row] for index, row in enumerate(rows[:200])]
    test = [[f"y{index:03}", *row] for index, row in enumerate(rows[200:])]
    test[3] = ["y003", *rows[77]]
    for split, part in {"train": train, "test": test}.items():
        written(tmp_path / "d" / f"{split}.csv", ["customer_id", *NAMES], part)
    found = found_in(TabularClassification(str(tmp_path / "d")))
    assert f"likely duplicates: 1 of {len(test)} examples of the test split" in found
    assert "test.csv:5 and train.csv:79" in found


def test_rows_of_other_names_are_no_duplicates(tmp_path: Path) -> None:
    rows = [[f"Ms {index}", index % 3, index % 2] for index in range(300)]
    assert found_in(TabularClassification(written(tmp_path / "t.csv", ["name", "a", "b"], rows))) == ""


@pytest.mark.parametrize("name", ["id", "PassengerId", "row", "编号"])
def test_an_identifier_among_the_features_is_told(name: str, tmp_path: Path) -> None:
    rows = [[index, *row] for index, row in enumerate(points(), 1)]
    found = found_in(TabularClassification(written(tmp_path / "t.csv", [name, *NAMES], rows)))
    assert f"column {name} identifies the rows" in found


SUBJECTS = {
    "sport": ["goal", "match", "team", "win", "coach", "ball"],
    "food": ["soup", "bread", "cook", "salt", "oven", "rice"],
}


def texts(size: int = 240) -> list[Row]:
    draw = random.Random(1)
    rows = []
    for index in range(size):
        subject = ["sport", "food"][index % 2]
        words = draw.choices(SUBJECTS[subject], k=6) + draw.choices(["the", "a", "was", "and", "today"], k=4)
        rows.append([" ".join([*words, f"number{index}", f"word{draw.randrange(10**6)}"]), subject])
    return rows


def test_texts_with_a_word_changed_are_duplicates(tmp_path: Path) -> None:
    rows = [[f"{text} " * 3, label] for text, label in texts()]
    (tmp_path / "d").mkdir()
    written(tmp_path / "d" / "train.csv", ["text", "label"], rows[:200])
    changed = rows[10][0].replace("number10", "number 10", 1).upper()
    written(tmp_path / "d" / "test.csv", ["text", "label"], [*rows[200:], [changed, rows[10][1]]])
    found = found_in(TextClassification(str(tmp_path / "d")))
    assert "1 of 41 examples of the test split" in found
    assert "test.csv:42 and train.csv:12" in found


def test_a_text_of_the_other_class_is_found(tmp_path: Path) -> None:
    rows = texts()
    rows[6][1] = "food"
    found = found_in(TextClassification(written(tmp_path / "t.csv", ["text", "label"], rows)))
    assert "t.csv:8 is food, these are sport" in found


def test_texts_that_contain_their_class_are_told(tmp_path: Path) -> None:
    rows = [[f"[{label.upper()}] {text}", label] for text, label in texts()]
    found = found_in(TextClassification(written(tmp_path / "t.csv", ["text", "label"], rows)))
    assert "texts contain the name of their class" in found
    assert "contain" not in found_in(TextClassification(written(tmp_path / "t.csv", ["text", "label"], texts())))


def pictures(folder: Path, sizes: dict[str, int]) -> None:
    draw = np.random.default_rng(0)
    for label, size in sizes.items():
        (folder / label).mkdir(parents=True)
        for index in range(60):
            pixels = draw.integers(0, 256, (12, 12), np.uint8)
            pixels[:, :6] //= 1 + 2 * (label == "cat")
            Image.fromarray(pixels).resize((size, size)).save(folder / label / f"{index}.png")


def test_pictures_that_were_saved_again_are_duplicates(tmp_path: Path) -> None:
    pictures(tmp_path / "p" / "train", {"cat": 24, "dog": 24})
    pictures(tmp_path / "p" / "test", {"cat": 24, "dog": 24})
    for file in (tmp_path / "p" / "test").glob("*/*.png"):
        with Image.open(file) as image:
            image.transpose(Image.Transpose.ROTATE_90).save(file)
    with Image.open(tmp_path / "p" / "train" / "cat" / "3.png") as image:
        image.point(lambda value: value // 2 + 20).save(tmp_path / "p" / "test" / "cat" / "darker.jpg", quality=95)
    found = found_in(Images(str(tmp_path / "p")))
    assert "1 of 121 examples of the test split" in found
    assert f"{Path('test/cat/darker.jpg')} and {Path('train/cat/3.png')}" in found


def test_the_size_of_pictures_may_give_the_class_away(tmp_path: Path) -> None:
    pictures(tmp_path / "p", {"cat": 24, "dog": 20})
    found = found_in(Images(str(tmp_path / "p"), image_size=16))
    assert "the size, mode and ending of the files give the class away" in found
    pictures(tmp_path / "q", {"cat": 24, "dog": 24})
    assert "away" not in found_in(Images(str(tmp_path / "q"), image_size=16))


def test_entities_of_few_examples_are_told(tmp_path: Path) -> None:
    lines = [
        f"Anna{index}\tB-PER\nlives\tO\n{'Rome' if index < 8 else 'here'}\t{'B-LOC' if index < 8 else 'O'}\n\n"
        for index in range(100)
    ]
    (tmp_path / "t.conll").write_text("".join(lines), encoding="utf-8")
    assert "less than 10 examples to train on: LOC (" in found_in(Tagging(str(tmp_path / "t.conll")))


def test_classes_are_looked_at() -> None:
    found = of_classes({"Cat": [90, 9, 9], "cat ": [50, 5, 5], "-1": [20, 2, 2], "1": [20, 0, 2], "rare": [3, 0, 1]})
    assert [line.split(":")[0] for line in found] == [
        "classes with less than 10 examples to train on",
        "classes without an example in the validation split, so that no score covers them",
        "classes that may be one",
    ]
    assert "rare (3)" in found[0]
    assert found[1].endswith(": 1")
    assert "'Cat' and 'cat '" in found[2]


def test_the_nearest_are_those_of_all_pairs() -> None:
    draw = np.random.default_rng(0)
    known = draw.normal(size=(70, 5)).astype(np.float32)
    near = nearest(known, known, 3, same=True)
    apart = np.square(known[:, None] - known).sum(-1)
    np.fill_diagonal(apart, np.inf)
    assert (near.rows == np.argsort(apart, axis=1)[:, :3]).all()
    np.testing.assert_allclose(near.distance, np.sort(apart, axis=1)[:, :3], rtol=1e-4, atol=1e-5)


def test_texts_are_compared_by_their_words_and_characters() -> None:
    vectors = text_vectors(["The cat sat.", "the CAT sat", "中国人民", "中国人们", "", "of the end"])
    near = nearest(vectors, vectors, 1, same=True)
    assert near.rows[:4, 0].tolist() == [1, 0, 3, 2]
    assert near.distance[0, 0] == pytest.approx(0, abs=1e-6)

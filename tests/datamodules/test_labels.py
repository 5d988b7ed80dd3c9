"""Classes of unlike size."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from datamodules import labels
from datamodules.errors import DataError
from datamodules.files.table_columns import strings
from datamodules.labels import LabelledData, class_codes
from datamodules.nodes import Nodes
from datamodules.tabular import TabularClassification
from datamodules.text import TextClassification

SIZES = {"a": 120, "b": 40, "c": 20}


@pytest.fixture
def table(place: Path) -> Path:
    labels = [label for label, size in SIZES.items() for _ in range(size)]
    lines = [f"{row},{label}" for row, label in enumerate(labels)]
    (place / "table.csv").write_text("number,label\n" + "\n".join(lines))
    return place / "table.csv"


def ready(path: Path, **options: Any) -> TabularClassification:
    data = TabularClassification(str(path), **{"batch_size": 1, **options})
    data.setup()
    return data


def epochs(data: LabelledData, number: int = 2) -> list[Tensor]:
    """The classes of all training examples, epoch by epoch."""
    loader = data.train_dataloader()
    return [torch.cat([target for _, target in loader]) for _ in range(number)]


@pytest.mark.parametrize(("balance", "quota"), [("over", max), ("under", min)])
def test_every_class_is_in_an_epoch_equally_often(balance: str, quota: Any, table: Path) -> None:
    data = ready(table, balance=balance)
    size = quota(data.class_counts)
    assert size * 3 != sum(data.class_counts)
    assert len(data.train_dataloader()) == 3 * size
    for target in epochs(data):
        assert torch.bincount(target).tolist() == [size] * 3
    assert len(ready(table, balance=balance, batch_size=7).train_dataloader()) == 3 * size // 7
    assert len(next(iter(ready(table, balance=balance, batch_size=None).train_dataloader()))[1]) == 3 * size


@pytest.mark.parametrize("balance", ["weights", "over", "under"])
def test_what_is_validated_tested_and_learned_from_the_training_split_stays_as_it_is(balance: str, table: Path) -> None:
    plain, data = ready(table), ready(table, balance=balance)
    assert data.state_dict() == plain.state_dict()
    assert data.fingerprint == plain.fingerprint
    for one, other in (
        (plain.val_dataloader(), data.val_dataloader()),
        (plain.test_dataloader(), data.test_dataloader()),
    ):
        for batch, of_other in zip(one, other, strict=True):
            assert all(map(torch.equal, batch, of_other))
    if balance == "weights":
        for batch, of_other in zip(plain.train_dataloader(), data.train_dataloader(), strict=True):
            assert all(map(torch.equal, batch, of_other))


def test_weights_give_every_class_the_same_weight_and_their_mean_over_the_examples_is_one(table: Path) -> None:
    data = ready(table, balance="weights")
    together = [weight * count for weight, count in zip(data.class_weights or (), data.class_counts, strict=True)]
    assert together == pytest.approx([sum(data.class_counts) / 3] * 3)
    assert [ready(table, balance=other).class_weights for other in ("none", "over", "under")] == [None] * 3
    restored = TabularClassification(str(table), balance="weights")
    restored.load_state_dict(data.state_dict())
    assert restored.class_weights == data.class_weights


def test_a_batch_larger_than_the_epoch_is_refused(table: Path, refused: Any) -> None:
    smallest = min(ready(table).class_counts)
    with refused(f"--data.batch_size {3 * smallest + 1}", "--data.balance under", f"only {3 * smallest} examples"):
        ready(table, balance="under", batch_size=3 * smallest + 1)
    ready(table, balance="under", batch_size=3 * smallest)
    with refused("--data.balance", "none, weights, over, under", "got up"):
        ready(table, balance="up")


@pytest.mark.parametrize("balance", ["over", "under"])
def test_texts_of_like_length_go_on_sharing_a_batch(balance: str, place: Path) -> None:
    draw = random.Random(0)
    lines = [f"{'word ' * draw.randint(1, 60)},{'good' if row % 5 else 'bad'}" for row in range(1200)]
    (place / "texts.csv").write_text("text,label\n" + "\n".join(lines))
    data = TextClassification(str(place / "texts.csv"), batch_size=8, balance=balance)
    data.setup()
    counts = torch.zeros(2, dtype=torch.long)
    cells = used = 0
    for text, target in data.train_dataloader():
        cells += text.ids.numel()
        used += int(text.lengths.sum())
        counts += torch.bincount(target, minlength=2)
    assert abs(int(counts[0] - counts[1])) < 8  # the incomplete last batch is dropped
    assert cells < 1.15 * used


def test_nodes_of_a_graph_are_taken_more_than_once(place: Path) -> None:
    (place / "nodes.csv").write_text("id,x,label\n" + "".join(f"{n},{n % 5},{'AB'[n % 4 == 0]}\n" for n in range(60)))
    (place / "edges.csv").write_text("source,target\n" + "".join(f"{n},{n + 1}\n" for n in range(59)))
    data = Nodes(str(place), balance="over")
    data.setup()
    ((graph, target),) = data.train_dataloader()
    assert torch.bincount(target).tolist() == [max(data.class_counts)] * 2
    assert torch.equal(data.labels[graph.nodes], target)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ("1 0 1.0 0.0", "0 1"),
        ("1.0 0.0", "0.0 1.0"),
        ("True false true", "false true"),
        (">50K <=50K >50K. <=50K.", "<=50K >50K"),
        ("Dr. Mr. Prof", "Dr. Mr. Prof"),
        ("a A b", "A a b"),
        ("01 1", "01 1"),
        ("1.5 1", "1 1.5"),
    ],
)
def test_labels_that_are_written_in_two_ways_are_of_one_class(labels: str, names: str) -> None:
    notes: list[str] = []
    found, codes = class_codes(labels.split(), None, "data", notes.append)
    assert sorted(found) == names.split()
    assert bool(notes) == (len(found) < len(set(labels.split())))
    assert len(codes) == len(labels.split())


@pytest.mark.parametrize(
    ("known", "labels", "expected"),
    [("0 1", "1.0 true False 0", [1, 1, 0, 0]), ("false true", "1 0 TRUE", [1, 0, 1]), ("a b", "b. a", [1, 0])],
)
def test_labels_are_of_the_classes_that_are_known(known: str, labels: str, expected: list[int]) -> None:
    names, codes = class_codes(labels.split(), known.split(), "data")
    assert names == known.split()
    assert codes.tolist() == expected


@pytest.mark.parametrize("seed", range(4))
def test_a_class_with_one_example_is_trained_on_and_told(seed: int, table: Path) -> None:
    table.write_text(table.read_text() + "\n990,lone\n991,only")
    data = ready(table, split_seed=seed)
    assert data.class_counts[-2:] == [1, 1]
    told = "2 classes have a single example, which is trained on: no score covers lone, only"
    assert data.notes == [f"{table}: {told}"]


def slow_class_codes(
    values: list[str], known: list[str] | None, note: Callable[[str], None]
) -> tuple[list[str], list[int]]:
    """The class index of each label, label by label."""
    class_of = labels._classes_of(list(dict.fromkeys(values)), known)
    names = known or sorted(set(class_of.values()), key=labels._numerical_order)
    changed = [f"{value} as {name}" for value, name in class_of.items() if value != name]
    if changed:
        note(f"here: reads the label {', '.join(changed[:5])}")
    for row, value in enumerate(values):
        if class_of[value] not in names:
            raise DataError(
                f"here: example {row + 1} has label {value}, which is none of the model's classes: "
                + ", ".join(names[:20])
            )
    return names, [names.index(class_of[value]) for value in values]


WRITTEN = ["1", "1.0", "01", "2.", "10", "-3", "nan", "NA", "None", "", "?", "true", "True", "FALSE", "0", "a", "A"]
WRITTEN += [">50K", ">50K."]


@pytest.mark.parametrize("known", [None, ["0", "1"], ["1", "2", "10"], ["true", "false"], [">50K", "a", "1.0", "nan"]])
def test_class_codes_are_those_of_label_by_label(known: list[str] | None) -> None:
    chooser = random.Random(0)
    outcomes = []
    for _ in range(300):
        values = chooser.choices(chooser.sample(WRITTEN, chooser.randint(1, 6)), k=chooser.randint(1, 20))
        notes: tuple[list[str], list[str]] = [], []
        try:
            expected: Any = slow_class_codes(values, known, notes[0].append)
        except DataError as error:
            expected = str(error)
        try:
            names, codes = class_codes(values, known, "here", notes[1].append)
            found: Any = names, codes.tolist()
        except DataError as error:
            found = str(error)
        assert found == expected
        assert notes[0] == notes[1]
        outcomes.append(type(found))
    assert (str in outcomes) == (known is not None)


@pytest.mark.parametrize(
    "column",
    [
        [" a", "a", "b ", "'b'", "''", "a"],
        ["1", "1.0", "2", "1"],
        ["None", "x", "NA", "x", "None"],
        [1, 3, -2, 1],
        [True, False, True],
        [1.0, 2.5, 1.0, float("nan")],
        [0.0, -0.0, 1e300],
    ],
)
def test_the_classes_of_a_column_are_those_of_its_texts(column: list[Any], place: Path) -> None:
    cells = pa.chunked_array([column[:2], column[2:]])
    data = TabularClassification(str(place))
    data.target_name, data.table = "label", pa.table({"label": cells})
    notes: list[str] = []
    names, codes = slow_class_codes([str(text) for text in strings(cells)], None, notes.append)
    assert data.read_target(cells).tolist() == codes
    assert data.class_names == names
    assert [note.replace(str(place), "here") for note in data.notes] == notes

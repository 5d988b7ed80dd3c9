import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.base import DataModule
from datamodules.graphs import GraphClasses
from datamodules.images import Images
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Rows, Source
from datamodules.nodes import Nodes
from datamodules.storage.download import DataError
from datamodules.tabular import TabularClassification, TabularRegression
from tests.helpers.all_datamodules import is_plain

KINDS: dict[str, Callable[..., DataModule]] = {
    "table of classes": lambda **options: TabularClassification("iris", **options),
    "table of numbers": lambda **options: TabularRegression("diabetes", **options),
    "images": lambda **options: Images("digits", **options),
    "graphs": lambda **options: GraphClasses("motifs", num_graphs=101, **{"batch_size": 8, **options}),
    "nodes": lambda **options: Nodes("karate", **options),
}
CUT = [kind for kind in KINDS if kind != "nodes"]  # the karate club defines its own splits


class Given(LabelledData):
    """Examples that are their own numbers, with the labels and splits that a test gives."""

    fitted = (*LabelledData.fitted, "train")

    def __init__(self, labels: list[int], official: dict[str, list[int]] | None = None, **options: Any) -> None:
        super().__init__("given", **{"batch_size": 1, **options})
        self.given = labels
        self.official = official or {}

    def read(self) -> Source:
        self.class_names, self.labels = class_codes([str(label) for label in self.given], self.known_classes, "given")
        return Source(
            len(self.labels), self.labels, {name: torch.tensor(index) for name, index in self.official.items()}
        )

    def fit(self, train: Tensor) -> None:
        self.train = train.tolist()

    def examples(self, index: Tensor) -> Rows:
        return Rows(index)

    def read_input(self, path: Path) -> tuple[Rows, list[str]]:
        return Rows(torch.arange(len(path.read_text()))), list(path.read_text())


def ready(data: DataModule) -> Any:
    data.setup()
    return data


def targets(loader: DataLoader[Any]) -> Tensor:
    return torch.cat([target for _, target in loader])


def tensors(batch: Any) -> list[Tensor]:
    if isinstance(batch, Tensor):
        return [batch.to_dense()]
    return [tensor for part in batch for tensor in tensors(part)] if isinstance(batch, tuple | list) else []


@pytest.mark.parametrize("kind", KINDS)
def test_splits_are_disjoint_and_together_whole(kind: str) -> None:
    data = ready(KINDS[kind](batch_size=1))
    together = torch.cat(list(data.splits)).sort().values
    assert torch.equal(together, torch.arange(len(together)))
    assert len(together) == {
        "table of classes": 150, "table of numbers": 442, "images": 1797, "graphs": 101, "nodes": 34
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_splits_are_the_same_whatever_the_global_seeds(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        found.append(ready(KINDS[kind]()).splits)
    for first, second in zip(*found, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_another_split_seed_is_another_split(kind: str) -> None:
    first, second = (ready(KINDS[kind](split_seed=seed)).splits for seed in (0, 1))
    assert not torch.equal(first.test, second.test)


@pytest.mark.parametrize("kind", [kind for kind in CUT if kind != "table of numbers"])
def test_splits_hold_the_classes_in_proportion(kind: str) -> None:
    data = ready(KINDS[kind](val_fraction=0.2, test_fraction=0.25))
    labels = data.labels
    for split, share in zip(data.splits, (0.55, 0.2, 0.25), strict=True):
        found = torch.bincount(labels[split]) - torch.bincount(labels) * share
        assert found.abs().max() <= 2  # rounded once for the test and once for the validation split


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_drops_and_reorders_nothing(kind: str) -> None:
    size = 3 if kind == "nodes" else 7
    data = ready(KINDS[kind](batch_size=size))
    for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        index = getattr(data.splits, split)
        assert len(index) % size, "an incomplete last batch is what is tested"
        _, expected = data.examples(index)[torch.arange(len(index))]
        assert torch.equal(targets(loader), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_training_batches_are_full_and_of_an_order_that_the_seed_decides(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []
    for seed in ("3", "3", "4"):
        monkeypatch.setenv("PL_GLOBAL_SEED", seed)
        data = ready(KINDS[kind](batch_size=3))
        loader = data.train_dataloader()
        assert len(loader) == len(data.splits.train) // 3
        assert {len(target) for _, target in loader} == {3}
        epochs.append([tensor for batch in data.train_dataloader() for tensor in tensors(batch)])
    assert all(map(torch.equal, epochs[0], epochs[1]))
    assert kind == "nodes" or not all(map(torch.equal, epochs[0], epochs[2]))  # four nodes may fall alike


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_size_of_none_is_the_training_batches(kind: str) -> None:
    data = ready(KINDS[kind](batch_size=None))
    (batch,) = data.train_dataloader()
    assert len(batch[1]) == len(data.splits.train)


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_state_gives_the_same_sizes_and_encodings(kind: str, tmp_path: Path) -> None:
    first = ready(KINDS[kind](batch_size=2))
    assert is_plain(first.state_dict())
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = KINDS[kind](batch_size=2)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    sizes = {name: getattr(second, name) for name in second.provides}
    assert sizes == {name: getattr(first, name) for name in first.provides}
    second.setup()
    for of_first, of_second in zip(first.test_dataloader(), second.test_dataloader(), strict=True):
        assert all(map(torch.equal, tensors(of_first), tensors(of_second)))


@pytest.mark.parametrize("kind", CUT)
def test_folds_are_each_tested_once(kind: str) -> None:
    folds = [ready(KINDS[kind](num_folds=3, fold=fold)).splits for fold in range(3)]
    tested = torch.cat([splits.test for splits in folds]).sort().values
    assert torch.equal(tested, torch.arange(len(tested)))
    for splits in folds:
        assert torch.equal(torch.cat(list(splits)).sort().values, tested)
        assert abs(len(splits.val) - 0.1 * len(tested)) <= 1


def test_folds_do_not_touch_an_official_test_split(refused: Any) -> None:
    with refused("--data.num_folds 3", "karate", "test split of its own"):
        Nodes("karate", num_folds=3, fold=0).setup()


def test_official_splits_stay_whole_and_validation_is_cut_off_training() -> None:
    labels = [0, 1] * 50
    train, test = list(range(20, 100)), list(range(20))
    data = ready(Given(labels, {"train": train, "test": test}, val_fraction=0.25))
    assert data.splits.test.tolist() == test
    assert sorted(data.splits.train.tolist() + data.splits.val.tolist()) == train
    assert len(data.splits.val) == 20
    val = list(range(80, 100))
    data = ready(Given(labels, {"train": train[:-20], "val": val, "test": test}))
    assert [split.tolist() for split in data.splits] == [train[:-20], val, test]


def test_only_the_training_split_is_learned_from_and_only_once() -> None:
    data = ready(Given([0, 1] * 50))
    assert data.train == data.splits.train.tolist()
    restored = Given([0, 1] * 60)
    restored.load_state_dict(data.state_dict())
    restored.setup()
    assert restored.train == data.train
    assert restored.class_counts == data.class_counts


@pytest.mark.parametrize(
    ("official", "tested"),
    [
        (None, list(range(10))),
        ({"train": [0, 1, 2], "test": [3, 4]}, [3, 4]),
        ({"train": [5, 6], "val": [8]}, [5, 6, 8]),
        ({"test": [1, 2]}, [1, 2]),
    ],
)
def test_other_data_is_tested_by_its_test_split_or_else_whole(
    official: dict[str, list[int]] | None, tested: list[int]
) -> None:
    data = Given([0, 1] * 5, official)
    data.load_state_dict({"class_names": ["0", "1"], "class_counts": [1, 1], "train": []})
    data.setup_test()
    assert data.splits.test.tolist() == tested


def test_other_data_may_lack_a_class_but_not_have_a_new_one(refused: Any) -> None:
    state = {"class_names": ["0", "1", "2"], "class_counts": [1, 1, 1], "train": []}
    few, new = Given([2, 1, 2]), Given([0, 1, 7])
    few.load_state_dict(state)
    few.setup_test()
    assert few.labels.tolist() == [2, 1, 2]
    new.load_state_dict(state)
    with refused("example 3 has label 7", "0, 1, 2"):
        new.setup_test()


def test_class_names_are_in_numerical_order_and_then_in_that_of_letters() -> None:
    names, codes = class_codes(["10", "b", "9", "-1", "a", "9"], None, "here")
    assert names == ["-1", "9", "10", "a", "b"]
    assert [names[code] for code in codes.tolist()] == ["10", "b", "9", "-1", "a", "9"]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"batch_size": 0}, ["--data.batch_size", "at least 1", "got 0"]),
        ({"batch_size": -3}, ["--data.batch_size", "got -3"]),
        ({"num_workers": -1}, ["--data.num_workers", "got -1"]),
        ({"val_fraction": 0.0}, ["--data.val_fraction", "got 0.0"]),
        ({"val_fraction": float("nan")}, ["--data.val_fraction", "got nan"]),
        ({"test_fraction": 1.0}, ["--data.test_fraction", "got 1.0"]),
        ({"test_fraction": -0.1}, ["--data.test_fraction", "got -0.1"]),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, ["--data.val_fraction 0.5", "--data.test_fraction 0.5"]),
        ({"num_folds": 3}, ["--data.num_folds", "--data.fold"]),
        ({"fold": 0}, ["--data.num_folds", "--data.fold"]),
        ({"num_folds": 1, "fold": 0}, ["--data.num_folds", "at least 2", "got 1"]),
        ({"num_folds": 3, "fold": 3}, ["--data.fold 3", "--data.num_folds 3", "0 to 2"]),
        ({"num_folds": 3, "fold": -1}, ["--data.fold -1", "--data.num_folds 3"]),
        ({"root": "no/such/folder"}, ["--data.root no/such/folder", "there is no such folder", "download"]),
    ],
)
def test_options_out_of_range_or_contradictory_are_refused(
    options: dict[str, Any], parts: list[str], refused: Any
) -> None:
    with refused(*parts):
        Given([0, 1] * 5, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_larger_than_the_training_split_is_refused(kind: str, refused: Any) -> None:
    data = KINDS[kind](batch_size=5000)
    with refused("--data.batch_size 5000", "training split has only"):
        data.setup()


@pytest.mark.parametrize("kind", [TabularClassification, TabularRegression, Images, GraphClasses, Nodes])
def test_a_data_set_that_is_neither_known_nor_a_path_is_refused(kind: type[DataModule], refused: Any) -> None:
    with refused("--data iriss", kind.__name__):
        kind("iriss").setup()


def test_own_files_may_be_given_as_a_path(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "".join(f"{row},{'xy'[row % 2]}\n" for row in range(40)), encoding="utf-8")
    data = TabularClassification(path, target="b", batch_size=8)  # type: ignore[arg-type]
    data.setup()
    assert data.dataset == str(path)


@pytest.mark.parametrize(
    ("labels", "official", "parts"),
    [
        ([0, 1] * 2, None, ["split is empty", "4 examples"]),
        ([0, 1] * 4, None, ["the val split is empty"]),
        ([0, 1] * 9, {"train": list(range(18)), "test": []}, ["the test split is empty"]),
        ([1] * 20, None, ["all examples are of one class, 1"]),
        ([0, 1] * 9 + [2], {"train": list(range(18)), "test": [18]}, ["training split lacks class 2", "1 in test"]),
        ([0, 1] * 9, {"val": [0], "test": [1]}, ["val and test", "none for train"]),
        ([], None, ["no examples"]),
    ],
)
def test_splits_that_cannot_be_trained_on_or_judged_by_are_refused(
    labels: list[int], official: dict[str, list[int]] | None, parts: list[str], refused: Any
) -> None:
    with refused(*parts):
        Given(labels, official, test_fraction=0.2, val_fraction=0.1).setup()


def test_input_is_predicted_in_its_order_and_without_leaving_any_out(tmp_path: Path) -> None:
    file = tmp_path / "input.txt"
    file.write_text("zyxwvut")
    data = Given([0, 1] * 10, batch_size=3)
    data.set_input(file)
    data.setup("predict")
    assert torch.cat(list(data.predict_dataloader())).tolist() == list(range(7))
    assert data.predicted_names == list("zyxwvut")


def test_input_that_is_missing_or_empty_is_refused(tmp_path: Path, refused: Any) -> None:
    data = Given([0, 1])
    with refused(f"--input {tmp_path / 'none'}", "no such file"):
        data.set_input(tmp_path / "none")
    (tmp_path / "empty").write_text("")
    with refused(f"--input {tmp_path / 'empty'}", "no examples"):
        data.set_input(tmp_path / "empty")


def test_what_is_wrong_with_data_is_an_error_that_the_command_line_prints_as_one_line() -> None:
    assert issubclass(DataError, ValueError)


@pytest.mark.parametrize(("least", "size"), [(None, 40), (2, 4), (8, 8)])
def test_a_batch_size_that_nobody_has_chosen_shrinks_to_own_data(least: int | None, size: int, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "".join(f"{row},{'xy'[row % 2]}\n" for row in range(60)), encoding="utf-8")
    data = TabularClassification(str(path), target="b", batch_size=40)
    data.least_batch = least
    data.setup()
    assert data.batch_size == size
    told = f"--data.batch_size {size}, not 40: of 42 training examples an epoch has {42 // size} steps then"
    assert [note for note in data.notes if "--data.batch_size" in note] == [told] * (least is not None)


def test_a_state_of_an_earlier_version_drops_an_incomplete_last_batch_as_it_did() -> None:
    data = TabularClassification("breast_cancer", batch_size=150)
    data.setup()
    state = data.state_dict()
    assert [len(x) for x, _ in data.train_dataloader()] == [150, 150, 100]
    del state["keeps_large_last_batch"]
    data.load_state_dict(state)
    assert [len(x) for x, _ in data.train_dataloader()] == [150, 150]


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_batches_is_that_of_the_loader(kind: str) -> None:
    data = KINDS[kind]()
    data.setup()
    for split in ("train", "val", "test"):
        assert data.num_batches(split) == len(getattr(data, f"{split}_dataloader")())

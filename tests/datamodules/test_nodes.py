import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from datamodules.files.planetoid import read_part
from datamodules.loading.adjacency import csr, normalised_adjacency, undirected
from datamodules.loading.node_batches import Graph
from datamodules.nodes import Nodes

NAMES = ["id", "age", "town", "label", "split"]
Row = list[Any]


def people(number: int = 40) -> list[Row]:
    """A name, two features, one of two classes (three of four know theirs), and a split."""
    draw = random.Random(0)
    return [
        [
            f"人 {row}",
            draw.randint(20, 80),
            draw.choice(["北京", "Rome"]),
            "" if row % 4 == 3 else ("a" if row % 2 else "b"),
            ("train", "train", "val", "test")[(row // 4) % 4],
        ]
        for row in range(number)
    ]


def friends(number: int = 40) -> list[tuple[int, int]]:
    draw = random.Random(1)
    return [(row, draw.randrange(row)) for row in range(1, number)]


def write(
    folder: Path,
    nodes: list[Row],
    pairs: list[tuple[Any, Any]] | None = None,
    columns: list[str] = NAMES,
    header: str = "from,to\n",
    encoding: str = "utf-8",
) -> Path:
    """nodes.csv with these columns, and edges.csv; pairs are rows of the nodes."""
    folder.mkdir(exist_ok=True)
    chosen = [NAMES.index(name) for name in columns]
    lines = [",".join(columns), *(",".join(str(row[number]) for number in chosen) for row in nodes)]
    (folder / "nodes.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    ids = [(nodes[first][0], nodes[second][0]) for first, second in pairs or friends(len(nodes))]
    text = header + "".join(f"{first},{second}\n" for first, second in ids)
    (folder / "edges.csv").write_text(text, encoding=encoding)
    return folder


def ready(folder: Path, **options: Any) -> Nodes:
    data = Nodes(str(folder), **options)
    data.setup()
    return data


def whole(data: Nodes) -> Graph:
    graph, _ = data.examples(data.splits.train)[torch.tensor([0])]
    return graph


def links(graph: Graph) -> set[tuple[int, int]]:
    return {(first, second) for first, second in graph.edge_index.T.tolist()}


def test_the_adjacency_is_normalised_as_the_dense_formula_says() -> None:
    pairs = np.random.default_rng(0).integers(0, 12, (30, 2))  # with loops and doubles
    adjacency = undirected(pairs, 13)  # the last has no neighbour
    dense = np.zeros((13, 13))
    dense[pairs[:, 0], pairs[:, 1]] = dense[pairs[:, 1], pairs[:, 0]] = 1
    np.fill_diagonal(dense, 0)
    np.testing.assert_array_equal(adjacency.toarray(), dense)
    looped = dense + np.eye(13)
    scale = np.diag(looped.sum(1) ** -0.5)
    edges = torch.from_numpy(np.stack(adjacency.nonzero()).astype(np.int64))
    for order in (torch.arange(edges.shape[1]), torch.randperm(edges.shape[1])):
        found = normalised_adjacency(edges[:, order], 13)
        np.testing.assert_allclose(found.to_dense(), scale @ looped @ scale, rtol=1e-6)


def test_a_sparse_matrix_stays_what_it_is() -> None:
    matrix = sp.random(7, 5, density=0.3, random_state=0, dtype=np.float32)
    assert torch.equal(csr(matrix).to_dense(), torch.from_numpy(matrix.toarray()))


@pytest.mark.parametrize("header", ["from,to\n", "", "source,target\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_folder_of_nodes_and_edges_is_read(header: str, encoding: str, place: Path) -> None:
    data = ready(write(place, people(), header=header, encoding=encoding), encoding=encoding)
    graph = whole(data)
    assert links(graph) == {pair for first, second in friends() for pair in ((first, second), (second, first))}
    assert graph.x.shape == (40, 3)
    assert [(state["name"], state.get("values")) for state in data.columns] == [
        ("age", None),
        ("town", ["Rome", "北京"]),
    ]
    assert data.class_names == ["a", "b"]


def test_unlabelled_nodes_are_seen_but_in_no_split(place: Path) -> None:
    data = ready(write(place, people(), columns=NAMES[:4]))
    together = torch.cat(list(data.splits)).sort().values
    labelled = [number for number, row in enumerate(people()) if row[3]]
    assert together.tolist() == labelled
    assert [data.class_names[data.labels[number]] for number in labelled] == [
        people()[number][3] for number in labelled
    ]
    assert whole(data).x.shape[0] == 40


def test_a_column_of_splits_is_kept(place: Path) -> None:
    data = ready(write(place, people()))
    for name, index in data.splits._asdict().items():
        assert index.tolist() == [number for number, row in enumerate(people()) if row[4] == name and row[3]]


def test_what_a_column_of_splits_lacks_is_cut_off_training(place: Path) -> None:
    nodes = [
        [*row[:4], "" if number % 8 == 0 else row[4].replace("val", "train")] for number, row in enumerate(people())
    ]
    data = ready(write(place, nodes), val_fraction=0.25)
    trained = [number for number, row in enumerate(nodes) if row[4] == "train" and row[3]]
    tested = [number for number, row in enumerate(nodes) if row[4] == "test" and row[3]]
    assert data.splits.test.tolist() == tested
    assert torch.cat([data.splits.train, data.splits.val]).sort().values.tolist() == trained
    assert len(data.splits.val) == len(trained) // 4


def test_without_features_a_node_is_known_by_its_number(place: Path) -> None:
    data = ready(write(place, people(), columns=["id", "label"]))
    assert data.num_features == 40
    assert torch.equal(whole(data).x.to_dense(), torch.eye(40))


def test_number_ids_need_neither_order_nor_a_header(place: Path) -> None:
    place.joinpath("nodes.csv").write_text("id,label\n" + "".join(f"{90 - n},{'ab'[n % 2]}\n" for n in range(20)))
    place.joinpath("edges.csv").write_text("".join(f"{90 - n};{89 - n}\n" for n in range(19)))
    data = ready(place)
    assert links(whole(data)) == {pair for n in range(19) for pair in ((n, n + 1), (n + 1, n))}


def test_nothing_is_learned_from_nodes_outside_the_training_split(place: Path) -> None:
    nodes = people()
    before = ready(write(place, nodes))
    for number in range(40):
        if number not in before.splits.train:
            nodes[number][1:3] = [nodes[number][1] + 1000, "Paris"]
    after = ready(write(place, nodes))
    assert after.state_dict() == before.state_dict()
    tested = whole(after).x[after.splits.test]
    assert (tested[:, 1:] == 0).all(), "a town never seen in training is all zeros"
    nodes[before.splits.train[0]][1] += 1000
    assert ready(write(place, nodes)).state_dict() != before.state_dict()


def test_a_batch_is_the_whole_graph_with_the_nodes_that_are_asked_for(place: Path) -> None:
    data = ready(write(place, people()), batch_size=4)
    seen = []
    for graph, target in data.train_dataloader():
        assert graph.x.shape[0] == 40
        assert torch.equal(target, data.labels[graph.nodes])
        seen += graph.nodes.tolist()
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(data.splits.train.tolist())


def test_input_needs_no_classes_and_keeps_its_order(place: Path) -> None:
    data = ready(write(place / "train", people()))
    nodes = people()[::-1]
    pairs = [(39 - first, 39 - second) for first, second in friends()]
    examples, names = data.read_input(write(place / "new", nodes, pairs, columns=["town", "id", "age"]))
    graph = examples[torch.arange(40)]
    assert names == [row[0] for row in nodes]
    assert graph.nodes.tolist() == list(range(40))
    assert torch.equal(graph.x, whole(data).x.flip(0))
    torch.testing.assert_close(graph.adjacency.to_dense(), whole(data).adjacency.to_dense().flip(0, 1))


def test_reading_input_leaves_the_data_as_it_was(place: Path) -> None:
    data = Nodes(str(write(place / "train", people())))
    data.setup()
    data.graph = None
    data.set_input(write(place / "new", people(10)))
    assert len(next(iter(data.predict_dataloader())).nodes) == 10
    assert whole(data).x.shape == (40, 3)


def restored(data: Nodes, folder: Path) -> Nodes:
    other = Nodes(str(folder))
    other.load_state_dict(data.state_dict())
    return other


def test_other_data_is_tested_by_its_labelled_nodes_alone(place: Path) -> None:
    data = ready(write(place / "train", people()))
    nodes = [["x", 1, "Rome", "", ""], *people(20)]
    other = restored(data, write(place / "new", nodes, columns=NAMES[:4]))
    other.setup_test()
    assert other.splits.test.tolist() == [number for number, row in enumerate(nodes) if row[3]]


def changed(row: int, column: str, value: object) -> list[Row]:
    nodes = people()
    nodes[row][NAMES.index(column)] = value
    return nodes


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (changed(3, "id", "人 2"), ["nodes.csv", "two nodes have the id 人 2"]),
        (changed(3, "age", "inf"), ["row 4", "column age", "inf is not a finite number"]),
        (changed(3, "split", "holdout"), ["nodes.csv", "row 4", "split has holdout", "train, val or test"]),
        ([[*row[:3], "a", row[4]] for row in people()], ["one class, a"]),
        ([[*row[:3], "", row[4]] for row in people()], ["nodes.csv", "no node has a class in column label"]),
        (changed(12, "label", "c"), ["training split lacks class c", "1 in test"]),
        ([[*row[:4], row[4].replace("train", "val")] for row in people()], ["val and test", "none for train"]),
        ([row for row in people() if row[4] == "train" or not row[3]], ["the val split is empty"]),
    ],
)
def test_nodes_that_cannot_be_used_are_refused(nodes: list[Row], words: list[str], place: Path, refused: Any) -> None:
    write(place, nodes)
    with refused(place, *words):
        ready(place)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("人 1,人 2\n人 3,人 40\n", ["edge 2 joins node 人 40", "nodes.csv does not have"]),
        ("from,to\n人 1,人 2\n人 41,人 3\n", ["edge 2 joins node 人 41"]),
        ("from,to\n人 1,人 2\n人 3\n", [":3:", "expected 2 fields", "found 1"]),
        ("人\n物\n", ["expected two columns of node ids, found 1"]),
        ("", ["the file is empty"]),
    ],
)
def test_edges_that_cannot_be_used_are_refused(text: str, words: list[str], place: Path, refused: Any) -> None:
    write(place, people())
    (place / "edges.csv").write_text(text)
    with refused(place / "edges.csv", *words):
        ready(place)


@pytest.mark.parametrize("missing", ["nodes.csv", "edges.csv"])
def test_a_missing_file_is_named(missing: str, place: Path, refused: Any) -> None:
    write(place, people())
    (place / missing).unlink()
    with refused(place, "expected nodes.csv and edges.csv", f"found no {missing}"):
        ready(place)


def test_bytes_that_are_not_text_are_refused(place: Path, refused: Any) -> None:
    write(place, people(), encoding="gb18030")
    with refused(place / "nodes.csv", "byte 24 (0xc8)", "utf-8", "--data.encoding"):
        ready(place)


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        (["age", "label"], {}, ["no column id", "age, label"]),
        (["id", "age"], {}, ["no column label", "--data.target", "id, age"]),
        (["id", "label"], {"target": "class"}, ["no column class", "id, label"]),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    columns: list[str], options: dict[str, str], words: list[str], place: Path, refused: Any
) -> None:
    write(place, people(), columns=columns)
    with refused(place / "nodes.csv", *words):
        ready(place, **options)


def test_a_class_that_a_restored_model_does_not_know_is_refused(place: Path, refused: Any) -> None:
    data = ready(write(place / "train", people()))
    other = restored(data, write(place / "new", changed(5, "label", "c")))
    with refused(place / "new" / "nodes.csv", "has label c", "a, b"):
        other.setup_test()


@pytest.mark.parametrize(
    ("columns", "nodes", "words"),
    [
        (["id", "age", "label"], people(), ["no column town", "id, age"]),
        (NAMES, changed(1, "age", "old"), ["column age held numbers in training"]),
    ],
)
def test_input_without_the_features_of_the_model_is_refused(
    columns: list[str], nodes: list[Row], words: list[str], place: Path, refused: Any
) -> None:
    data = ready(write(place / "train", people()))
    write(place / "new", nodes, columns=columns)
    with refused(place / "new", *words):
        data.read_input(place / "new")


def test_a_model_that_knows_nodes_by_number_refuses_another_graph(place: Path, refused: Any) -> None:
    data = ready(write(place / "train", people(), columns=["id", "label"]))
    write(place / "new", people(39))
    with refused(place / "new", "39 nodes", "expected 40"):
        data.read_input(place / "new")


@pytest.fixture(scope="module")
def cora(shared_data: Path) -> Nodes:
    data = Nodes("Cora", root=str(shared_data))
    data.setup()
    return data


@pytest.mark.real_data
def test_cora_has_its_published_splits_and_sizes(cora: Nodes) -> None:
    assert [len(split) for split in cora.splits] == [140, 500, 1000]
    assert (cora.num_features, cora.num_classes, cora.class_counts) == (1433, 7, [20] * 7)
    assert whole(cora).edge_index.shape == (2, 10_556)


@pytest.mark.real_data
def test_cora_is_what_torch_geometric_reads(cora: Nodes, shared_data: Path, tmp_path: Path) -> None:
    from torch_geometric.datasets import Planetoid
    from torch_geometric.transforms import NormalizeFeatures

    (tmp_path / "Cora" / "raw").mkdir(parents=True)
    for file in (shared_data / "graph" / "planetoid" / "Cora" / "raw").iterdir():
        shutil.copyfile(file, tmp_path / "Cora" / "raw" / file.name)
    theirs = Planetoid(str(tmp_path), "Cora", transform=NormalizeFeatures())[0]
    ours = whole(cora)
    torch.testing.assert_close(ours.x.to_dense(), theirs.x)
    assert torch.equal(torch.unique(ours.edge_index, dim=1), torch.unique(theirs.edge_index, dim=1))
    assert torch.equal(cora.labels, theirs.y)
    for split, mask in zip(cora.splits, (theirs.train_mask, theirs.val_mask, theirs.test_mask), strict=True):
        assert torch.equal(split, mask.nonzero().flatten())


@pytest.mark.real_data
def test_a_restored_state_knows_the_size_of_cora_before_it_is_read(
    cora: Nodes, shared_data: Path, place: Path, refused: Any
) -> None:
    other = Nodes("Cora", root=str(shared_data))
    other.load_state_dict(cora.state_dict())
    assert other.num_features == 1433
    other.setup("test")
    assert torch.equal(whole(other).x.to_dense(), whole(cora).x.to_dense())
    write(place, people(), columns=["id", "label"])
    with refused(place, "0 words", "expected 1433"):
        other.read_input(place)


@pytest.mark.real_data
def test_cora_finds_its_edges_past_the_last_node(shared_data: Path, place: Path, refused: Any) -> None:
    raw = place / "Cora" / "raw"
    raw.mkdir(parents=True)
    for file in (shared_data / "graph" / "planetoid" / "Cora" / "raw").iterdir():
        shutil.copyfile(file, raw / file.name)
    graph = read_part(raw / "ind.cora.graph")
    graph[5].append(2708)
    (raw / "ind.cora.graph").write_bytes(pickle.dumps(graph, protocol=2))
    with refused(raw / "ind.cora.graph", "joins 5 and 2708", "nodes go from 0 to 2707"):
        Nodes("Cora", root=str(place)).setup()

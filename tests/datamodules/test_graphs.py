import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.graphs import GraphClasses, GraphExamples, Graphs
from datamodules.loading.sampling import ranges
from datamodules.synthetic.motifs import generated_motifs

Parts = dict[str, list[list[float]]]


def rings(number: int = 24) -> Parts:
    """Rings of three to six nodes, each edge in both directions, as the numbers in TUDataset's files."""
    random = np.random.default_rng(0)
    names = ("A", "graph_indicator", "graph_labels", "node_labels", "node_attributes", "edge_labels", "edge_attributes")
    parts: Parts = {name: [] for name in names}
    for graph in range(number):
        first, size = len(parts["graph_indicator"]) + 1, 3 + graph % 4
        parts["graph_labels"].append([-1 if graph % 2 else 1])
        for node in range(size):
            parts["graph_indicator"].append([graph + 1])
            parts["node_labels"].append([int(random.integers(3, 6))])
            parts["node_attributes"].append(random.normal(10, 3, 2).round(3).tolist())
            pair: list[float] = [first + node, first + (node + 1) % size]
            parts["A"] += [pair, pair[::-1]]
            parts["edge_labels"] += [[int(random.integers(0, 2))]] * 2
            parts["edge_attributes"] += [[round(random.normal(), 3)]] * 2
    return parts


def write(folder: Path, parts: Parts, *leave_out: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, lines in parts.items():
        if name not in leave_out:
            text = "".join(", ".join(map(str, line)) + "\n" for line in lines)
            (folder / f"环 RINGS_{name}.txt").write_text(text)
    return folder


def ready(folder: Path, **options: Any) -> GraphClasses:
    data = GraphClasses(str(folder), **{"batch_size": 1, **options})
    data.setup()
    return data


def everything(examples: GraphExamples) -> Any:
    return examples[torch.arange(len(examples))]


def one_by_one(data: GraphClasses, chosen: list[int]) -> Graphs:
    """The graphs side by side, put together the slow way."""
    store = data.store
    x, edge_attr = data.encode(store, "here")
    parts, first = [], 0
    for place, number in enumerate(chosen):
        nodes = slice(store.node_start[number], store.node_start[number + 1])
        edges = slice(store.edge_start[number], store.edge_start[number + 1])
        size = len(x[nodes])
        parts.append((x[nodes], store.edge_index[:, edges] + first, edge_attr[edges], torch.full((size,), place)))
        first += size
    features, edge_index, attributes, graph = zip(*parts, strict=True)
    return Graphs(torch.cat(features), torch.cat(edge_index, 1), torch.cat(attributes), torch.cat(graph), len(chosen))


def assert_same(first: Graphs, second: Graphs) -> None:
    assert first.num_graphs == second.num_graphs
    assert all(map(torch.equal, first[:4], second[:4]))


def test_ranges_are_those_that_arange_makes() -> None:
    start, length = torch.tensor([5, 0, 7, 2]), torch.tensor([3, 2, 0, 4])
    expected = [torch.arange(begin, begin + size) for begin, size in zip(start.tolist(), length.tolist(), strict=True)]
    assert torch.equal(ranges(start, length), torch.cat(expected))


@pytest.mark.parametrize("kind", ["motifs", "own files"])
def test_a_batch_is_its_graphs_one_after_the_other(kind: str, place: Path) -> None:
    data = ready(write(place, rings())) if kind == "own files" else GraphClasses("motifs", num_graphs=30, batch_size=1)
    data.setup()
    index = torch.tensor([7, 3, 22, 11, 4])
    examples = data.examples(index)
    for chosen in ([0, 1, 2, 3, 4], [4, 1], [2]):
        batch, target = examples[torch.tensor(chosen)]
        assert_same(batch, one_by_one(data, index[chosen].tolist()))
        assert torch.equal(target, data.labels[index[chosen]])


def test_no_edge_of_a_batch_leaves_its_graph() -> None:
    data = GraphClasses("motifs", num_graphs=50, batch_size=16)
    data.setup()
    for batch, target in data.train_dataloader():
        assert torch.equal(batch.graph[batch.edge_index[0]], batch.graph[batch.edge_index[1]])
        assert batch.graph.unique().tolist() == list(range(len(target)))


def test_motifs_are_the_same_in_every_run_and_tell_their_class_by_neighbours_alone() -> None:
    store, labels = generated_motifs(100, seed=0)
    torch.manual_seed(1)
    again, _ = generated_motifs(100, seed=0)
    assert torch.equal(store.node_attributes, again.node_attributes)
    assert torch.equal(store.edge_index, again.edge_index)
    assert not torch.equal(store.node_attributes[:100], generated_motifs(100, seed=1)[0].node_attributes[:100])
    colour = store.node_attributes.argmax(1)  # the noise rarely changes it
    graph = torch.repeat_interleave(torch.arange(100), store.node_start.diff())
    first, second = store.edge_index + torch.repeat_interleave(store.node_start[:-1], store.edge_start.diff())
    is_blocks = torch.tensor([label == "blocks" for label in labels])
    colours = F.one_hot(colour, 3).float()
    alike = ((colour[first] == colour[second]) & (colour[first] > 0)).float()
    per_graph = torch.zeros(100).index_add(0, graph[first], alike)
    assert per_graph[is_blocks].mean() > 2 * per_graph[~is_blocks].mean()
    shares = torch.zeros(100, 3).index_add(0, graph, colours)[:, 1:]
    assert (shares[is_blocks].mean(0) - shares[~is_blocks].mean(0)).abs().max() < 0.5


def test_nodes_and_edges_are_encoded_by_labels_attributes_and_degree(place: Path) -> None:
    parts = rings()
    parts["A"].append([1, 1])  # a loop is one edge more than the two of every other node
    parts["edge_labels"].append([0])
    parts["edge_attributes"].append([0.5])
    data = ready(write(place, parts), max_degree=3)
    store, train = data.store, data.splits.train
    graph = torch.tensor([int(line[0]) - 1 for line in parts["graph_indicator"]])
    attributes = torch.tensor(parts["node_attributes"])
    inside = torch.isin(graph, train)
    labels = torch.tensor([line[0] for line in parts["node_labels"]])
    degree = torch.full((len(graph),), 2)
    degree[0] = 3
    expected = torch.cat(
        [
            F.one_hot(labels.long() - 3, 3),
            (attributes - attributes[inside].mean(0)) / attributes[inside].std(0, correction=0),
            F.one_hot(degree, 4),
        ],
        dim=1,
    )
    x, edge_attr = data.encode(store, "here")
    assert (data.num_features, data.num_edge_features) == (3 + 2 + 4, 2 + 1)
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-5)
    assert edge_attr.shape == (len(parts["A"]), 3)
    assert (edge_attr[:, :2].sum(1) == 1).all()


@pytest.mark.parametrize(
    ("leave_out", "max_degree", "num_features", "num_edge_features"),
    [
        ((), 0, 5, 3),
        (("node_labels",), 0, 2, 3),
        (("node_attributes",), 0, 3, 3),
        (("edge_labels",), 0, 5, 1),
        (("edge_attributes",), 0, 5, 2),
        (("edge_labels", "edge_attributes"), 0, 5, 0),
        (("node_labels", "node_attributes"), 0, 1, 3),
        (("node_labels", "node_attributes"), 5, 6, 3),
    ],
)
def test_files_of_labels_and_attributes_may_be_there_or_not(
    leave_out: tuple[str, ...], max_degree: int, num_features: int, num_edge_features: int, place: Path
) -> None:
    data = ready(write(place, rings(), *leave_out), max_degree=max_degree)
    batch, target = everything(data.examples(torch.arange(24)))
    assert (data.num_features, data.num_edge_features) == (num_features, num_edge_features)
    assert batch.x.shape == (len(rings()["graph_indicator"]), num_features)
    assert batch.edge_attr.shape == (len(rings()["A"]), num_edge_features)
    assert batch.x.abs().sum() > 0
    assert [data.class_names[code] for code in target.tolist()] == ["1", "-1"] * 12


def test_edges_may_be_listed_in_any_order(place: Path) -> None:
    parts = rings()
    order = np.random.default_rng(1).permutation(len(parts["A"]))
    shuffled = {
        name: [lines[number] for number in order] if name in ("A", "edge_labels", "edge_attributes") else lines
        for name, lines in parts.items()
    }
    both = [ready(write(place / name, given)) for name, given in (("sorted", parts), ("shuffled", shuffled))]

    def edges(data: GraphClasses, number: int) -> list[list[float]]:
        batch, _ = data.examples(torch.tensor([number]))[torch.tensor([0])]
        rows: Tensor = torch.cat([batch.edge_index.T.float(), batch.edge_attr], dim=1)
        return sorted(rows.tolist())

    for number in range(24):
        np.testing.assert_allclose(edges(both[0], number), edges(both[1], number), rtol=1e-4, atol=1e-6)


def test_nothing_is_learned_from_graphs_outside_the_training_split(place: Path) -> None:
    parts = rings()
    before = ready(write(place, parts))

    def change(graphs: list[int], by: int) -> None:
        for line, (graph,) in enumerate(parts["graph_indicator"]):
            if graph - 1 in graphs:
                parts["node_labels"][line] = [parts["node_labels"][line][0] + by]
                parts["node_attributes"][line] = [value + by for value in parts["node_attributes"][line]]
        for line, (first, _) in enumerate(parts["A"]):
            if parts["graph_indicator"][int(first) - 1][0] - 1 in graphs:
                parts["edge_labels"][line] = [parts["edge_labels"][line][0] + by]
                parts["edge_attributes"][line] = [value + by for value in parts["edge_attributes"][line]]

    change(torch.cat([before.splits.val, before.splits.test]).tolist(), 100)
    after = ready(write(place, parts))
    assert after.state_dict() == before.state_dict()
    tested, _ = everything(after.examples(after.splits.test))
    assert (tested.x[:, :3] == 0).all(), "a label never seen in training is all zeros"
    change(before.splits.train.tolist()[:1], 100)
    assert ready(write(place, parts)).state_dict() != before.state_dict()


def test_input_needs_no_classes_and_keeps_its_order(place: Path) -> None:
    data = ready(write(place / "train", rings()))
    examples, names = data.read_input(write(place / "new", rings(), "graph_labels"))
    assert names == [str(number + 1) for number in range(24)]
    assert_same(everything(examples), one_by_one(data, list(range(24))))


def test_a_restored_state_encodes_other_graphs_by_what_it_learned(place: Path) -> None:
    data = ready(write(place / "train", rings()))
    few = rings(8)
    few["node_labels"] = [[9]] * len(few["node_labels"])
    other = GraphClasses(str(write(place / "new", few)), batch_size=1)
    other.load_state_dict(data.state_dict())
    other.setup_test()
    batch, _ = everything(other.examples(other.splits.test))
    expected, _ = everything(data.examples(torch.arange(8)))
    assert torch.equal(batch.x[:, 3:], expected.x[:, 3:])
    assert (batch.x[:, :3] == 0).all()


def changed(name: str, line: int, values: list[Any]) -> Parts:
    parts = rings()
    parts[name][line - 1] = values
    return parts


def without_last(name: str) -> Parts:
    parts = rings()
    parts[name].pop()
    return parts


NODES, EDGES = len(rings()["graph_indicator"]), len(rings()["A"])


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (changed("A", 5, [1, NODES + 1]), ["_A.txt:5:", f"nodes 1 and {NODES + 1}", f"last node is {NODES}"]),
        (changed("A", 5, [0, 1]), ["_A.txt:5:", "nodes 0 and 1"]),
        (changed("A", 5, [1, 4]), ["_A.txt:5:", "joins nodes of two graphs"]),
        (changed("A", 5, [1]), ["_A.txt:5:", "expected 2 numbers, found 1"]),
        (changed("A", 5, [1, "two"]), ["_A.txt:5:", "expected numbers, found 1, two"]),
        ({**rings(), "A": [[1, 2, 3]] * EDGES}, ["_A.txt:1:", "two node indices", "found 3"]),
        ({**rings(), "A": []}, ["_A.txt", "the file is empty"]),
        ({**rings(), "graph_indicator": []}, ["_graph_indicator.txt", "the file is empty"]),
        ({**rings(), "graph_labels": []}, ["_graph_labels.txt", "the file is empty"]),
        (changed("graph_indicator", 6, [1]), ["_graph_indicator.txt:6:", "ascend from 1"]),
        (changed("graph_indicator", 1, [0]), ["_A.txt:1:", "joins nodes of two graphs"]),
        (changed("graph_indicator", 6, [1.5]), ["_graph_indicator.txt:6:", "expected whole numbers, found 1.5"]),
        (changed("node_attributes", 7, [1.5, "nan"]), ["_node_attributes.txt:7:", "column 2 is nan", "finite"]),
        (changed("node_attributes", 7, ["-inf", 1.5]), ["_node_attributes.txt:7:", "column 1 is -inf"]),
        (changed("edge_attributes", 9, ["inf"]), ["_edge_attributes.txt:9:", "column 1 is inf"]),
        (changed("node_attributes", 7, [1.5]), ["_node_attributes.txt:7:", "expected 2 numbers, found 1"]),
        (changed("node_labels", 3, [3.25]), ["_node_labels.txt:3:", "found 3.25", "NAME_node_attributes.txt"]),
        (changed("node_labels", 3, ["C", "N"]), ["_node_labels.txt:3:", "expected 1 labels, found 2"]),
        (changed("graph_labels", 3, [0.5]), ["_graph_labels.txt:3:", "found 0.5", "are no classes"]),
        ({**rings(), "graph_labels": [[1, 0]] * 24}, ["_graph_labels.txt:1:", "one class for each graph", "2 columns"]),
        (without_last("node_labels"), ["_node_labels.txt", f"{NODES - 1} lines", f"{NODES} nodes"]),
        (without_last("node_attributes"), ["_node_attributes.txt", f"{NODES - 1} lines", f"{NODES} nodes"]),
        (without_last("edge_labels"), ["_edge_labels.txt", f"{EDGES - 1} lines", f"{EDGES} edges"]),
        (without_last("edge_attributes"), ["_edge_attributes.txt", f"{EDGES - 1} lines", f"{EDGES} edges"]),
        (without_last("graph_labels"), ["_graph_labels.txt", "23 lines", "24 graphs"]),
        ({**rings(), "graph_labels": [[1]] * 24}, ["one class, 1"]),
        (rings(4), ["split is empty", "4 examples"]),
    ],
)
def test_files_that_cannot_be_used_are_refused(parts: Parts, words: list[str], place: Path, refused: Any) -> None:
    write(place, parts)
    with refused(place, *words):
        ready(place)


def test_words_that_are_not_utf_8_are_refused(place: Path, refused: Any) -> None:
    (write(place, rings()) / "环 RINGS_graph_labels.txt").write_bytes("毒\n无\n".encode("gb18030") * 12)
    with refused("_graph_labels.txt", "is not UTF-8"):
        ready(place)


def test_bytes_that_are_not_text_are_refused_with_their_line(place: Path, refused: Any) -> None:
    write(place, rings())
    file = place / "环 RINGS_node_attributes.txt"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\n\xff\xfe", 1))
    with refused(f"{file}:2:", "expected numbers"):
        ready(place)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("A", ["NAME_A.txt", "NAME_graph_indicator.txt"]),
        ("graph_indicator", ["环 RINGS_graph_indicator.txt"]),
        ("graph_labels", ["环 RINGS_graph_labels.txt"]),
    ],
)
def test_a_missing_file_is_named(missing: str, words: list[str], place: Path, refused: Any) -> None:
    write(place, rings(), missing)
    with refused(place, "expected", *words):
        ready(place)


def test_several_data_sets_are_refused_unless_one_is_called_like_the_folder(place: Path, refused: Any) -> None:
    write(place, rings())
    for file in list(place.iterdir()):
        shutil.copyfile(file, place / file.name.replace("环 RINGS", place.name))
    assert len(ready(place).store) == 24
    for file in place.glob(f"{place.name}_*"):
        file.rename(place / file.name.replace(place.name, "another"))
    with refused(place, "several data sets", "another_A.txt", "环 RINGS_A.txt"):
        ready(place)
    assert len(ready(place / "another_A.txt").store) == 24


def told(data: GraphClasses, *words: str) -> bool:
    """Whether one note contains all the words."""
    return any(all(word in note for word in words) for note in data.notes)


@pytest.mark.parametrize("wrapper", ["raw", "RINGS", "RINGS/raw"])
def test_the_files_may_be_in_a_folder_inside_it(wrapper: str, place: Path) -> None:
    (place / wrapper).mkdir(parents=True)
    (place / "__MACOSX").mkdir()
    (place / "__MACOSX" / "._RINGS_A.txt").write_text("")
    write(place / wrapper, rings())
    data = ready(place)
    assert data.contents() == ready(place / wrapper).contents()
    assert len(data.read_input(place)[1]) == 24


FORMS: list[tuple[str, bytes, bytes]] = [
    ("blanks", b", ", b" "),
    ("commas alone", b", ", b","),
    ("tabs", b", ", b"\t"),
    ("semicolons", b", ", b"; "),
    ("Windows", b"\n", b"\r\n"),
    ("an empty line at the end", b"\n", b"\n"),
]


@pytest.mark.parametrize(("name", "old", "new"), FORMS)
def test_numbers_in_any_usual_form_are_read_the_same(name: str, old: bytes, new: bytes, place: Path) -> None:
    plain = ready(write(place / "plain", rings()))
    for file in write(place / "other", rings()).iterdir():
        file.write_bytes(file.read_bytes().replace(old, new) + (b"\n" if "empty" in name else b""))
    other = ready(place / "other")
    assert other.contents() == plain.contents()
    assert other.state_dict() == plain.state_dict()
    assert other.notes == plain.notes == []


@pytest.mark.parametrize("form", ["{}.0", "{:.18e}", "0{}"])
def test_whole_numbers_may_be_written_as_floats(form: str, place: Path) -> None:
    parts = rings()
    parts["graph_labels"] = [[graph % 2] for graph in range(24)]
    plain = ready(write(place / "plain", parts))
    for name in ("A", "graph_indicator", "graph_labels", "node_labels", "edge_labels"):
        parts[name] = [[form.format(value) for value in line] for line in parts[name]]  # type: ignore[misc]
    other = ready(write(place / "other", parts))
    assert other.contents() == plain.contents()
    assert (other.class_names, other.node_labels) == (["0", "1"], plain.node_labels)


def test_every_column_of_labels_becomes_features(place: Path) -> None:
    parts = rings()
    parts["node_labels"] = [[line[0], index % 2 + 7] for index, line in enumerate(parts["node_labels"])]
    parts["edge_labels"] = [[line[0], "=#-"[index % 3]] for index, line in enumerate(parts["edge_labels"])]  # type: ignore[list-item]
    data = ready(write(place / "train", parts), max_degree=0)
    assert data.node_labels == [[3, 4, 5], [7, 8]]
    assert data.edge_labels == [[0, 1], ["#", "-", "="]]
    batch, _ = everything(data.examples(torch.arange(24)))
    assert batch.x.shape[1] == data.num_features == 5 + 2
    assert batch.edge_attr.shape[1] == data.num_edge_features == 5 + 1
    assert (batch.x[:, 3:5].argmax(1) == torch.arange(NODES) % 2).all()
    assert (batch.edge_attr[:, :2].sum(1) == 1).all()
    examples, _ = data.read_input(place / "train")
    assert_same(everything(examples), batch)
    contents = data.contents()
    parts["edge_labels"][0][1] = "other"  # type: ignore[call-overload]
    changes = ready(write(place / "other", parts)).contents()
    assert [name for name in contents if contents[name] != changes[name]] == ["edge labels 2"]


def test_a_model_that_was_trained_on_the_first_column_of_labels_reads_that_alone(place: Path, refused: Any) -> None:
    data = ready(write(place / "one", rings()))
    parts = {**rings(), "node_labels": [[line[0], 9] for line in rings()["node_labels"]]}
    write(place / "two", parts)
    assert_same(everything(data.read_input(place / "two")[0]), everything(data.read_input(place / "one")[0]))
    assert told(data, "1 of 2 columns of node labels", "as in training")
    with refused(place / "one", "node labels: 1 columns, expected 2"):
        ready(place / "two").read_input(place / "one")


def test_labels_may_be_words(place: Path) -> None:
    parts: dict[str, Any] = rings()
    parts["graph_labels"] = [['"not toxic"' if graph % 2 else "toxic"] for graph in range(24)]
    parts["node_labels"] = [["CNO"[int(label) - 3]] for (label,) in rings()["node_labels"]]
    data = ready(write(place / "train", parts))
    assert data.class_names == ["not toxic", "toxic"]
    assert data.node_labels == ["C", "N", "O"]
    assert data.notes == []
    plain = ready(write(place / "numbers", rings()))
    assert_same(everything(data.read_input(place / "train")[0]), everything(plain.read_input(place / "numbers")[0]))


def test_a_label_means_the_same_whatever_else_is_in_its_file(place: Path) -> None:
    data = ready(write(place / "train", rings()))
    parts: dict[str, Any] = rings()
    parts["node_labels"][0] = ["X"]
    found = everything(data.read_input(write(place / "new", parts))[0])
    expected = everything(data.read_input(place / "train")[0])
    assert (found.x[0, :3] == 0).all()
    assert torch.equal(found.x[1:], expected.x[1:])
    assert told(data, "node_labels.txt", "numbers and words (X)")


def test_missing_labels_are_told_and_their_graphs_are_not_trained_on(place: Path) -> None:
    parts: dict[str, Any] = rings()
    parts["graph_labels"][5], parts["graph_labels"][8] = ["nan"], ["?"]
    parts["node_labels"][0] = ["NA"]
    data = ready(write(place, parts))
    assert sorted(torch.cat(list(data.splits)).tolist()) == [graph for graph in range(24) if graph not in (5, 8)]
    assert (data.class_names, data.node_labels) == (["-1", "1"], ["3", "4", "5"])
    assert told(data, "graph_labels.txt", "2 of 24 labels are missing (nan, ?)")
    assert told(data, "node_labels.txt", f"1 of {NODES} labels are missing (NA)")
    assert len(data.read_input(place)[1]) == 24


def test_numbers_may_begin_with_0(place: Path) -> None:
    parts = rings()
    plain = ready(write(place / "plain", parts))
    parts["A"] = [[node - 1 for node in line] for line in parts["A"]]
    nodes_alone = ready(write(place / "nodes", parts))
    parts["graph_indicator"] = [[graph - 1] for (graph,) in parts["graph_indicator"]]
    both = ready(write(place / "both", parts))
    assert plain.contents() == nodes_alone.contents() == both.contents()
    assert told(nodes_alone, "_A.txt", "numbers the nodes from 0")
    assert not told(nodes_alone, "_indicator.txt")
    assert told(both, "_graph_indicator.txt", "numbers the graphs from 0")
    assert both.read_input(place / "both")[1] == [str(graph) for graph in range(24)]


def test_the_first_number_follows_from_all_edges(place: Path) -> None:
    """[3, 4] joins two graphs if the nodes are numbered from 1, and one with itself if they are from 0."""
    parts: Parts = {"A": [[3, 4], [2, 3]], "graph_indicator": [[1], [1], [2], [2], [2]], "graph_labels": [[0], [1]]}
    data = GraphClasses(str(write(place, parts)))
    data.read()
    assert data.store.edge_index.T.tolist() == [[1, 2], [0, 1]]
    assert data.store.edge_start.tolist() == [0, 0, 2]
    write(place, {**parts, "A": [[1, 2], [3, 4]]})
    data.read()
    assert data.store.edge_index.T.tolist() == [[0, 1], [0, 1]]


def test_edges_in_one_direction_are_told_and_read_in_both_if_asked(place: Path) -> None:
    parts = rings()
    for name in ("A", "edge_labels", "edge_attributes"):
        parts[name] = parts[name][::2]
    write(place / "once", parts)
    once = ready(place / "once")
    assert once.store.edge_index.shape[1] == EDGES // 2
    assert told(once, f"{EDGES // 2} of its {EDGES // 2} edges have no edge back", "--data.undirected true")
    both, plain = ready(place / "once", undirected=True), ready(write(place / "both", rings()))
    assert told(both, "read in both directions")

    def edges(data: GraphClasses) -> list[list[float]]:
        batch, _ = everything(data.examples(torch.arange(24)))
        rows: Tensor = torch.cat([batch.edge_index.T.float(), batch.edge_attr], dim=1)
        return sorted(rows.tolist())

    assert edges(both) == edges(plain)
    assert ready(place / "both", undirected=True).contents() == plain.contents()


def test_repeated_edges_and_loops_are_told(place: Path) -> None:
    parts = rings()
    for pair in ([1, 2], [1, 2], [3, 3]):
        for name in ("edge_labels", "edge_attributes"):
            parts[name].append(parts[name][0])
        parts["A"].append([*map(float, pair)])
    data = ready(write(place, parts))
    assert told(data, "2 edges repeat an earlier one, 1 join a node with itself", "kept")
    assert data.store.edge_index.shape[1] == EDGES + 3


def test_a_class_that_a_restored_model_does_not_know_is_refused(place: Path, refused: Any) -> None:
    data = ready(write(place / "train", rings()))
    other = GraphClasses(str(write(place / "new", changed("graph_labels", 5, [2]))))
    other.load_state_dict(data.state_dict())
    with refused(place / "new", "example 5 has label 2", "-1, 1"):
        other.setup_test()


@pytest.mark.parametrize(
    ("parts", "leave_out", "words"),
    [
        (rings(), ["node_labels"], ["node labels: missing"]),
        (rings(), ["edge_labels"], ["edge labels: missing"]),
        (rings(), ["node_attributes"], ["node attributes: 0 columns, expected 2"]),
        ({**rings(), "edge_attributes": [[1, 2]] * EDGES}, [], ["edge attributes: 2 columns, expected 1"]),
    ],
)
def test_input_that_does_not_fit_the_model_is_refused(
    parts: Parts, leave_out: list[str], words: list[str], place: Path, refused: Any
) -> None:
    data = ready(write(place / "train", rings()))
    write(place / "new", parts, *leave_out)
    with refused(place / "new", *words):
        data.read_input(place / "new")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_graphs": 0}, ["--data.num_graphs", "at least 1", "got 0"]),
        ({"max_degree": -1}, ["--data.max_degree", "at least 0", "got -1"]),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], words: list[str], refused: Any) -> None:
    with refused(*words):
        GraphClasses("motifs", **options)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "counts", "num_labels"), [("MUTAG", [63, 125], 7), ("PROTEINS", [663, 450], 3)])
def test_published_graphs_are_those_that_torch_geometric_reads(
    name: str, counts: list[int], num_labels: int, shared_data: Path, tmp_path: Path
) -> None:
    from torch_geometric.datasets import TUDataset

    data = GraphClasses(name, root=str(shared_data), max_degree=0)
    data.setup()
    assert torch.bincount(data.labels).tolist() == counts
    assert len(data.node_labels) == num_labels
    shutil.copytree(shared_data / "graph" / "tudataset" / name, tmp_path / name)
    for path in (tmp_path / name, *(tmp_path / name).rglob("*")):
        path.chmod(0o755)
    theirs = TUDataset(str(tmp_path), name)
    assert len(theirs) == sum(counts)
    for number in (0, 1, 50, len(theirs) - 1):
        ours, target = data.examples(torch.tensor([number]))[torch.tensor([0])]
        other = theirs[number]
        assert torch.equal(ours.x[:, :num_labels], other.x[:, -num_labels:])
        assert torch.equal(_sorted(ours.edge_index), _sorted(other.edge_index))
        assert target.tolist() == other.y.tolist()


def _sorted(edge_index: Tensor) -> Tensor:
    return torch.unique(edge_index, dim=1)


def test_a_batch_has_the_names_of_torch_geometric() -> None:
    """A network that is written for it takes `batch.x, batch.edge_index, batch.batch`."""
    from torch_geometric.nn import GCNConv, global_mean_pool

    from datamodules.nodes import Nodes

    for data in (GraphClasses(num_graphs=40, batch_size=8), Nodes()):
        data.setup()
        batch, _ = next(iter(data.train_dataloader()))
        hidden = GCNConv(batch.x.shape[1], 4)(batch.x.to_dense(), batch.edge_index)
        pooled = global_mean_pool(hidden, batch.batch)
        assert pooled.shape == (getattr(batch, "num_graphs", 1), 4)

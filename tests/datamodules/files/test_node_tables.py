"""One graph in the forms in which programs write it and publishers publish it: each is read as its plain form is."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.nodes import Nodes

SIZE = 30
PAIRS = [(node, node * 7 % SIZE) for node in range(1, SIZE)] + [(node, (node + 1) % SIZE) for node in range(SIZE)]
PAIRS = [pair for pair in dict.fromkeys(PAIRS) if pair[0] != pair[1]]


def node_id(node: int) -> str:
    return f"{node:04}" if node else "A001"


def lines(*rows: object) -> str:
    return "".join(f"{row}\n" for row in rows)


def nodes_csv(
    key: str = "id", label: str = "label", more: str = "", values: Callable[[int], str] = lambda node: ""
) -> str:
    rows = (f"{node_id(node)},{'ab'[node % 2]},{node * 7 % 10}{values(node)}" for node in range(SIZE))
    return lines(f"{key},{label},x{more}", *rows)


def edges_csv(header: str = "source,target", row: str = "{0},{1}") -> str:
    return lines(*[header] * bool(header), *(row.format(*map(node_id, pair), 5) for pair in PAIRS))


def written(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def ready(folder: Path, **options: Any) -> Nodes:
    data = Nodes(str(folder), **options)
    data.setup()
    return data


def told(data: Nodes, *words: str) -> bool:
    """Whether one note contains all the words."""
    return any(all(word in note for word in words) for note in data.notes)


def links(data: Nodes) -> set[tuple[int, ...]]:
    return {tuple(pair) for pair in torch.from_numpy(data.network.adjacency.toarray()).nonzero().tolist()}


PLAIN: dict[str, str | bytes] = {"nodes.csv": nodes_csv(), "edges.csv": edges_csv()}
BOTH = {pair for one, other in PAIRS for pair in ((one, other), (other, one))}
FORMS: dict[str, tuple[dict[str, str | bytes], tuple[str, ...]]] = {  # files, and words of a note
    "plain": (PLAIN, ()),
    "no header": ({"edges.csv": edges_csv("")}, ()),
    "target first": ({"edges.csv": edges_csv("target,source", "{1},{0}")}, ()),
    "any order": ({"edges.csv": edges_csv("weight,dst,src", "{2},{1},{0}")}, ("src and dst", "left out: weight")),
    "an index": ({"edges.csv": lines(",source,target", *(f"{n},{node_id(a)},{node_id(b)}" for n, (a, b) in
                                                         enumerate(PAIRS)))}, ("left out: one without a name",)),
    "other names": ({"edges.csv": edges_csv("number,one paper,another", "{2},{0},{1}")},
                    ("the first line", "names of the columns")),
    "one name twice": ({"edges.csv": edges_csv("node_id\tnode_id", "{0}\t{1}")}, ()),
    "semicolons": ({"edges.csv": edges_csv("from;to", "{0};{1}")}, ()),
    "SNAP": ({"edges.csv": b"", "net.edges.txt": "# Undirected\n# FromNodeId\tToNodeId\n" + edges_csv("", "{0}\t{1}")},
             ()),
    "a network repository": ({"edges.csv": b"", "net.edges": "% sym unweighted\n" + edges_csv("", "{0} {1} {2}")},
                             ("column 1 and column 2", "1 more")),
    "networkx": ({"edges.csv": b"", "net.edgelist": edges_csv("", "{0}   {1} {{}}")}, ("1 more",)),
    "compressed": ({"nodes.csv": b"", "nodes.csv.gz": gzip.compress(nodes_csv().encode()), "edges.csv": b"",
                    "edges.csv.gz": gzip.compress(edges_csv().encode())}, ()),
    "Gephi": ({"nodes.csv": b"", "net [Nodes].csv": nodes_csv("Id", "Label"), "edges.csv": b"",
               "net [Edges].csv": edges_csv("Source,Target,Type,Id", "{0},{1},Directed,{2}")},
              ("edges are directed", "both directions")),
    "MUSAE": ({"nodes.csv": b"", "net_target.csv": nodes_csv("id", "ml_target"), "edges.csv": b"",
               "net_edges.csv": edges_csv("id_1,id_2"), "net_features.json": "{}"}, ("ignored net_features.json",)),
    "a folder inside": ({"nodes.csv": b"", "edges.csv": b"", "raw/nodes.csv": nodes_csv(),
                         "raw/edges.csv": edges_csv()}, ()),
    "Windows": ({name: str(content).replace("\n", "\r\n") for name, content in PLAIN.items()}, ()),
    "a header's later names": ({"nodes.csv": nodes_csv("node_id", "class")}, ()),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_graph_of_its_plain_form(form: str, place: Path) -> None:
    files, words = FORMS[form]
    plain = ready(written(place / "plain", PLAIN))
    written(place / "other", PLAIN | files)
    for name, content in files.items():
        if not content:
            (place / "other" / name).unlink()
    data = ready(place / "other")
    assert links(data) == links(plain) == BOTH
    assert data.contents() == plain.contents()
    assert data.columns == plain.columns
    assert not words or told(data, *words)
    examples, names = data.read_input(place / "other")
    assert names == [node_id(node) for node in range(SIZE)]
    assert len(examples) == SIZE


def test_ids_are_texts_and_numbers_only_where_that_is_certain(place: Path, refused: Any) -> None:
    rows = [f"{node}.0,{'ab'[node % 2]}" for node in range(20)]
    written(place, {"nodes.csv": lines("id,label", *rows), "edges.csv": lines("from,to", "1,2", "03,4", "4.0,3.0")})
    data = ready(place)
    assert links(data) == {(1, 2), (2, 1), (3, 4), (4, 3)}
    assert told(data, "4 ids are written otherwise than in nodes.csv, such as 1 for 1.0")
    assert data.read_input(place)[1][:2] == ["0.0", "1.0"]
    written(place, {"nodes.csv": lines("id,label", *rows, "1,a"), "edges.csv": lines("from,to", "1,2.0", "1.0,3.0")})
    assert links(ready(place)) == {(20, 2), (2, 20), (1, 3), (3, 1)}
    written(place, {"edges.csv": lines("from,to", "1,2.0", "01,3.0", "02,3.0")})
    with refused(place / "edges.csv", "edge 2 joins node 01", "nodes.csv does not have", "2 of 3 edges"):
        ready(place)


def test_a_node_may_be_called_like_a_missing_value(place: Path) -> None:
    rows = [
        f"{name},{'ab'[index % 2]}" for index, name in enumerate(["NA", "nan", "None", "null", *map(str, range(20))])
    ]
    written(place, {"nodes.csv": lines("id,label", *rows), "edges.csv": lines("from,to", "NA,nan", "None,null")})
    assert links(ready(place)) == {(0, 1), (1, 0), (2, 3), (3, 2)}


def test_an_edge_in_the_first_line_is_no_header_even_if_its_node_is_unknown(place: Path, refused: Any) -> None:
    written(place, PLAIN | {"edges.csv": edges_csv("0001,0999")})
    with refused(place / "edges.csv", "edge 1 joins node 0999"):
        ready(place)


def test_repeated_edges_and_loops_are_told(place: Path) -> None:
    written(place, PLAIN | {"edges.csv": edges_csv() + lines("0001,0002", "0001,0002", "0004,0004")})
    data = ready(place)
    assert told(data, "edges.csv", "2 edges repeat an earlier one", "1 join a node with itself and are left out")
    assert links(data) == BOTH


def content_rows(size: int = SIZE) -> list[str]:
    return [f"p{n}\t{n % 2}\t1\t{n % 3 % 2}\t{'ab'[n % 2]}" for n in range(size)]


def test_coras_original_files_are_read_with_their_words(place: Path) -> None:
    cites = lines("p0\tp1", "p2\tp3", "elsewhere\tp4")
    written(place, {"cora.content": lines(*content_rows()), "cora.cites": cites, "README": "about"})
    data = ready(place)
    assert (data.num_features, data.class_names, data.columns) == (3, ["a", "b"], [])
    assert links(data) == {(0, 1), (1, 0), (2, 3), (3, 2)}
    assert data.network.words.toarray()[1].tolist() == pytest.approx([1 / 3] * 3)
    assert told(data, "1 of 3 edges are left out")
    assert data.read_input(place)[1][-1] == f"p{SIZE - 1}"


def test_lists_of_numbers_in_a_column_are_features(place: Path, refused: Any) -> None:
    rows = [f"{n}\t{n % 2},1,{n % 3 % 2},0\t{n % 2}" for n in range(SIZE)]
    edges = lines("node_id\tnode_id", *(f"{a}\t{b}" for a, b in PAIRS))
    files: dict[str, str | bytes] = {"out1_graph_edges.txt": edges}
    written(place, files | {"out1_node_feature_label.txt": lines("node_id\tfeature\tlabel", *rows)})
    data = ready(place)
    assert (data.num_features, data.class_names, data.columns) == (4, ["0", "1"], [])
    assert told(data, "column feature is read as 4 numbers")
    vectors = [f'{n},"[{n}.5, -1.0, 2e-3]",{n % 2},{n % 5}' for n in range(SIZE)]
    written(place / "more", files | {"nodes.csv": lines("id,vector,label,size", *vectors)})
    data = ready(place / "more")
    assert data.num_features == 4
    graph, _ = data.examples(torch.arange(1))[torch.arange(1)]
    assert graph.x[2, 1:].tolist() == pytest.approx([2.5, -1.0, 2e-3])
    written(place / "more", {"nodes.csv": lines("id,vector,label,size", *vectors, '99,"[1, 2]",0,0')})
    with refused(place / "more", "column vector", "expected 3 numbers"):
        ready(place / "more")


OGB: dict[str, str | bytes] = {
    "edge.csv": lines(*(f"{a},{b}" for a, b in PAIRS)),
    "node-feat.csv": lines(*(f"{n * 7 % 10},{n % 3}.5" for n in range(SIZE))),
    "node-label.csv": lines(*(n % 2 for n in range(SIZE))),
}


@pytest.mark.parametrize("packed", [False, True])
def test_ogbs_files_are_read_with_their_splits(packed: bool, place: Path) -> None:
    files = {f"raw/{name}": content for name, content in OGB.items()}
    files |= {"raw/num-node-list.csv": f"{SIZE}\n", "raw/num-edge-list.csv": f"{len(PAIRS)}\n"}
    files |= {
        f"split/time/{name}.csv": lines(*range(first, SIZE, 3)) for first, name in enumerate(["train", "valid", "test"])
    }
    if packed:
        files = {f"{name}.gz": gzip.compress(str(content).encode()) for name, content in files.items()}
    data = ready(written(place, files))
    assert links(data) == BOTH
    assert [split.tolist() for split in data.splits] == [list(range(first, SIZE, 3)) for first in range(3)]
    assert (data.num_features, data.class_names, data.notes) == (2, ["0", "1"], [])
    assert data.read_input(place / "raw")[1] == list(map(str, range(SIZE)))
    for file in place.glob("raw/node-label*"):
        file.unlink()
    assert len(data.read_input(place)[0]) == SIZE


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"node-label.csv": lines(*["0,1"] * SIZE)}, ["node-label.csv", "one column of classes, found 2"]),
        ({"node-label.csv": "1\n0\n"}, ["node-label.csv", "2 rows", f"{SIZE} nodes"]),
        ({"num-node-list.csv": "10\n20\n"}, ["num-node-list.csv", "2 graphs", "expected one"]),
        ({"num-node-list.csv": "31\n"}, ["node-feat.csv", "30 rows, expected 31"]),
        ({"edge.csv": f"0,1\n2,{SIZE}\n"}, ["edge.csv", f"edge 2 joins node {SIZE}", "node-feat.csv"]),
        ({"split/time/train.csv": f"{SIZE}\n"}, ["train.csv", f"from 0 to {SIZE - 1}"]),
        ({"split/time/train.csv": "1\n", "split/sales/train.csv": "1\n"}, ["several splits", "keep one"]),
    ],
)
def test_ogbs_files_that_do_not_agree_are_refused(
    files: dict[str, str | bytes], words: list[str], place: Path, refused: Any
) -> None:
    written(place, OGB | files)
    with refused(place, *words):
        ready(place)


def test_masks_and_other_names_of_splits_are_the_splits(place: Path, refused: Any) -> None:
    def split(node: int) -> int:
        return node % 5 % 3

    masks = written(place / "masks", PLAIN | {"nodes.csv": nodes_csv(
        more=",train_mask,val_mask,test_mask",
        values=lambda node: "".join(f",{split(node) == number and node > 1}" for number in range(3)),
    )})  # fmt: skip
    names = written(place / "names", PLAIN | {"nodes.csv": nodes_csv(
        more=",split", values=lambda node: "," + ("training", "dev", "Test")[split(node)] * (node > 1)
    )})  # fmt: skip
    expected = [[node for node in range(2, SIZE) if split(node) == number] for number in range(3)]
    for folder in (masks, names):
        data = ready(folder)
        assert [rows.tolist() for rows in data.splits] == expected
        assert [state["name"] for state in data.columns] == ["x"]
        assert told(data, "2 of 30 nodes with a class are in no split")
    written(masks, {"nodes.csv": nodes_csv(more=",train_mask,val_mask", values=lambda node: ",True,True")})
    with refused(masks, "row 1 is in two splits, train and val"):
        ready(masks)
    written(masks, {"nodes.csv": nodes_csv(more=",train_mask", values=lambda node: ",7")})
    with refused(masks, "column train_mask has 7", "true or false"):
        ready(masks)


def test_nodes_without_a_class_and_columns_that_are_left_out_are_told(place: Path) -> None:
    table = nodes_csv(more=",title", values=lambda node: f",title {node}").replace("0003,b", "0003,")
    data = ready(written(place, PLAIN | {"nodes.csv": table}))
    assert told(data, "1 of 30 nodes have no class")
    assert [state["name"] for state in data.columns] == ["x", "title"]  # few nodes: texts may recur
    rows = [f"{n},{n % 2},title {n},{n % 7}" for n in range(100)]
    written(place, {"nodes.csv": lines("id,label,title,x", *rows), "edges.csv": lines("u,v", "1,2")})
    assert told(ready(place), "hardly recur: title")


def test_labels_in_a_file_of_their_own_without_a_header_are_read(place: Path) -> None:
    files: dict[str, str | bytes] = {
        "email-core.txt": lines(*(f"{a} {b}" for a, b in PAIRS)),
        "email-core-department-labels.txt": lines(*(f"{n} {n % 2}" for n in range(SIZE))),
    }
    data = ready(written(place, files))
    assert links(data) == BOTH
    assert (data.class_names, data.num_features) == (["0", "1"], SIZE)
    assert told(data, "no header", "its first column", "ids")


def test_a_label_that_is_a_name_is_no_class(place: Path, refused: Any) -> None:
    rows = [f"{n},person {n},{n % 2}" for n in range(SIZE)]
    edges = lines("Source,Target,Type", *(f"{a},{b},Undirected" for a, b in PAIRS))
    written(place, {"nodes.csv": lines("Id,Label,modularity_class", *rows), "edges.csv": edges})
    with refused(place / "nodes.csv", "column Label has 30 values in 30 rows", "--data.target", "modularity_class"):
        ready(place)
    assert ready(place, target="modularity_class").class_names == ["0", "1"]


def test_two_files_that_may_have_the_nodes_are_asked_about(place: Path, refused: Any) -> None:
    written(place, {"my-nodes.csv": nodes_csv(), "old-nodes.csv": nodes_csv(), "edges.csv": edges_csv()})
    with refused(place, "my-nodes.csv, old-nodes.csv", "which has the nodes"):
        ready(place)
    with refused(place / "edges.csv", "expected a folder"):
        ready(place / "edges.csv")


def test_a_column_of_texts_in_training_is_one_in_prediction(place: Path) -> None:
    codes = ["01", "02", "A1"]
    rows = [f"{n},{n % 2},{codes[n % 3]}" for n in range(SIZE)]
    edges = lines("u,v", "1,2")
    data = ready(written(place / "train", {"nodes.csv": lines("id,label,code", *rows), "edges.csv": edges}))
    numbers_alone = lines("id,code", *(f"{n},{codes[n % 2]}" for n in range(SIZE)))
    written(place / "new", {"nodes.csv": numbers_alone, "edges.csv": edges})
    graph = data.read_input(place / "new")[0][torch.arange(SIZE)]
    assert graph.x[:2].tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("classes", [True, False])
def test_input_without_a_header_needs_no_classes(classes: bool, place: Path) -> None:
    rows = [f"{n},{n % 7},{n % 3}.5,{n % 2}" for n in range(SIZE)]
    data = ready(written(place / "train", {"nodes.csv": lines(*rows), "edges.csv": lines("1,2")}))
    new = lines(*(row if classes else row.rpartition(",")[0] for row in rows))
    graph = data.read_input(written(place / "new", {"nodes.csv": new, "edges.csv": lines("1,2")}))[0][
        torch.arange(SIZE)
    ]
    assert torch.equal(graph.x, data.examples(torch.arange(1))[torch.arange(1)][0].x)


def test_a_cell_without_its_blanks_and_quotes_is_the_id(place: Path) -> None:
    names = ["a", "'", "''b''", "c", *map(str, range(20))]  # the third is read without one pair of quotes
    rows = [f"{name},{'ab'[index % 2]}" for index, name in enumerate(names)]
    edges = lines("from,to", "a,c", "'a',  c ", "',''b''", "'c',7")
    written(place, {"nodes.csv": lines("id,label", *rows), "edges.csv": edges})
    data = ready(place)
    assert data.node_names[:4] == ["a", "'", "'b'", "c"]
    assert links(data) == {(0, 3), (3, 0), (1, 2), (2, 1), (3, 11), (11, 3)}
    assert told(data, "1 edges repeat an earlier one")


def test_a_cell_in_quotes_is_not_the_node_whose_id_has_them(place: Path, refused: Any) -> None:
    rows = [f"{name},{'ab'[index % 2]}" for index, name in enumerate(["''b''", *map(str, range(20))])]
    written(place, {"nodes.csv": lines("id,label", *rows), "edges.csv": lines("from,to", "1,2", "'b',3")})
    with refused(place / "edges.csv", "edge 2 joins node 'b'", "nodes.csv does not have"):
        ready(place)

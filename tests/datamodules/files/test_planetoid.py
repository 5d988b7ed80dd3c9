"""Planetoid's files, and what is forged to look like them."""

import pickle
import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from datamodules.errors import DataError
from datamodules.files.planetoid import PARTS, read, read_part
from datamodules.nodes import Nodes
from tests.helpers.forked import died
from tests.helpers.fuzzing import Leaves
from tests.helpers.planetoid_files import parts, pickled, write


def same(one: Any, other: Any) -> bool:
    """Whether two contents of a file are the same, bit for bit."""
    if sp.issparse(one):
        pairs = ((getattr(one, name), getattr(other, name)) for name in ("indptr", "indices", "data"))
        return one.shape == other.shape and all(same(*pair) for pair in pairs)
    if isinstance(one, dict):
        return list(one.items()) == list(other.items())
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_a_data_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = read(write(tmp_path), "ind.cora.")
    assert {*found} == {*PARTS}
    assert all(same(value, found[name]) for name, value in parts().items())
    assert found["test.index"].tolist() == [*range(520, 540)]


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<i4", ">i8", "|u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_any_plain_type_is_read_bit_for_bit(kind: str, order: Any, tmp_path: Path) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 100, (5, 3)), kind, order)
    (tmp_path / "y").write_bytes(pickled(array))
    found = read_part(tmp_path / "y")
    assert same(array, found)
    found[0] = 1  # it is no view of the file's bytes


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("made", [dict, lambda graph: defaultdict(list, graph)])
def test_a_graph_is_read_from_every_protocol(made: Any, protocol: int, tmp_path: Path) -> None:
    graph = made(parts()["graph"])
    content = pickled(graph, protocol).replace(b"cbuiltins\nlist\n", b"c__builtin__\nlist\n")
    (tmp_path / "graph").write_bytes(content.replace(b"\x8c\x08builtins", b"\x8c\x0b__builtin__"))
    assert read_part(tmp_path / "graph") == graph


def as_python_2_wrote(array: np.ndarray[Any, Any]) -> bytes:
    """The text form (protocol 0), in which a string is written as its source."""
    kind = f"cnumpy\ndtype\n(S'{array.dtype.str[1:]}'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    content = "".join(f"\\x{byte:02x}" for byte in array.tobytes())
    made = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    shape = "".join(f"L{length}L\n" for length in array.shape)
    return f"{made}(I1\n({shape}t{kind}I00\nS'{content}'\ntb".encode()


def test_a_matrix_is_read_from_the_text_that_python_2_wrote(tmp_path: Path) -> None:
    matrix = parts()["x"]
    state = b"".join(
        b"S'%s'\n%ss" % (name.encode(), as_python_2_wrote(getattr(matrix, name)))
        for name in ("indptr", "indices", "data")
    )
    made = b"ccopy_reg\n_reconstructor\n(cscipy.sparse.csr\ncsr_matrix\nc__builtin__\nobject\nNtR"
    (tmp_path / "x").write_bytes(made + b"(dS'_shape'\n(I10\nI6\nts" + state + b"b.")
    assert same(matrix, read_part(tmp_path / "x"))


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("inside", ["alone", "in a list"])
def test_a_malicious_pickle_is_refused_and_has_not_run(
    protocol: int, inside: str, tmp_path: Path, refused: Any
) -> None:
    content = Leaves(tmp_path / "it ran")
    file = tmp_path / "ind.cora.x"
    file.write_bytes(pickle.dumps([content] if inside == "in a list" else content, protocol))
    with refused(file, "not a Planetoid file", "makedirs is not accepted"):
        read_part(file)
    assert not (tmp_path / "it ran").exists()
    pickle.loads(file.read_bytes())
    assert (tmp_path / "it ran").exists(), "the pickle is malicious indeed"


@pytest.mark.parametrize("name", ["builtins.eval", "numpy.load", "collections.OrderedDict", "os.system"])
def test_only_what_planetoid_needs_is_unpickled(name: str, tmp_path: Path, refused: Any) -> None:
    module, attribute = name.split(".")
    (tmp_path / "ind.cora.x").write_bytes(f"c{module}\n{attribute}\n.".encode())
    with refused(tmp_path / "ind.cora.x", f"{name} is not accepted"):
        read_part(tmp_path / "ind.cora.x")


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02]q\x00(K\x01K", b"cnumpy\nndarray\n)R."])
def test_a_damaged_pickle_is_refused(content: bytes, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "ind.cora.x").write_bytes(content)
    with refused(tmp_path / "ind.cora.x", "not a Planetoid file"):
        read_part(tmp_path / "ind.cora.x")


Y = pickled(parts()["y"])  # shape (10, 3), int32
X = pickled(parts()["x"])  # shape (10, 6)
INDICES = parts()["x"].indices.tobytes()
START = parts()["x"].indptr.tobytes()
ALLOCATES = 2**31 - 1
DEEP = 3 * 10**5  # enough to overflow a stack of eight megabytes
SHARED = b"".join(b"M" + struct.pack("<H", node) + b"h\x00" for node in range(1, 10**4))
FORGED = {
    "pointers": Y.replace(b"X\x02\x00\x00\x00i4", b"X\x02\x00\x00\x00O8"),
    "a wrong byte order": Y.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00Z"),
    "fewer bytes than the shape says": Y.replace(b"K\nK\x03", b"M\xff\xffM\xff\xff"),
    "a shape beyond memory": Y.replace(b"K\nK\x03", b"\x8a\x06" + (10**12).to_bytes(6, "little") + b"K\x03"),
    "a negative shape": Y.replace(b"K\nK\x03", b"J\xf6\xff\xff\xffJ\xfd\xff\xff\xff"),
    "no rows and many columns": Y.replace(b"K\nK\x03", b"K\x00J\xff\xff\xff\x7f"),
    "an array without a state": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01bt\x85R.",
    "columns past the last": X.replace(INDICES, struct.pack("<i", ALLOCATES) + INDICES[4:]),
    "negative columns": X.replace(INDICES, struct.pack("<i", -ALLOCATES) + INDICES[4:]),
    "rows past the data": X.replace(START, START[:-4] + struct.pack("<i", ALLOCATES)),
    "rows that go back": X.replace(START, START[:8] + struct.pack("<i", -8) + START[12:]),
    "more columns than bytes": X.replace(b"K\nK\x06", b"K\nJ\xff\xff\xff\x7f"),
    "more rows than it has": X.replace(b"K\nK\x06", b"J\xff\xff\xff\x7fK\x06"),
    "a node that is no number": pickled({0: [1, "a"]}),
    "a node beyond 64 bits": pickled({0: [1 << 70]}),
    "a node that is a list": b"\x80\x02}]]s.",
    "a memo index that allocates": b"\x80\x02]r\xff\xff\xff\xff.",
    "a text of two gigabytes": b"\x80\x02T\xff\xff\xff\x7f.",
    "a text of a negative length": b"\x80\x02T\xff\xff\xff\xff.",
    "bytes beyond memory": b"\x80\x04\x8e" + b"\xff" * 8 + b".",
    "a number beyond memory": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "a deep tuple as a key": b"\x80\x02})" + b"\x85" * DEEP + b"]s.",
    "deep lists": b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "lists that share": b"\x80\x02}(K\x00]q\x00(" + b"K\x01" * 10**4 + b"e" + SHARED + b"u.",
    "an extension": b"\x80\x02\x82\x01.",
    "an object kept elsewhere": b"\x80\x02K\x01Q.",
    "a state that sets attributes": b"\x80\x02cnumpy\ndtype\n}U\x09__class__K\x01sb.",
    "a call of a list": b"\x80\x02]K\x01\x85R.",
    "a call without a tuple": b"\x80\x02cnumpy\nndarray\n]R.",
    "nothing on the stack": b"\x80\x02.",
    "no mark": b"\x80\x02K\x01t.",
    "no end": b"\x80\x02" + b"N" * 100,
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_refused_and_nothing_crashes(name: str, tmp_path: Path) -> None:
    assert FORGED[name] not in (X, Y), "it is forged indeed"
    (tmp_path / "ind.cora.x").write_bytes(FORGED[name])

    def attempt() -> None:
        with pytest.raises(DataError, match="not a Planetoid file"):
            read_part(tmp_path / "ind.cora.x")

    assert died(attempt, tmp_path / "said") == ""


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("test.index", b"520\n521\n", "expected 2 rows as in test.index, found (20, 6)"),
        ("ty", parts(tested=19)["ty"], "expected 20 rows as in tx"),
        ("allx", parts(columns=7)["allx"], "expected 6 columns as in x"),
        ("ally", np.ones((520, 2), np.int32), "expected 3 classes as in y"),
        ("y", parts()["x"], "one-hot classes"),
        ("x", parts()["y"], "a sparse matrix"),
        ("graph", parts()["y"], "a graph"),
        ("graph", {0: [1]}, "indices below 21"),
        ("y", parts(trained=30)["y"], "10 rows as in x"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(
    part: str, value: Any, words: str, tmp_path: Path, refused: Any
) -> None:
    folder = write(tmp_path / "Cora" / "raw", **{part: value})
    with refused(folder, words):
        Nodes("Cora", root=str(tmp_path)).setup()


@pytest.mark.parametrize("text", ["", "a\n", "-1\n" * 20, f"{10**12}\n" * 20, f"{10**30}\n" * 20])
def test_tested_nodes_that_are_none_are_refused(text: str, tmp_path: Path, refused: Any) -> None:
    folder = write(tmp_path / "Cora" / "raw")
    (folder / "ind.cora.test.index").write_text(text)
    with refused(folder / "ind.cora.test.index"):
        Nodes("Cora", root=str(tmp_path)).setup()

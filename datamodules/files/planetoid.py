"""Planetoid's files: pickles of Python 2, read as data alone.

numpy and scipy do not validate the shapes, types and indices in a pickle, and a forged one crashes the interpreter. So
nothing is unpickled here: `Pickle` records the calls, and `decoded` accepts those of which such a file consists: arrays
of plain numbers, sparse matrices of them, and the graph.
"""

import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from datamodules.errors import DataError
from datamodules.files.inert_pickle import Call, Pickle
from datamodules.files.paths import regular

PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
VALIDATION = 500  # nodes after those of training
ARRAY, MATRIX = "numpy.core.multiarray._reconstruct", "scipy.sparse.csr.csr_matrix"
GRAPH = "collections.defaultdict"
NAMES = {
    *(ARRAY, "numpy.ndarray", "numpy.dtype", MATRIX, "copy_reg._reconstructor", "__builtin__.object"),
    *(GRAPH, "__builtin__.list"),
}
NUMBERS = {"f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}
ORDERS = {"<", ">", "|", "="}


def decoded(value: Any, size: int) -> Any:
    """The content of a Planetoid file: an array, a sparse matrix, or the graph as each node's list of neighbours.

    Args:
        value: as `Pickle` returns it.
        size: of the file; neither the nodes of a graph nor the columns of a matrix exceed the bytes.

    Raises:
        ValueError: it is none of these.
    """
    name = value.name if type(value) is Call else ""
    is_matrix = value.arguments[:1] == (MATRIX,) if name == "copy_reg._reconstructor" else name == MATRIX
    if name == ARRAY:
        return _array(value)
    if is_matrix:
        return _matrix(value.state, size)
    return _graph(value.state if name == GRAPH else value, size)


def _array(call: Any) -> np.ndarray[Any, Any]:
    """An array of plain numbers, copied from its bytes in the file."""
    if type(call) is not Call or call.name != ARRAY or type(call.state) is not tuple or len(call.state) != 5:
        raise ValueError("expected an array")
    _, shape, type_call, by_columns, content = call.state
    content = content.encode("latin1") if type(content) is str else content  # as Python 2 has them
    dtype = _dtype(type_call)
    if type(shape) is not tuple or not 1 <= len(shape) <= 2 or any(type(length) is not int for length in shape):
        raise ValueError("expected an array of one or two dimensions")
    if any(length < 0 for length in shape) or (len(shape) == 2 and 0 in shape):
        raise ValueError(f"expected an array that is not empty, found one of shape {shape}")
    if type(content) is not bytes or len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} and type {dtype} has not as many bytes as it should")
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns is True else "C").copy()
    if not np.isfinite(array).all():
        raise ValueError("an array has NaN or an infinity")
    return array


def _dtype(call: Any) -> np.dtype[Any]:
    """A type of plain numbers."""
    if type(call) is Call and call.name == "numpy.dtype" and type(call.state) is tuple and len(call.state) > 1:
        name, order = call.arguments[0] if call.arguments else None, call.state[1]
        if type(name) is str and name in NUMBERS and type(order) is str and order in ORDERS:
            return np.dtype(order + name)
    raise ValueError("expected an array of plain numbers")


def _matrix(state: Any, size: int) -> Any:
    """A sparse matrix whose indices are within its shape."""
    if type(state) is not dict or not {"_shape", "indptr", "indices", "data"} <= {*state}:
        raise ValueError("expected a sparse matrix with its shape, indptr, indices and data")
    start, indices, data = (_array(state[name]) for name in ("indptr", "indices", "data"))
    shape = state["_shape"]
    if type(shape) is not tuple or len(shape) != 2 or any(type(length) is not int for length in shape):
        raise ValueError("expected a sparse matrix of two dimensions")
    if not (len(start) == shape[0] + 1 > 1 and 1 <= shape[1] <= size):
        raise ValueError(f"a sparse matrix of shape {shape} in {size} bytes")
    if any(part.ndim != 1 or part.dtype.kind != code for part, code in ((start, "i"), (indices, "i"), (data, "f"))):
        raise ValueError("expected integers as a sparse matrix's indices, and floating point numbers as its data")
    if start[0] != 0 or start[-1] != len(indices) or len(indices) != len(data) or (np.diff(start) < 0).any():
        raise ValueError("the rows of a sparse matrix are not within its data")
    if len(indices) and not 0 <= indices.min() <= indices.max() < shape[1]:
        raise ValueError(f"a sparse matrix of {shape[1]} columns has an index outside of them")
    return sp.csr_matrix((data, indices, start), shape=shape)


def _graph(graph: Any, size: int) -> dict[int, list[int]]:
    """Each node's list of neighbours."""
    if type(graph) is not dict or not graph or {*map(type, graph.values())} != {list} or {*map(type, graph)} != {int}:
        raise ValueError("expected an array, a sparse matrix, or a graph: each node with a list of neighbours")
    if not 0 < sum(map(len, graph.values())) <= size:  # a small file could mean more edges than memory holds
        raise ValueError("the graph has no edges, or its nodes share their lists of neighbours")
    if {type(other) for others in graph.values() for other in others} != {int}:
        raise ValueError("a node's list has something that is no node")
    if any(abs(node) >> 62 for nodes in (graph, *graph.values()) for node in nodes):
        raise ValueError("a node's index has more than 64 bits")
    return graph


def read_part(path: Path) -> Any:
    """One of Planetoid's files.

    Raises:
        DataError: it is damaged, or contains something unexpected; nothing in it was executed.
    """
    content = regular(path).read_bytes()
    try:
        if path.name.endswith("test.index"):
            return np.array([int(line) for line in content.split()], np.int64)
        return decoded(Pickle(content, NAMES).load(), len(content))
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise DataError(f"{path}: not a Planetoid file ({error})") from None


def read(folder: Path, prefix: str) -> dict[str, Any]:
    """All files of a data set, with consistent sizes.

    Args:
        folder: their folder.
        prefix: of their names, such as `ind.cora.`.

    Returns:
        By their names without the prefix: sparse matrices `x`, `tx` and `allx`, one-hot classes `y`, `ty` and `ally`,
        the `graph` as a dictionary, and the indices of the test nodes, `test.index`.

    Raises:
        DataError: a file is damaged, or inconsistent with the others.
    """
    parts = {name: read_part(folder / (prefix + name)) for name in PARTS}
    graph, tested = parts["graph"], parts["test.index"]

    def expect(name: str, fits: bool, what: str) -> None:
        if not fits:
            found = getattr(parts[name], "shape", type(parts[name]).__name__)
            raise DataError(f"{folder / (prefix + name)}: expected {what}, found {found}")

    expect("graph", type(graph) is dict, "a graph")
    limit = len(graph) + len(tested)
    expect("test.index", len(tested) > 0 and 0 <= tested.min() <= tested.max() < limit, f"indices below {limit}")
    for name in ("x", "tx", "allx"):
        expect(name, sp.issparse(parts[name]), "a sparse matrix")
        expect(name, parts[name].shape[1] == parts["x"].shape[1], f"{parts['x'].shape[1]} columns as in x")
    for features, classes in (("x", "y"), ("tx", "ty"), ("allx", "ally")):
        rows = parts[features].shape[0]
        expect(classes, isinstance(parts[classes], np.ndarray) and parts[classes].ndim == 2, "one-hot classes")
        expect(classes, len(parts[classes]) == rows, f"{rows} rows as in {features}")
        expect(classes, parts[classes].shape[1] == parts["y"].shape[1], f"{parts['y'].shape[1]} classes as in y")
    expect("tx", parts["tx"].shape[0] == len(tested), f"{len(tested)} rows as in test.index")
    known = parts["allx"].shape[0]
    expect("allx", parts["x"].shape[0] + VALIDATION <= known <= limit, f"{VALIDATION} rows more than in x, at least")
    return parts


class Citations(NamedTuple):
    """A data set.

    Args:
        pairs: (E, 2) nodes that each edge joins.
        words: scipy (N, F), each row of a sum of one.
        labels: each node's class.
        official: each split's nodes.
    """

    pairs: np.ndarray[Any, Any]
    words: Any
    labels: list[str]
    official: dict[str, np.ndarray[Any, Any]]


def read_citations(folder: Path, prefix: str) -> Citations:
    """A data set put together from its files, as `read` returns them.

    Raises:
        DataError: as `read`, or an edge joins a node that there is not.
    """
    part = read(folder, prefix)
    tested = part["test.index"]
    size = max(int(tested.max()) + 1, len(part["graph"]))
    known = part["allx"].shape[0]
    # CiteSeer's test indices have gaps: isolated nodes without features or a class.
    features = sp.lil_matrix((size, part["allx"].shape[1]), dtype=np.float32)
    features[:known] = part["allx"]
    features[tested] = part["tx"]
    onehot = np.zeros((size, part["ally"].shape[1]), np.int64)
    onehot[:known] = part["ally"]
    onehot[tested] = part["ty"]
    sums = np.asarray(features.sum(1)).ravel()
    scale = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
    words = (sp.diags(scale) @ features.tocsr()).tocsr()  # each row sums to one
    pairs = np.array([(node, other) for node, others in part["graph"].items() for other in others], np.int64)
    wrong = ((pairs < 0) | (pairs >= size)).any(1)
    if wrong.any():
        row = int(wrong.argmax())
        first, second = pairs[row]
        where = folder / f"{prefix}graph"
        raise DataError(f"{where}: edge {row + 1} joins {first} and {second}, but nodes go from 0 to {size - 1}")
    train = part["y"].shape[0]
    official = {
        "train": np.arange(train),
        "val": np.arange(train, train + VALIDATION),
        "test": np.sort(tested),
    }
    return Citations(pairs, words, [str(label) for label in onehot.argmax(1)], official)


def own_files(path: Path) -> tuple[Path, str] | None:
    """The folder and the prefix of Planetoid's files in a folder, or in one or two folders inside it."""
    found = [file for depth in ("", "*/", "*/*/") for file in sorted(path.glob(f"{depth}ind.*.graph"))]
    return (found[0].parent, found[0].name.removesuffix("graph")) if found else None

"""A small data set in Planetoid's format, as Python 2 wrote such files."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp


def pickled(content: Any, protocol: int = 3) -> bytes:
    """A pickle with the names that numpy and scipy had then; arrays need protocol 3, which has bytes and lines."""
    written = pickle.dumps(content, protocol)
    return written.replace(b"numpy._core.", b"numpy.core.").replace(b"scipy.sparse._csr\n", b"scipy.sparse.csr\n")


def parts(known: int = 520, tested: int = 20, trained: int = 10, columns: int = 6) -> dict[str, Any]:
    """The content of each file; nodes are of three classes, and each is joined to the next."""
    draw = np.random.default_rng(0)
    features = sp.random(known + tested, columns, 0.5, "csr", np.float32, draw)
    classes = np.eye(3, dtype=np.int32)[np.arange(known + tested) % 3]
    size = known + tested
    return {
        "x": features[:trained],
        "y": classes[:trained],
        "tx": features[known:],
        "ty": classes[known:],
        "allx": features[:known],
        "ally": classes[:known],
        "graph": {node: [(node + 1) % size, (node - 1) % size] for node in range(size)},
    }


def write(folder: Path, name: str = "cora", **changed: Any) -> Path:
    """Write all files, some with other content: anything to pickle, or the bytes themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    tested = "".join(f"{node}\n" for node in range(520, 540)).encode()
    for part, value in (parts() | {"test.index": tested} | changed).items():
        written = value if isinstance(value, bytes) else pickled(value)
        (folder / f"ind.{name}.{part}").write_bytes(written)
    return folder

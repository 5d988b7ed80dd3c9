"""The data sets that scikit-learn brings, read from its files: importing it takes half as long as torch does."""

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

CELL = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
    *("concave points", "symmetry", "fractal dimension"),
)
FEATURES = {  # of the tables, whose files have no header of them
    "breast_cancer": [
        *(f"mean {each}" for each in CELL),
        *(f"{each} error" for each in CELL),
        *(f"worst {each}" for each in CELL),
    ],
    "wine": [
        *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
        *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines"),
        "proline",
    ],
    "iris": [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")],
    "diabetes": ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"],
}
CLASSES = {"wine": "wine_data.csv", "iris": "iris.csv", "breast_cancer": "breast_cancer.csv"}


def read_sklearn_table(dataset: str) -> pa.Table:
    """A table of scikit-learn's, as its loader of that name has it: columns of numbers, and "target"."""
    if dataset in CLASSES:
        with _opened(CLASSES[dataset]) as file:
            (_, _, *names), *rows = csv.reader(file)
        values = np.array(rows, np.float64)
        values, target = values[:, :-1], np.array(names)[values[:, -1].astype(np.int64)]
    else:
        values, target = _scaled(_numbers("diabetes_data_raw.csv.gz")), _numbers("diabetes_target.csv.gz")
    return pa.table({**dict(zip(FEATURES[dataset], values.T, strict=True)), "target": target})


def read_digits() -> tuple[NDArray[np.uint8], list[str]]:
    """The images (1797, 1, 8, 8) of scikit-learn's digits, and the class of each."""
    rows = _numbers("digits.csv.gz", ",")
    pixels = (rows[:, :-1] * 255 / 16).round().astype(np.uint8)  # they go from 0 to 16
    return pixels.reshape(-1, 1, 8, 8), [str(label) for label in rows[:, -1].astype(int)]


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns with mean 0 and sum of squares 1, to the bit as scikit-learn scales them."""
    centred = values - values.mean(axis=0)
    return centred / values.std(axis=0) / len(values) ** 0.5


def _numbers(name: str, delimiter: str | None = None) -> NDArray[np.float64]:
    with _opened(name) as file:
        return np.loadtxt(file, delimiter=delimiter)


@contextmanager
def _opened(name: str) -> Iterator[IO[str]]:
    package = find_spec("sklearn")  # which does not import it
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield file

"""The data sets that scikit-learn brings are read as its own loaders read them, to the bit."""

import numpy as np
import pytest
from sklearn import datasets

from datamodules.files.sklearn_data import FEATURES, read_digits, read_sklearn_table


@pytest.mark.parametrize("name", FEATURES)
def test_a_table_is_what_its_loader_reads(name: str) -> None:
    expected, table = getattr(datasets, f"load_{name}")(), read_sklearn_table(name)
    assert table.column_names == [*expected.feature_names, "target"]
    for feature, values in zip(expected.feature_names, expected.data.T, strict=True):
        assert np.array_equal(table[feature].to_numpy(), values)
    names = getattr(expected, "target_names", None)
    assert table["target"].to_pylist() == (expected.target if names is None else names[expected.target]).tolist()


def test_the_digits_are_what_their_loader_reads_from_0_to_255() -> None:
    expected, (pixels, labels) = datasets.load_digits(), read_digits()
    assert np.array_equal(pixels[:, 0], (expected.images * 255 / 16).round())
    assert labels == [str(label) for label in expected.target]

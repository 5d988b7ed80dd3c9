"""A number's intervals are the leaves of scikit-learn's decision tree."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from datamodules.checking.class_intervals import class_intervals


@pytest.mark.parametrize("noise", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("most", [2, 8, 40])
@pytest.mark.parametrize("decimals", [1, 6])
def test_they_are_the_leaves_of_a_decision_tree(noise: float, most: int, decimals: int) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 3000)
    values = (labels + noise * random.normal(size=len(labels))).round(decimals).astype(np.float32).astype(np.float64)
    cuts, classes = class_intervals(values, labels, most)
    tree = DecisionTreeClassifier(max_leaf_nodes=most, random_state=0).fit(values[:, None], labels)
    assert len(classes) == len(cuts) + 1 == tree.get_n_leaves()
    asked = np.linspace(values.min() - 1, values.max() + 1, 9999)
    found = classes[np.searchsorted(cuts, asked)]
    assert (found == tree.predict(asked[:, None])).mean() > 0.995  # at a tie either may cut first


def test_a_constant_is_one_interval() -> None:
    cuts, classes = class_intervals(np.ones(5), np.array([0, 2, 2, 1, 2]), 8)
    assert (len(cuts), classes.tolist()) == (0, [2])


def test_infinitely_wide_intervals_have_a_finite_end() -> None:
    cuts, classes = class_intervals(np.array([-1e30, 1e30, 1e30]), np.array([0, 1, 1]), 8)
    assert (cuts.tolist(), classes.tolist()) == ([0.0], [0, 1])

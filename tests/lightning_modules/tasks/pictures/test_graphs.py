"""Pictures of graphs: edges as wide as their weights, and everything whole."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.pictures.graphs import (
    RING,
    THICK,
    THIN,
    DrawnGraph,
    before_and_after,
    drawn,
    layout,
    undirected,
)
from tests.helpers.cut_off import cut_off

LONG = "催化剂 of a $class$ with a long name, as users have them " * 3


def both(pairs: list[tuple[int, int]]) -> Tensor:
    return torch.tensor([*pairs, *((second, first) for first, second in pairs)]).T


def lines_of(figure: Any) -> Any:
    return figure.axes[0].collections[0]


def test_the_width_and_the_darkness_of_an_edge_follow_its_weight() -> None:
    edge_index = both([(0, 1), (1, 2), (2, 3)])
    weights = torch.tensor([0.1, 0.2, 0.8, 0.3, 0.4, 0.8])  # means of both directions: 0.2, 0.3, 0.8
    with style():
        lines = lines_of(drawn([DrawnGraph(edge_index, torch.zeros(4).long(), weights)], ["a"]))
    expected = [THIN + (THICK - THIN) * part for part in (0.25, 0.375, 1)]
    np.testing.assert_allclose(lines.get_linewidths(), expected, rtol=1e-6)
    greys = lines.get_colors()[:, 0]
    assert (np.diff(greys) < 0).all()


def test_the_widths_of_several_graphs_are_of_one_scale() -> None:
    edge_index, kinds = both([(0, 1)]), torch.zeros(2).long()
    graphs = [DrawnGraph(edge_index, kinds, torch.full((2,), weight)) for weight in (0.2, 0.4)]
    with style():
        first, second = drawn(graphs, ["a"]).axes
    widths = [float(axes.collections[0].get_linewidths()[0]) for axes in (first, second)]  # type: ignore[attr-defined]
    assert widths == pytest.approx([THIN + (THICK - THIN) / 2, THICK])


def test_loops_are_not_drawn_and_directions_are_joined() -> None:
    pairs, weights = undirected(torch.tensor([[0, 1, 1, 2], [1, 0, 1, 0]]), torch.tensor([0.2, 0.4, 9.0, 0.5]))
    assert pairs.tolist() == [[0, 1], [0, 2]]
    np.testing.assert_allclose(weights, [0.3, 0.5])


def test_mistakes_have_a_ring() -> None:
    graph = DrawnGraph(both([(0, 1), (1, 2)]), torch.tensor([0, 1, -1]), None, "", ["甲", "b", "c"], [1])
    with style():
        figure = drawn([graph], ["one", "two"])
    edges = figure.axes[0].collections[1].get_edgecolor()
    assert [tuple(np.asarray(edge)[:3]) == (0, 0, 0) for edge in edges] == [False, True, False]
    assert RING == "black"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two", "none known", "mistake"]


@pytest.mark.parametrize("size", [1, 2, 60])
@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("kinds", [1, 100])
def test_graphs_of_any_size_with_any_names_are_whole(size: int, count: int, kinds: int) -> None:
    edge_index = both([(node, node + 1) for node in range(size - 1)]) if size > 1 else torch.empty(2, 0).long()
    graph = DrawnGraph(
        edge_index,
        torch.arange(size) % kinds,
        torch.rand(edge_index.shape[1]),
        f"{LONG}\n{LONG}",
        [LONG] * size,
        [0],
        0,
    )
    with style():
        assert not cut_off(drawn([graph] * count, [f"{kind} {LONG}" for kind in range(kinds)], "title"))


def test_a_layout_is_the_same_every_time_and_leaves_the_random_state() -> None:
    pairs = np.array([(0, 1), (1, 2), (2, 0), (3, 4)])  # of two parts, and a node alone
    state = np.random.get_state()[1].copy()  # type: ignore[index]
    first = layout(6, pairs)
    assert np.array_equal(state, np.random.get_state()[1])  # type: ignore[index]
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, layout(6, pairs))


@pytest.mark.parametrize(("size", "classes"), [(1, 1), (300, 100)])
def test_examples_before_and_after_are_coloured_by_class(size: int, classes: int) -> None:
    target = torch.arange(size) % classes
    points = [(name, torch.randn(size, 2)) for name in ("before", "after")]
    with style():
        figure = before_and_after(points, target, [f"{index} {LONG}" for index in range(classes)], target == 0)
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    assert not cut_off(figure)
    colours = np.asarray(figure.axes[0].collections[0].get_facecolor())
    same = [tuple(colour) for colour, index in zip(colours, target.tolist(), strict=True) if index == 0]
    assert len({*same}) == 1

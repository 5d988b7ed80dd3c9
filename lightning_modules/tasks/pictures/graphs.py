"""Pictures of graphs, with attention as the width of edges, and of examples before and after a model's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from lightning_modules.tasks.pictures.figure import COLOURS, GREY, new_figure
from lightning_modules.tasks.pictures.labels import label, labels, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMNS = 4
SIDE, TITLE = 2.9, 0.5  # inches of a graph, and of its title
THIN, THICK = 0.4, 4.5  # points, of the edge with the least and the most attention
LIGHT, DARK = 0.85, 0.1  # grey of these
NAMED_NODES = 25, 40  # of a graph whose nodes' names have room, among others and alone
RING = "black"  # of a mistake: no class has this colour
MAX_KINDS = len(COLOURS) - 1  # that have a colour each; all others are grey


class DrawnGraph(NamedTuple):
    """A graph of N nodes and E edges to draw.

    Args:
        edge_index: (2, E) in one or in both directions.
        kinds: (N,) what is coloured alike; -1 for none.
        weights: (E,) of the edges, from 0 to 1; None if all count the same.
        title: a line break begins a new line.
        names: of the nodes; none by default.
        ringed: nodes that are marked as mistakes.
        larger: the node in the middle; -1 for none.
    """

    edge_index: Tensor
    kinds: Tensor
    weights: Tensor | None = None
    title: str = ""
    names: Sequence[str] = ()
    ringed: Sequence[int] = ()
    larger: int = -1


def drawn(graphs: Sequence[DrawnGraph], kind_names: Sequence[str], title: str = "", ring: str = "mistake") -> Figure:
    """A figure of graphs, whose edges are the wider and darker the larger their weights are.

    Args:
        graphs: side by side.
        kind_names: what the colours of nodes mean.
        title: of the picture.
        ring: what a ring around a node means.
    """
    columns = min(COLUMNS, len(graphs))
    rows = -(-len(graphs) // columns)
    side = SIDE if len(graphs) > 1 else 2 * SIDE
    figure = new_figure(max(columns * side, 6), rows * (side + TITLE) + 0.9)
    most = max(
        (float(graph.weights.max()) for graph in graphs if graph.weights is not None and graph.weights.numel()),
        default=1,
    )
    colours = _colours([graph.kinds for graph in graphs], len(kind_names))
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if index < len(graphs):
            _draw(axes, graphs[index], colours, most or 1, NAMED_NODES[len(graphs) == 1])
    handles = [_dot(colour, name) for kind, colour in colours.items() for name in labels([kind_names[kind]], 24)]
    kinds = {kind for graph in graphs for kind in graph.kinds.tolist()}
    handles += [_dot(GREY, "other" if any(kind >= 0 for kind in kinds - {*colours}) else "none known")] * bool(
        kinds - {*colours}
    )
    if any(graph.ringed for graph in graphs):
        handles.append(_dot("white", ring, RING))
    _legend(figure, handles)
    figure.suptitle(title, fontsize=9)
    return figure


def _colours(kinds: Sequence[Tensor], size: int) -> dict[int, str]:
    """The colour of each kind that occurs; of too many those that occur most."""
    counts = np.bincount(np.concatenate([part.numpy() for part in kinds]) + 1, minlength=size + 1)[1:]
    shown = sorted(np.argsort(-counts, kind="stable")[:MAX_KINDS].tolist())
    return {kind: COLOURS[place] for place, kind in enumerate(shown) if counts[kind]}


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """What the colours mean, below the pictures, as many side by side as have room."""
    widest = max((width_of(str(handle.get_label())) for handle in handles), default=0)
    columns = max(1, int(figure.get_figwidth() / (0.5 + 0.075 * widest)))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)


def _dot(colour: str, text: str, edge: str = "white") -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], marker="o", linestyle="", markersize=7, color=colour, markeredgecolor=edge, label=text)


def _draw(axes: Axes, graph: DrawnGraph, colours: dict[int, str], most: float, named: int) -> None:
    from matplotlib.collections import LineCollection

    pairs, weights = undirected(graph.edge_index, graph.weights)
    places = layout(len(graph.kinds), pairs)
    part = weights / most if graph.weights is not None else np.full(len(pairs), 0.25)
    order = part.argsort(kind="stable")  # the darkest last, on top
    axes.add_collection(
        LineCollection(
            [places[pair] for pair in pairs[order]],
            linewidths=THIN + (THICK - THIN) * part[order],
            colors=[str(LIGHT + (DARK - LIGHT) * each) for each in part[order]],
            zorder=1,
        )
    )
    size = np.full(len(places), 4000 / (20 + len(places)))
    if graph.larger >= 0:
        size[graph.larger] *= 2.5
    ringed = {*graph.ringed}
    axes.scatter(
        places[:, 0],
        places[:, 1],
        s=size,
        c=[colours.get(kind, GREY) for kind in graph.kinds.tolist()],
        edgecolors=[RING if node in ringed else "white" for node in range(len(places))],
        linewidths=[2.2 if node in ringed else 0.6 for node in range(len(places))],
        zorder=2,
    )
    for name, place in zip(graph.names if len(places) <= named else (), places, strict=False):
        axes.annotate(label(name, 10), place, (0, 8), textcoords="offset points", ha="center", fontsize=6)
    axes.margins(0.12)
    axes.set_title("\n".join(labels(graph.title.split("\n"), 36)), fontsize=8)


def undirected(edge_index: Tensor, weights: Tensor | None) -> tuple[Any, Any]:
    """The pairs of nodes that an edge joins in any direction, (E', 2), and the mean weight of each, (E',)."""
    source, target = edge_index.numpy()
    values = np.ones(len(source)) if weights is None else weights.double().numpy()
    apart = source != target
    pairs = np.sort(np.stack([source, target], axis=1)[apart], axis=1)
    found, inverse = np.unique(pairs, axis=0, return_inverse=True)
    counts = np.bincount(inverse, minlength=len(found))
    return found, np.bincount(inverse, values[apart], minlength=len(found)) / np.maximum(counts, 1)


def layout(size: int, pairs: Any) -> Any:
    """Where to draw each node, (N, 2): the same for the same graph.

    Kamada & Kawai 1989, https://doi.org/10.1016/0020-0190(89)90102-6.

    Args:
        size: N
        pairs: (E, 2) of nodes that an edge joins.
    """
    import networkx  # a third of a second, and unused without graphs

    graph = networkx.Graph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from(pairs.tolist())
    places = networkx.kamada_kawai_layout(graph)
    return np.array([places[node] for node in range(size)])


def before_and_after(
    points: Sequence[tuple[str, Tensor]], classes: Tensor, names: Sequence[str], wrong: Tensor
) -> Figure:
    """Examples as points in the plane, coloured by class, in several pictures side by side.

    Args:
        points: the title and the (N, 2) coordinates of each.
        classes: (N,)
        names: of all classes.
        wrong: (N,) whether an example's prediction is wrong; it has a ring.
    """
    figure = new_figure(4.6 * len(points), 4.7)
    colours = _colours([classes], len(names))
    dots = [colours.get(kind, GREY) for kind in classes.tolist()]
    edges = [RING if each else "white" for each in wrong.tolist()]
    widths = [1.2 if each else 0.3 for each in wrong.tolist()]
    for axes, (title, places) in zip(figure.subplots(1, len(points), squeeze=False)[0], points, strict=True):
        across, up = places.numpy().T
        axes.scatter(across, up, s=22, c=dots, edgecolors=edges, linewidths=widths, rasterized=True)
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
    handles = [_dot(colour, label(names[kind], 24)) for kind, colour in colours.items()]
    if {*classes.tolist()} - {*colours}:
        handles.append(_dot(GREY, "other"))
    if wrong.any():
        handles.append(_dot("white", "mistake", RING))
    _legend(figure, handles)
    return figure

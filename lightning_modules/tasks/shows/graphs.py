"""What a test shows of graphs: some of them with their attention, and all before and after the model's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.checking.described import sampled
from datamodules.checking.drawing import Drawing
from lightning_modules.tasks.inspection.features import head_inputs, principal_components
from lightning_modules.tasks.pictures.graphs import DrawnGraph, before_and_after, drawn
from lightning_modules.tasks.results.outcomes import Outcomes

if TYPE_CHECKING:
    from lightning_modules.tasks.classifier import Classifier
    from lightning_modules.tasks.task import Board

DRAWN = 4  # mistakes, and as many correct predictions
MAX_EXAMPLES = 500  # before and after the layers


def show_graphs(task: Classifier, board: Board, outcomes: Outcomes) -> None:
    """The worst mistakes and some correct predictions, drawn, and the test split before and after the layers.

    Args:
        task: the tested model.
        board: where.
        outcomes: of the test split.
    """
    data = outcomes.data
    assert data is not None
    results = task.results()
    assert results is not None
    correct = torch.tensor(results.rows(outcomes)["correct"]).bool()
    chosen = _to_draw(outcomes, correct)
    others = torch.ones(len(outcomes), dtype=torch.bool)
    others[chosen] = False
    rows = torch.cat([chosen, sampled(others.nonzero()[:, 0], MAX_EXAMPLES)])
    part, correct = outcomes.take(rows), correct[rows]
    inputs, _ = part.batch(task.device)
    weights = task.attention_of_edges(inputs)
    drawings = data.drawings(inputs, range(len(chosen)))
    graphs = [_drawn(drawing, part, correct, weights, results.rows(part)) for drawing in drawings]
    if graphs:
        title = "" if weights is None else "the wider and darker an edge, the more attention: mean of heads and layers"
        board.figure("graphs", drawn(graphs, drawings[0].kind_names, title))
    after = head_inputs(task, inputs, task.head_names)
    if after is None or part["target"].dim() > 1:
        return
    points = [("input features", inputs.features()), ("input of the last layers", after)]
    usable = torch.stack([values.flatten(1).isfinite().all(1) for _, values in points]).all(0).cpu()
    if usable.any():
        places = [(f"{name}, 2 principal components", plane(values.cpu()[usable])) for name, values in points]
        board.figure(
            "before and after", before_and_after(places, part["target"][usable], task.class_names, ~correct[usable])
        )


def plane(vectors: Tensor) -> Tensor:
    """Vectors, (N, …), in their first two principal components, (N, 2); 0 where they have no second one."""
    points, _ = principal_components(vectors.detach().flatten(1), 2)
    return F.pad(points, (0, 2 - points.shape[1]))


def _to_draw(outcomes: Outcomes, correct: Tensor) -> Tensor:
    """Rows that can be drawn: the worst mistakes, then correct predictions of median losses."""
    assert outcomes.data is not None
    possible = outcomes.data.drawable(outcomes.data.splits.test[outcomes.positions])
    worst_first = outcomes.worst()
    worst_first = worst_first[possible[worst_first]]
    mistakes, right = worst_first[~correct[worst_first]], worst_first[correct[worst_first]]
    middle = max(len(right) // 2 - DRAWN // 2, 0)
    return torch.cat([mistakes[:DRAWN], right[middle : middle + DRAWN]])


def _drawn(
    drawing: Drawing, part: Outcomes, correct: Tensor, weights: Tensor | None, rows: dict[str, list[Any]]
) -> DrawnGraph:
    examples = drawing.examples
    wrong = (examples >= 0) & ~correct[examples.clamp(min=0)]
    title, larger = "", -1
    if drawing.chosen >= 0:
        name, target, predicted = part.names()[drawing.chosen], rows["target"], rows["prediction"]
        verdict = "correct" if correct[drawing.chosen] else f"predicted {predicted[drawing.chosen]}"
        title = f"{name}\n{target[drawing.chosen]}, {verdict}"
        inside = (examples == drawing.chosen).nonzero()
        larger = int(inside[0]) if len(inside) else -1
    return DrawnGraph(
        drawing.edge_index,
        drawing.kinds,
        None if weights is None else weights.float().cpu()[drawing.edges].nan_to_num(0),
        title,
        drawing.node_names,
        wrong.nonzero()[:, 0].tolist(),
        larger,
    )

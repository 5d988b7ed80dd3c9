"""Attention by sparse products, its gradients and its dropout, are those of messages along edges."""

import gc
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.layers import edge_attention
from lightning_modules.layers.edge_attention import Edges, attended, sorted_edges
from lightning_modules.layers.graph import GraphAttention

NODES = 9
EDGES = {
    "some": torch.tensor([[0, 1, 2, 5, 5, 3, 8], [1, 0, 1, 1, 5, 8, 3]]),  # 5 has a loop, and 4, 6 and 7 no other node
    "twice": torch.tensor([[0, 0, 0, 1], [1, 1, 1, 0]]),
    "none": torch.empty(2, 0, dtype=torch.long),
}


def by_messages(layer: GraphAttention, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a layer compute each message, as it does on a GPU."""
    monkeypatch.setattr(GraphAttention, "by_products", lambda self, h: False)
    assert not layer.by_products(torch.zeros(1))


def result(layer: GraphAttention, *words: Any) -> list[Tensor]:
    """The output, and the gradients of all parameters and of the features."""
    output = layer(*words)
    inputs = [words[0], *layer.parameters()]
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return [output, *torch.autograd.grad((output * weight).sum(), inputs, allow_unused=True, materialize_grads=True)]


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("features", [0, 3])
@pytest.mark.parametrize(("heads", "average"), [(1, False), (4, False), (2, True)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_output_and_gradients_are_those_of_messages(
    name: str, features: int, heads: int, average: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = GraphAttention(5, 3, heads, features, average=average).to(dtype)
    x = torch.randn(NODES, 5).to(dtype).requires_grad_()
    words = (x, EDGES[name], torch.randn(EDGES[name].shape[1], features).to(dtype))
    found = result(layer, *words)
    by_messages(layer, monkeypatch)
    rtol, atol = (1e-4, 1e-5) if dtype == torch.float32 else (0.03, 0.1)
    for ours, expected in zip(found, result(layer, *words), strict=True):
        assert ours.dtype == expected.dtype == dtype
        torch.testing.assert_close(ours, expected, rtol=rtol, atol=atol)


def example(seed: int = 0) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Edges]:
    """What nodes and edges add to scores, and values, in 64 bits, and the edges, of two heads."""
    edges = sorted_edges(EDGES["some"], NODES, 2)
    random = torch.Generator().manual_seed(seed)
    shapes = [(2, NODES), (2, NODES), (2, len(edges.order)), (2, NODES, 3)]
    one, other, third, values = (
        torch.randn(shape, dtype=torch.float64, generator=random).requires_grad_() for shape in shapes
    )
    return (one, other, third, values), edges


def test_gradients_are_those_of_differences() -> None:
    parts, edges = example()
    assert torch.autograd.gradcheck(lambda *words: attended(words[0], words[1], words[2], words[3], edges, 0.0), parts)


def test_weights_are_dropped_as_they_would_be_by_hand() -> None:
    parts, edges = example()
    torch.manual_seed(3)
    found = attended(*parts, edges, 0.4)
    torch.manual_seed(3)
    source, target = edges.source.long(), edges.target
    kept = F.dropout(torch.ones(len(target), dtype=torch.float64), 0.4)
    assert 0 < (kept == 0).sum() < len(kept)
    scores = parts[0].flatten()[source] + parts[1].flatten()[target] + parts[2].flatten()
    weight = F.leaky_relu(scores, 0.2).exp()
    weight = kept * weight / torch.zeros(2 * NODES, dtype=torch.float64).index_add(0, target, weight)[target]
    messages = weight.unsqueeze(1) * parts[3].flatten(0, 1)[source]
    expected = torch.zeros(2 * NODES, 3, dtype=torch.float64).index_add(0, target, messages).view(2, NODES, 3)
    outside = torch.randn(found.shape, dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    for ours, other in zip(
        torch.autograd.grad(found, parts, outside), torch.autograd.grad(expected, parts, outside), strict=True
    ):
        torch.testing.assert_close(ours, other)


def test_large_scores_do_not_overflow_and_what_is_no_number_stays_none() -> None:
    (of_source, of_target, of_edge, values), edges = example()
    assert torch.isfinite(attended(of_source * 1000, of_target, of_edge, values, edges, 0.0)).all()
    lost = of_edge.detach().clone()
    lost[0, 0] = math.nan
    assert torch.isnan(attended(of_source, of_target, lost, values, edges, 0.0)[0, edges.target[0]]).all()


def test_weights_are_32_bits_where_products_are_of_16() -> None:
    layer = GraphAttention(5, 3, 2)
    x = torch.randn(NODES, 5)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x, EDGES["some"])
        found.float().sum().backward()
    torch.testing.assert_close(found.float(), layer(x, EDGES["some"]), atol=0.05, rtol=0.05)
    assert all(torch.isfinite(weight.grad).all() for weight in layer.parameters() if weight.grad is not None)


def test_edges_are_sorted_once_and_again_where_they_change() -> None:
    edges = EDGES["some"].clone()
    first = sorted_edges(edges, NODES, 2)
    assert sorted_edges(edges, NODES, 2) is first
    assert sorted_edges(edges, NODES, 1) is not first
    assert sorted_edges(edges.flip(0), NODES, 2).source.tolist() != first.source.tolist()
    edges[0, 0] = 7
    assert sorted_edges(edges, NODES, 2).source.tolist() != first.source.tolist()


def test_memory_that_is_used_again_is_not_taken_for_the_edges_before_it() -> None:
    for seed in range(50):  # of the same sizes, so that memory that is freed is given out again
        random = torch.Generator().manual_seed(seed)
        given = torch.randint(NODES, (2, 20), generator=random)
        found = sorted_edges(given, NODES, 1)
        assert sorted(zip(found.source.tolist(), found.target.tolist(), strict=True)) == sorted(
            [*zip(*given.tolist(), strict=True), *((node, node) for node in range(NODES))]
        )
        del given, found
        gc.collect(0)
    assert len(edge_attention._KEPT.of) == edge_attention._KEPT.size

"""A trained model as a file holds it for others: plain tensors with names go in, one tensor comes out.

A batch is here a `NamedTuple` of tensors and texts: it is taken apart into those tensors that the network reads. What
is computed from raw values (pixels normalised, windows scaled, an adjacency normalised) becomes part of the network.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.base import DataModule
from datamodules.graphs import Graphs
from datamodules.images import Images
from datamodules.nodes import Graph, normalised_adjacency
from datamodules.reading import Passages
from datamodules.series import Series
from datamodules.tagging import Sentences
from datamodules.tokenizing.tokenized import TokenizedData
from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from lightning_modules.gan import GAN
from scripts.cli.errors import UsageError

Axes = tuple[str | int, ...]  # of a tensor: a number where its size is fixed, a name where it may be any


class Portable(nn.Module):
    """The network of a trained model, in evaluation mode.

    Args:
        model: the trained one.
        data: its data, set up.
    """

    inputs: dict[str, Axes]
    output = "logits"
    sizes: tuple[int, ...] = (7, 3, 1)  # of the batches that an export is tried on
    unit = "test examples"

    def __init__(self, model: LightningModule, data: DataModule) -> None:
        super().__init__()
        self.network: Any = model.eval().requires_grad_(False)
        self.data = data

    @abstractmethod
    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """What goes in, of a batch's inputs as the loader gives them."""

    @abstractmethod
    def forward(self, *tensors: Tensor) -> Tensor:
        """What comes out."""

    def expected(self, batch: Any) -> Tensor:
        """What should come out: what the model itself makes of the batch's inputs."""
        return self.network(self.data.on_after_batch_transfer(batch, 0))

    def batches(self) -> Iterator[Any]:
        """The inputs of batches of several sizes, of the test split."""
        assert self.data.splits is not None, "setup() comes first"
        examples = self.data.examples(self.data.splits.test)
        for size in self.sizes:
            inputs, _ = examples[torch.arange(min(size, len(examples)))]
            yield inputs


class OfFeatures(Portable):
    """Of features (B, …), as the loader gives them."""

    def __init__(self, model: LightningModule, data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {"features": ("batch", *next(self.batches()).shape[1:])}
        self.in_units = hasattr(model, "target_std")
        self.output = "prediction" if self.in_units else "logits"

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The features."""
        return (batch,)

    def units(self, output: Tensor) -> Tensor:
        """Logits, or numbers in the target's own units."""
        return output * self.network.target_std + self.network.target_mean if self.in_units else output

    def forward(self, features: Tensor) -> Tensor:  # type: ignore[override]
        """Logits, or numbers in the target's own units."""
        return self.units(self.network(features))

    def expected(self, batch: Any) -> Tensor:
        """The same, of the model."""
        return self.units(super().expected(batch))


class OfPixels(Portable):
    """Of images as bytes, 0 to 255; they are normalised within."""

    data: Images

    def __init__(self, model: LightningModule, data: Images) -> None:
        super().__init__(model, data)
        self.inputs = {"pixels": ("batch", *data.shape)}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The pixels."""
        return (batch,)

    def forward(self, pixels: Tensor) -> Tensor:  # type: ignore[override]
        """Logits."""
        return self.network(self.data.normalise(pixels))


class OfNoise(Portable):
    """Of the numbers that images are drawn from."""

    output = "pixels"

    def __init__(self, model: GAN, data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {"noise": ("batch", model.latent_size)}
        self.mean_generator = model.mean_generator

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Noise for as many images."""
        return (self.network.noise(len(batch)),)

    def forward(self, noise: Tensor) -> Tensor:  # type: ignore[override]
        """Pixels from 0 to 1."""
        return self.mean_generator(noise)

    def expected(self, batch: Any) -> Tensor:
        """The same, of the model."""
        return self.network(*self.tensors(batch)) * self.network.std + self.network.mean


class OfWindows(Portable):
    """Of stretches of a series in its own units, (B, W, C), the target first; they are scaled within."""

    data: Series
    output = "forecast"

    def __init__(self, model: LightningModule, data: Series) -> None:
        super().__init__(model, data)
        self.inputs = {"window": ("batch", data.window, data.num_features)}
        self.means = torch.tensor(data.means, dtype=torch.float64)
        self.stds = torch.tensor(data.stds, dtype=torch.float64)

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The rows of the windows as they were read."""
        assert self.data.splits is not None, "setup() comes first"
        rows = self.data.splits.test[: len(batch), None] + torch.arange(self.data.window)
        return (self.data.values[rows],)

    def forward(self, window: Tensor) -> Tensor:  # type: ignore[override]
        """The next values (B, H), in the target's units."""
        return self.network.in_units(self.network(((window - self.means) / self.stds).float()))

    def expected(self, batch: Any) -> Tensor:
        """The same, of the model."""
        return self.network.in_units(super().expected(batch))


class OfText(Portable):
    """Of token numbers; where a recurrent layer reads them, all texts are padded to the longest that there may be.

    torch writes down such a layer's steps one by one, and so for one number of them.
    """

    data: TokenizedData

    def __init__(self, model: LightningModule, data: TokenizedData) -> None:
        super().__init__(model, data)
        recurrent = any(isinstance(part, nn.RNNBase) for part in model.modules())
        self.length = data.max_length if recurrent else None
        self.inputs = {"ids": ("batch", self.length or "tokens"), "lengths": ("batch",)}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Both parts."""
        missing = 0 if self.length is None else self.length - batch.ids.shape[1]
        return F.pad(batch.ids, (0, missing), value=self.data.padding), batch.lengths

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (B, C)."""
        return self.network(Text(ids, lengths))


class OfSentences(Portable):
    """Of token numbers, and of where each word's first token stands in them."""

    def __init__(self, model: LightningModule, data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {"ids": ("pieces", "tokens"), "lengths": ("pieces",), "first": ("batch", "words")}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """What the network reads."""
        return batch.ids, batch.lengths, batch.first

    def forward(self, ids: Tensor, lengths: Tensor, first: Tensor) -> Tensor:  # type: ignore[override]
        """Scores of each word's tags (B, W, K)."""
        none = first[:, 0]  # what only says how to read the answer
        return self.network(Sentences(ids, lengths, first, none, none, []))


class OfPassages(Portable):
    """Of token numbers of questions with windows of their contexts, and of where each token stands in them."""

    output = "scores"

    def __init__(self, model: LightningModule, data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {
            "ids": ("windows", "tokens"),
            "lengths": ("windows",),
            "context_start": ("windows",),
            "owner": ("windows",),
            "first": ("batch", "places"),
        }

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """What the network reads."""
        return batch.ids, batch.lengths, batch.context_start, batch.owner, batch.first

    def forward(  # type: ignore[override]
        self, ids: Tensor, lengths: Tensor, context_start: Tensor, owner: Tensor, first: Tensor
    ) -> Tensor:
        """Scores of starts and ends (B, 2, N + 1), those of "no answer" first."""
        none = first[:, 0]
        return self.network(Passages(ids, lengths, context_start, owner, first, none, none, [], []))


class OfPairs(Portable):
    """Of token numbers of a sentence, and of its translation so far."""

    def __init__(self, model: LightningModule, data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {"source": ("batch", "tokens"), "lengths": ("batch",), "target": ("batch", "target_tokens")}

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """The sentences, and their translations but for the last token."""
        return batch.source.ids, batch.source.lengths, batch.target.ids[:, :-1].contiguous()

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (B, T, V) of the token after each of the translation's."""
        further = torch.cat([target, target[:, :1]], dim=1)  # one more, which the network never reads
        return self.network(Pair(Text(source, lengths), Text(further, lengths)))


class OfGraphs(Portable):
    """Of several graphs end to end."""

    def __init__(self, model: LightningModule, data: DataModule) -> None:
        super().__init__(model, data)
        graphs = next(self.batches())
        self.inputs = {"x": ("nodes", graphs.x.shape[1]), "edge_index": (2, "edges"), "num_nodes": ("batch",)}
        if graphs.edge_attr.shape[1]:
            self.inputs["edge_attr"] = ("edges", graphs.edge_attr.shape[1])

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Nodes, edges, and the number of nodes of each graph."""
        num_nodes = torch.bincount(batch.graph, minlength=batch.num_graphs)
        return (batch.x, batch.edge_index, num_nodes, batch.edge_attr)[: len(self.inputs)]

    def forward(  # type: ignore[override]
        self, x: Tensor, edge_index: Tensor, num_nodes: Tensor, edge_attr: Tensor | None = None
    ) -> Tensor:
        """Logits (B, C)."""
        after = torch.arange(x.shape[0], device=x.device)[:, None] >= num_nodes.cumsum(0)  # (N, B)
        if edge_attr is None:
            edge_attr = x.new_empty(edge_index.shape[1], 0)
        return self.network(Graphs(x, edge_index, edge_attr, after.sum(1), num_nodes.shape[0]))


class Neighbours:
    """D^-1/2 (A + I) D^-1/2 of an undirected graph, which can be multiplied with its nodes' features.

    Args:
        edge_index: (2, E), both directions, no loops.
        size: N, nodes.
    """

    def __init__(self, edge_index: Tensor, size: int) -> None:
        loops = torch.arange(size, device=edge_index.device)
        self.source, self.target = (torch.cat([part, loops]) for part in edge_index)
        ones = torch.ones_like(self.target, dtype=torch.float)
        scale = ones.new_zeros(size).index_add(0, self.target, ones).rsqrt()
        self.weight = (scale[self.source] * scale[self.target])[:, None]

    def __matmul__(self, h: Tensor) -> Tensor:
        """(N, D) → (N, D)"""
        return torch.zeros_like(h).index_add(0, self.target, h[self.source] * self.weight)


class OfGraph(Portable):
    """Of one graph, whose nodes are all asked for."""

    unit = "nodes"

    def __init__(self, model: LightningModule, data: DataModule) -> None:
        super().__init__(model, data)
        graph, _ = data.examples(torch.arange(1))[torch.arange(1)]
        self.graph: Graph = graph
        size, width = graph.x.shape
        self.sizes = (size, size // 2)
        self.inputs = {"x": ("nodes", width), "edge_index": (2, "edges")}

    def batches(self) -> Iterator[Graph]:
        """The graph, and its first half."""
        from torch_geometric.utils import subgraph  # seconds to import

        nodes = torch.arange(self.sizes[0])
        for size in self.sizes:
            edges, _ = subgraph(nodes[:size], self.graph.edge_index, num_nodes=len(nodes))
            yield Graph(self.graph.x.to_dense()[:size], edges, normalised_adjacency(edges, size), nodes[:size])

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Nodes and edges."""
        return batch.x, batch.edge_index

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (N, C)."""
        size = x.shape[0]
        adjacency: Any = Neighbours(edge_index, size)
        return self.network(Graph(x, edge_index, adjacency, torch.arange(size, device=x.device)))


KINDS: dict[type, type[Portable]] = {
    Text: OfText,
    Sentences: OfSentences,
    Passages: OfPassages,
    Pair: OfPairs,
    Graphs: OfGraphs,
    Graph: OfGraph,
    Tensor: OfFeatures,
}


def portable(model: LightningModule, data: DataModule) -> Portable:
    """The network of a trained model.

    Raises:
        UsageError: nobody has said how a batch of this data is taken apart.
    """
    if isinstance(model, GAN):
        return OfNoise(model, data)
    if isinstance(data, Images):
        return OfPixels(model, data)
    if isinstance(data, Series):
        return OfWindows(model, data)
    assert data.splits is not None, "setup() comes first"
    inputs, _ = data.examples(data.splits.test)[torch.arange(1)]
    for kind, wrapper in KINDS.items():
        if isinstance(inputs, kind):
            return wrapper(model, data)
    known = ", ".join(kind.__name__ for kind in KINDS)
    raise UsageError(
        f"--format: the inputs of {type(data).__name__} are {type(inputs).__name__}, expected one of {known}"
    )

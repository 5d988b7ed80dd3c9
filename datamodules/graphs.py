"""Many graphs, each of a class: concatenated in a few tensors, so that a batch is one indexing operation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from datamodules.augmentation.graphs import kept_edges, without_features
from datamodules.baselines.baseline import Baseline
from datamodules.baselines.weisfeiler_lehman import WeisfeilerLehman
from datamodules.checking.drawing import MAX_NODES, Drawing, edges_between
from datamodules.checking.facts import sizes_fact
from datamodules.errors import check_probability
from datamodules.export.exportable import ExportableModule
from datamodules.files.tu_dataset import TUGraphs, read_tu, tu_files
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Source
from datamodules.loading.graph_store import Store
from datamodules.loading.sampling import ranges
from datamodules.storage.catalogue import TUDATASETS, Remotes
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_numbers, hash_texts
from datamodules.synthetic.motifs import generated_motifs


class Graphs(NamedTuple):
    """B graphs as one graph of disjoint parts.

    Args:
        x: (N, F) features of all nodes.
        edge_index: (2, E), from the first row's nodes to the second's.
        edge_attr: (E, D) features of the edges; D may be 0.
        graph: (N,) index of each node's graph, ascending.
        num_graphs: B
    """

    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor
    graph: Tensor
    num_graphs: int

    @property
    def batch(self) -> Tensor:
        """As `graph`, by the name that torch_geometric has for it."""
        return self.graph

    def features(self) -> Tensor:
        """(B, F) the mean features of each graph's nodes."""
        sums = self.x.new_zeros(self.num_graphs, self.x.shape[1]).index_add(0, self.graph, self.x)
        return sums / torch.bincount(self.graph, minlength=self.num_graphs).clamp(min=1)[:, None]


Column = np.ndarray[Any, Any]
Vocabulary = list[Any]  # known labels: of a file's only column, or a list for each of its columns


class GraphExamples(Dataset[Any]):
    """Some graphs of a store.

    Args:
        store: all graphs.
        x: (N, F) features of the store's nodes.
        edge_attr: (E, D) features of its edges.
        index: the graphs of this split.
        labels: (G,) of all graphs; None for predictions.
    """

    def __init__(self, store: Store, x: Tensor, edge_attr: Tensor, index: Tensor, labels: Tensor | None = None) -> None:
        self.store = store
        self.x = x
        self.edge_attr = edge_attr
        self.index = index
        self.labels = labels

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Any:
        chosen = self.index[index]
        nodes, edges = self.store.node_start, self.store.edge_start
        num_nodes = nodes[chosen + 1] - nodes[chosen]
        num_edges = edges[chosen + 1] - edges[chosen]
        node_rows = ranges(nodes[chosen], num_nodes)
        edge_rows = ranges(edges[chosen], num_edges)
        first = num_nodes.cumsum(0) - num_nodes  # index of each graph's first node in the batch
        batch = Graphs(
            x=self.x[node_rows],
            edge_index=self.store.edge_index[:, edge_rows] + torch.repeat_interleave(first, num_edges),
            edge_attr=self.edge_attr[edge_rows],
            graph=torch.repeat_interleave(torch.arange(len(chosen)), num_nodes),
            num_graphs=len(chosen),
        )
        return batch if self.labels is None else (batch, self.labels[chosen])


class ExportableGraphs(ExportableModule):
    """Reads several concatenated graphs."""

    reads = "graphs"

    def __init__(self, model: nn.Module, data: "GraphClasses") -> None:
        super().__init__(model, data)
        graphs = next(self.batches())
        self.inputs = {"x": ("nodes", graphs.x.shape[1]), "edge_index": (2, "edges"), "num_nodes": ("batch",)}
        if graphs.edge_attr.shape[1]:
            self.inputs["edge_attr"] = ("edges", graphs.edge_attr.shape[1])

    def preprocessing(self) -> dict[str, Any]:
        """How labels (one-hot), attributes (standardised) and degrees (one-hot) become features."""
        data = self.data
        known = {"nodes": (data.node_labels, data.node_scale), "edges": (data.edge_labels, data.edge_scale)}
        return {"max_degree": data.max_degree} | {
            name: {"labels": _columns(labels), "mean": mean, "std": std}
            for name, (labels, (mean, std)) in known.items()
        }

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


class GraphClasses(LabelledData):
    """Graphs that each belong to a class.

    A batch is `(Graphs, target)`; see Graphs. A node's features are its labels (each one-hot), its attributes
    (standardised), and its degree (one-hot, the last for all larger); an edge's are its labels and its attributes.
    Provides num_features, num_edge_features, num_classes, class_names and class_counts.

    Your own files are a folder in TUDataset's text layout: NAME_A.txt, NAME_graph_indicator.txt,
    NAME_graph_labels.txt and, if there are any, NAME_node_labels.txt, NAME_node_attributes.txt,
    NAME_edge_labels.txt, NAME_edge_attributes.txt. They may be in a folder inside it, such as `raw`.

    Args:
        dataset: a known data set, or the path of a folder.
        num_graphs: number of graphs of `motifs`.
        max_degree: node degrees from this on count as the same; 0 leaves degrees out of the features.
        edge_dropout: probability of each edge to be dropped in a training step, in both directions together.
        feature_masking: probability of each feature to be zero, for all nodes, in a training step.
        undirected: whether an edge that your files list in one direction alone is read in both.
        kwargs: as for LabelledData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("motifs",)
    of_embedded: ClassVar[tuple[str, ...]] = ("num_graphs",)
    of_own: ClassVar[tuple[str, ...]] = ("undirected",)
    published: ClassVar[Remotes] = TUDATASETS
    provides: ClassVar[tuple[str, ...]] = ("num_features", "num_edge_features", *LabelledData.provides)
    shapes_vary: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = (
        *LabelledData.fitted, "node_labels", "edge_labels", "node_scale", "edge_scale",
    )  # fmt: skip

    def __init__(
        self,
        dataset: str = "motifs",
        num_graphs: int = 1000,
        max_degree: int = 6,
        edge_dropout: float = 0.0,
        feature_masking: float = 0.0,
        undirected: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        if num_graphs < 1:
            raise ValueError(f"--data.num_graphs: expected at least 1, got {num_graphs}")
        if max_degree < 0:
            raise ValueError(f"--data.max_degree: expected at least 0, got {max_degree}")
        check_probability("edge_dropout", edge_dropout)
        check_probability("feature_masking", feature_masking)
        self.edge_dropout = edge_dropout
        self.feature_masking = feature_masking
        self.undirected = undirected
        self.num_graphs = num_graphs
        self.max_degree = max_degree
        self.node_labels: Vocabulary = []
        self.edge_labels: Vocabulary = []
        self.node_scale: list[list[float]] = [[], []]  # mean and standard deviation of each attribute
        self.edge_scale: list[list[float]] = [[], []]
        self.store: Store
        self.encoded: tuple[Tensor, Tensor] | None = None

    @property
    def num_features(self) -> int:
        """F"""
        return max(
            1, _width(self.node_labels) + len(self.node_scale[0]) + (self.max_degree + 1 if self.max_degree else 0)
        )

    @property
    def num_edge_features(self) -> int:
        """D"""
        return _width(self.edge_labels) + len(self.edge_scale[0])

    def read(self) -> Source:
        """Read graphs and classes."""
        if self.is_embedded:
            self.store, labels = generated_motifs(self.num_graphs, seed=0)
            self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset)
            return Source(len(self.store), self.labels)
        folder = self.folder_of([f"{self.dataset}_A.txt"]) if self.is_published else self.path
        self.store, classes, _ = self._read_files(folder)
        if classes is None:
            name = tu_files(folder)["graph_labels"].name
            raise DataError(f"{folder}: expected {name} in it, with a class for each graph")
        labelled = torch.tensor([graph for graph, label in enumerate(classes) if label], dtype=torch.long)
        known = [label for label in classes if label]
        self.class_names, codes = class_codes(known, self.known_classes, str(folder))
        self.labels = torch.zeros(len(classes), dtype=torch.long)
        self.labels[labelled] = codes
        return Source(len(known), self.labels, {} if len(known) == len(classes) else {"train": labelled})

    def _read_files(self, path: Path) -> TUGraphs:
        """Graphs; of a restored datamodule, with as many labels of a node and an edge as it was trained on."""
        graphs = read_tu(path, self.note, self.undirected)
        if self.restored or self.is_set_up:
            for name in ("node_labels", "edge_labels"):
                found, used = getattr(graphs.store, name), len(_columns(getattr(self, name)))
                if len(found) > used:
                    what = name.replace("_", " ")
                    self.note(f"{path}: {used} of {len(found)} columns of {what} are read, as in training")
                setattr(graphs.store, name, found[:used])
        return graphs

    def example_hashes(self) -> list[Any]:
        """The nodes and edges of each graph in the order of the file; graphs in another order count as different."""
        store = self.store
        nodes, edges = store.node_start.tolist(), store.edge_start.tolist()
        of_nodes = [*store.node_labels, store.node_attributes.numpy()]
        of_edges = [store.edge_index.T.numpy(), *store.edge_labels, store.edge_attributes.numpy()]
        return [
            tuple(part[nodes[graph] : nodes[graph + 1]].tobytes() for part in of_nodes)
            + tuple(part[edges[graph] : edges[graph + 1]].tobytes() for part in of_edges)
            for graph in range(len(store))
        ]

    def facts(self) -> list[tuple[str, str]]:
        """The sizes of the graphs, and the features of nodes and edges."""
        store = self.store
        return [
            (
                "graphs",
                f"{sizes_fact(store.node_start.diff(), 'nodes')}; {sizes_fact(store.edge_start.diff(), 'edges')}",
            ),
            ("nodes", _features_fact(self.node_labels, self.node_scale)),
            ("edges", _features_fact(self.edge_labels, self.edge_scale)),
        ]

    def shown(self, row: int) -> tuple[str, str]:
        """The size of a graph, and its class."""
        nodes, edges = (int(start[row + 1] - start[row]) for start in (self.store.node_start, self.store.edge_start))
        return f"graph {row + 1}: {nodes} nodes, {edges} edges", self.class_names[self.labels[row]]

    def origin(self, row: int) -> str:
        """Which of the graphs it is."""
        return f"graph {row + 1}"

    def drawable(self, rows: Tensor) -> Tensor:
        """Whether a graph has few nodes."""
        return self.store.node_start.diff()[rows] <= MAX_NODES

    def drawings(self, batch: Graphs, chosen: Sequence[int]) -> list[Drawing]:
        """The chosen graphs, coloured by what tells their nodes apart best."""
        kinds, names = self._kinds(batch.x.cpu())
        edge_index, graph, found = batch.edge_index.cpu(), batch.graph.cpu(), []
        for index in chosen:
            nodes = (graph == index).nonzero()[:, 0]
            edges, between = edges_between(nodes, edge_index)
            none = torch.full_like(nodes, -1)
            found.append(Drawing(nodes, edges, between, kinds[nodes], names, index, [], none))
        return found

    def _kinds(self, x: Tensor) -> tuple[Tensor, list[str]]:
        """What nodes are coloured by, and its names: their label, else their largest attribute, else their degree."""
        known, attributes = _columns(self.node_labels), len(self.node_scale[0])
        if known:
            block, names = x[:, : len(known[0])], [f"label {name}" for name in known[0]]
        elif attributes > 1:
            block, names = x[:, :attributes], [f"attribute {place} largest" for place in range(1, attributes + 1)]
        elif self.max_degree:
            block, names = x[:, -self.max_degree - 1 :], [f"degree {degree}" for degree in range(self.max_degree + 1)]
            names[-1] += " or more"
        else:
            return torch.full((len(x),), -1), []
        return torch.where(block.any(1), block.argmax(1), -1), names

    def contents(self) -> dict[str, str]:
        """Digests of edges, of the labels and attributes of nodes and edges, and of the classes."""
        store = self.store
        attributes = {} if self.is_embedded else {"node attributes": store.node_attributes}  # else normal noise, which
        parts = {  # differs in its last bits from one processor to another
            "sizes of the graphs": store.node_start,
            **attributes,
            "edge attributes": store.edge_attributes,
        }
        digests = {name: hash_numbers(part) for name, part in parts.items()}
        for name, columns in (("node labels", store.node_labels), ("edge labels", store.edge_labels)):
            for index, column in enumerate(columns, 1):
                digest = hash_texts(column.tolist()) if column.dtype.kind == "U" else hash_numbers(column)
                digests[name if index == 1 else f"{name} {index}"] = digest
        return digests | {"edges": hash_numbers(store.edge_start, store.edge_index), "labels": self.label_digest}

    def fit(self, train: Tensor) -> None:
        """Fit the vocabularies of labels, and the attributes' scales."""
        store = self.store
        nodes = ranges(store.node_start[train], store.node_start[train + 1] - store.node_start[train])
        edges = ranges(store.edge_start[train], store.edge_start[train + 1] - store.edge_start[train])
        self.node_labels = _vocabulary([column[nodes.numpy()] for column in store.node_labels])
        self.edge_labels = _vocabulary([column[edges.numpy()] for column in store.edge_labels])
        self.node_scale = _scale(store.node_attributes[nodes])
        self.edge_scale = _scale(store.edge_attributes[edges])

    def encode(self, store: Store, where: str) -> tuple[Tensor, Tensor]:
        """Features of all nodes, (N, F), and of all edges, (E, D); a label unknown from training is all zeros."""
        nodes = [_one_hot(store.node_labels, self.node_labels, len(store.node_attributes), f"{where}: node labels")]
        nodes.append(_scaled(store.node_attributes, self.node_scale, f"{where}: node attributes"))
        if self.max_degree:
            source = store.edge_index[0] + torch.repeat_interleave(store.node_start[:-1], store.edge_start.diff())
            degree = torch.bincount(source, minlength=len(store.node_attributes)).clamp(max=self.max_degree)
            nodes.append(F.one_hot(degree, self.max_degree + 1).float())
        edges = [_one_hot(store.edge_labels, self.edge_labels, len(store.edge_attributes), f"{where}: edge labels")]
        edges.append(_scaled(store.edge_attributes, self.edge_scale, f"{where}: edge attributes"))
        x = torch.cat(nodes, dim=1)
        return x if x.shape[1] else torch.ones(len(x), 1), torch.cat(edges, dim=1)

    def examples(self, index: Tensor) -> GraphExamples:
        """Graphs of the store."""
        if self.encoded is None:
            self.encoded = self.encode(self.store, self.dataset)
        return GraphExamples(self.store, *self.encoded, index, self.labels)

    def augmented(self, batch: Any) -> Any:
        """A training batch with edges and features dropped; degrees among the features do not change."""
        graphs, target = batch
        if self.edge_dropout:
            kept = kept_edges(graphs.edge_index, len(graphs.x), self.edge_dropout)
            graphs = graphs._replace(edge_index=graphs.edge_index[:, kept], edge_attr=graphs.edge_attr[kept])
        if self.feature_masking:
            graphs = graphs._replace(x=without_features(graphs.x, self.feature_masking))
        return graphs, target

    def baselines(self) -> dict[str, Baseline]:
        """Weisfeiler–Lehman features with logistic regression."""
        nodes = _width(self.node_labels), len(self.node_scale[0])
        return {"wl": WeisfeilerLehman(self.num_classes, *nodes, _width(self.edge_labels))}

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads graphs."""
        return ExportableGraphs(model, self)

    def read_input(self, path: Path) -> tuple[GraphExamples, list[str]]:
        """All graphs of a folder, which needs no classes."""
        store, _, ids = self._read_files(path)
        encoded = self.encode(store, str(path))
        return GraphExamples(store, *encoded, torch.arange(len(store))), ids


def _vocabulary(columns: list[Column]) -> Vocabulary:
    known = [[label for label in np.unique(column).tolist() if label != ""] for column in columns]
    return known[0] if len(known) == 1 else known


def _columns(vocabulary: Vocabulary) -> list[list[Any]]:
    """The known labels of each column."""
    return vocabulary if not vocabulary or isinstance(vocabulary[0], list) else [vocabulary]


def _features_fact(labels: Vocabulary, scale: list[list[float]]) -> str:
    known = [f"labels of {' and '.join(str(len(column)) for column in _columns(labels))} kinds"] if labels else []
    attributes = [f"{len(scale[0])} attributes"] if scale[0] else []
    return " and ".join(known + attributes) or "no labels or attributes"


def _width(vocabulary: Vocabulary) -> int:
    return sum(map(len, _columns(vocabulary)))


def _one_hot(labels: list[Column], vocabulary: Vocabulary, rows: int, where: str) -> Tensor:
    known = _columns(vocabulary)
    if len(labels) < len(known):
        found = f"{len(labels)} columns, expected {len(known)}" if labels else "missing"
        raise DataError(f"{where}: {found}, though the model was trained with them")
    parts = [torch.empty(rows, 0)]
    for column, names in zip(labels, known, strict=False):
        values = np.array(names)
        alike = column.dtype.kind == values.dtype.kind
        column, values = (column, values) if alike else (column.astype(str), values.astype(str))
        parts.append(torch.from_numpy(column[:, None] == values).float())
    return torch.cat(parts, dim=1)


def _scale(values: Tensor) -> list[list[float]]:
    if not values.shape[1]:
        return [[], []]
    std = values.double().std(0, correction=0)
    return [values.double().mean(0).tolist(), torch.where(std > 0, std, 1.0).tolist()]


def _scaled(values: Tensor, scale: list[list[float]], where: str) -> Tensor:
    mean, std = scale
    if values.shape[1] != len(mean):
        raise DataError(f"{where}: {values.shape[1]} columns, expected {len(mean)}")
    return (values - torch.tensor(mean)) / torch.tensor(std) if mean else values

"""Many graphs, each of a class: kept end to end in a few tensors, from which a batch is cut in one go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from datamodules.augmentation.graphs import kept_edges, without_features
from datamodules.errors import check_chance
from datamodules.files.paths import regular
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Source
from datamodules.loading.sampling import generator, ranges
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import of_numbers


class Graphs(NamedTuple):
    """B graphs side by side, as one graph without edges between them.

    Args:
        x: (N, F) features of all nodes.
        edge_index: (2, E), from the first row's nodes to the second's.
        edge_attr: (E, D) features of the edges; D may be 0.
        graph: (N,) the graph of each node, ascending.
        num_graphs: B
    """

    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor
    graph: Tensor
    num_graphs: int


@dataclass
class Store:
    """G graphs end to end.

    Args:
        node_start: (G + 1,) where each graph's nodes begin.
        edge_start: (G + 1,) where each graph's edges begin.
        edge_index: (2, E), numbered within each graph.
        node_attributes: (N, A) float
        edge_attributes: (E, B) float
        node_labels: (N,) int64, or None
        edge_labels: (E,) int64, or None
    """

    node_start: Tensor
    edge_start: Tensor
    edge_index: Tensor
    node_attributes: Tensor
    edge_attributes: Tensor
    node_labels: Tensor | None = None
    edge_labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.node_start) - 1


class GraphExamples(Dataset[Any]):
    """Some graphs of a store.

    Args:
        store: all graphs.
        x: (N, F) features of the store's nodes.
        edge_attr: (E, D) features of its edges.
        index: the graphs that make this split.
        labels: (G,) of all graphs; None where only predictions are wanted.
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
        first = num_nodes.cumsum(0) - num_nodes  # where each graph's nodes begin in the batch
        batch = Graphs(
            x=self.x[node_rows],
            edge_index=self.store.edge_index[:, edge_rows] + torch.repeat_interleave(first, num_edges),
            edge_attr=self.edge_attr[edge_rows],
            graph=torch.repeat_interleave(torch.arange(len(chosen)), num_nodes),
            num_graphs=len(chosen),
        )
        return batch if self.labels is None else (batch, self.labels[chosen])


def generated_motifs(num_graphs: int, seed: int) -> tuple[Store, list[str]]:
    """Random trees with a ring of six coloured nodes on each; the class is how the colours follow each other.

    In a `blocks` ring they go red red red blue blue blue, in a `stripes` ring red blue red blue red blue. The same
    number of red and blue nodes hang on the tree as a distraction, so colours alone say nothing: a node has to weigh
    its neighbours. Features are the colour (grey, red, blue), each with noise.
    """
    random = generator(seed)
    node_counts, edge_counts, pairs, colours, labels = [], [], [], [], []
    patterns = {"blocks": [1, 1, 1, 2, 2, 2], "stripes": [1, 2, 1, 2, 1, 2]}
    for number in range(num_graphs):
        label = ("blocks", "stripes")[number % 2]
        size = int(torch.randint(8, 17, (), generator=random))
        colour = [0] * size
        edges = [(node, int(torch.randint(0, node, (), generator=random))) for node in range(1, size)]
        ring = list(range(size, size + 6))
        edges += [(ring[place], ring[(place + 1) % 6]) for place in range(6)]
        turn = int(torch.randint(0, 6, (), generator=random))
        colour += patterns[label][turn:] + patterns[label][:turn]
        edges.append((ring[0], int(torch.randint(0, size, (), generator=random))))
        for shade in (1, 1, 2, 2):
            edges.append((len(colour), int(torch.randint(0, size, (), generator=random))))
            colour.append(shade)
        both = edges + [(second, first) for first, second in edges]
        node_counts.append(len(colour))
        edge_counts.append(len(both))
        pairs += both
        colours += colour
        labels.append(label)
    x = F.one_hot(torch.tensor(colours), 3).float()
    x += 0.3 * torch.randn(x.shape, generator=random)
    store = Store(
        node_start=F.pad(torch.tensor(node_counts).cumsum(0), (1, 0)),
        edge_start=F.pad(torch.tensor(edge_counts).cumsum(0), (1, 0)),
        edge_index=torch.tensor(pairs).T.contiguous(),
        node_attributes=x,
        edge_attributes=torch.empty(len(pairs), 0),
    )
    return store, labels


def _numbers(path: Path, kind: Any) -> np.ndarray[Any, Any]:
    """A file of comma-separated numbers as a matrix.

    Raises:
        DataError: something else stands in it; the message has the line.
    """
    with regular(path).open("rb") as file:
        if not file.read(1 << 16).strip():
            raise DataError(f"{path}: the file is empty")
    try:
        return np.loadtxt(path, dtype=kind, delimiter=",", ndmin=2, encoding="latin-1")
    except ValueError as error:
        width = None
        for line, text in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):  # decodes whatever it is
            cells = text.split(",")
            width = width or len(cells)
            try:
                [kind(cell) for cell in cells]
            except ValueError:
                raise DataError(f"{path}:{line}: expected numbers, found {text.strip()}") from None
            if len(cells) != width:
                raise DataError(f"{path}:{line}: expected {width} numbers, found {len(cells)}") from None
        raise DataError(f"{path}: {error}") from None


def read_tu(folder: Path, name: str) -> tuple[Store, list[str] | None]:
    """Read TUDataset's text layout: NAME_A.txt, NAME_graph_indicator.txt, and what else there is of it.

    Returns:
        The graphs, and each one's class if NAME_graph_labels.txt is there.

    Raises:
        DataError: a file is missing or empty, or does not agree with the others.
    """
    file = {
        part: folder / f"{name}_{part}.txt"
        for part in (
            "A", "graph_indicator", "graph_labels", "node_labels", "node_attributes", "edge_labels", "edge_attributes"
        )
    }  # fmt: skip
    for part in ("A", "graph_indicator"):
        if not file[part].is_file():
            raise DataError(f"{folder}: expected {file[part].name} in it")
    indicator = _numbers(file["graph_indicator"], int).ravel() - 1
    if indicator.min() < 0 or (np.diff(indicator) < 0).any():
        line = int((np.diff(indicator, prepend=0) < 0).argmax()) + 1
        raise DataError(f"{file['graph_indicator']}:{line}: graph numbers have to ascend from 1")
    num_nodes, num_graphs = len(indicator), int(indicator.max()) + 1
    pairs = _numbers(file["A"], int)
    if pairs.shape[1] != 2:
        raise DataError(f"{file['A']}:1: expected two node numbers a line, found {pairs.shape[1]}")
    pairs = pairs - 1
    outside = ((pairs < 0) | (pairs >= num_nodes)).any(1)
    if outside.any():
        line = int(outside.argmax())
        raise DataError(
            f"{file['A']}:{line + 1}: an edge joins nodes {pairs[line, 0] + 1} and {pairs[line, 1] + 1}, "
            f"but the last node is {num_nodes}"
        )
    across = indicator[pairs[:, 0]] != indicator[pairs[:, 1]]
    if across.any():
        raise DataError(f"{file['A']}:{int(across.argmax()) + 1}: an edge joins nodes of two graphs")

    order = np.argsort(indicator[pairs[:, 0]], kind="stable")
    node_start = np.concatenate([[0], np.bincount(indicator, minlength=num_graphs).cumsum()])
    edge_graph = indicator[pairs[order, 0]]
    edge_start = np.concatenate([[0], np.bincount(edge_graph, minlength=num_graphs).cumsum()])

    def column(part: str, rows: int, what: str, kind: Any) -> np.ndarray[Any, Any] | None:
        if not file[part].is_file():
            return None
        values = _numbers(file[part], kind)
        if len(values) != rows:
            raise DataError(f"{file[part]}: {len(values)} lines, expected one for each of the {rows} {what}")
        if not np.isfinite(values).all():
            line, place = (int(where[0]) for where in np.nonzero(~np.isfinite(values)))
            found = values[line, place]
            raise DataError(f"{file[part]}:{line + 1}: column {place + 1} is {found}, expected a finite number")
        return values

    node_attributes = column("node_attributes", num_nodes, "nodes", float)
    edge_attributes = column("edge_attributes", len(pairs), "edges", float)
    node_labels = column("node_labels", num_nodes, "nodes", int)
    edge_labels = column("edge_labels", len(pairs), "edges", int)
    graph_labels = column("graph_labels", num_graphs, "graphs", int)
    store = Store(
        node_start=torch.from_numpy(node_start),
        edge_start=torch.from_numpy(edge_start),
        edge_index=torch.from_numpy((pairs[order] - node_start[edge_graph][:, None]).T.copy()),
        node_attributes=_floats(node_attributes, num_nodes),
        edge_attributes=_floats(None if edge_attributes is None else edge_attributes[order], len(pairs)),
        node_labels=None if node_labels is None else torch.from_numpy(node_labels[:, 0]),
        edge_labels=None if edge_labels is None else torch.from_numpy(edge_labels[order, 0]),
    )
    return store, None if graph_labels is None else [str(label) for label in graph_labels[:, 0]]


def _floats(values: np.ndarray[Any, Any] | None, rows: int) -> Tensor:
    return torch.empty(rows, 0) if values is None else torch.from_numpy(values).float()


class GraphClasses(LabelledData):
    """Graphs that each belong to a class.

    A batch is `(Graphs, target)`; see Graphs. A node's features are its label (one of several), its attributes
    (scaled), and its degree (one of several, the last for all larger); an edge's its label and its attributes.
    Provides num_features, num_edge_features, num_classes, class_names and class_counts.

    Your own files are a folder in TUDataset's text layout: NAME_A.txt, NAME_graph_indicator.txt,
    NAME_graph_labels.txt and, if there are any, NAME_node_labels.txt, NAME_node_attributes.txt,
    NAME_edge_labels.txt, NAME_edge_attributes.txt.

    Args:
        dataset: a known data set, or the path of a folder.
        num_graphs: how many graphs `motifs` has.
        max_degree: node degrees from this on count as the same; 0 leaves degrees out of the features.
        edge_dropout: chance of each edge to be left out of a training step, both its directions together.
        feature_masking: chance of each feature to be zero, for all nodes, in a training step.
        kwargs: as for LabelledData and DataModule.
    """

    provides: ClassVar[tuple[str, ...]] = ("num_features", "num_edge_features", *LabelledData.provides)
    shapes_vary: ClassVar[bool] = True
    learned: ClassVar[tuple[str, ...]] = (
        *LabelledData.learned, "node_labels", "edge_labels", "node_scale", "edge_scale",
    )  # fmt: skip

    def __init__(
        self,
        dataset: str = "motifs",
        num_graphs: int = 1000,
        max_degree: int = 6,
        edge_dropout: float = 0.0,
        feature_masking: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, **kwargs)
        if num_graphs < 1:
            raise ValueError(f"--data.num_graphs: expected at least 1, got {num_graphs}")
        if max_degree < 0:
            raise ValueError(f"--data.max_degree: expected at least 0, got {max_degree}")
        check_chance("edge_dropout", edge_dropout)
        check_chance("feature_masking", feature_masking)
        self.edge_dropout = edge_dropout
        self.feature_masking = feature_masking
        self.num_graphs = num_graphs
        self.max_degree = max_degree
        self.node_labels: list[int] = []
        self.edge_labels: list[int] = []
        self.node_scale: list[list[float]] = [[], []]  # mean and spread of each attribute
        self.edge_scale: list[list[float]] = [[], []]
        self.store: Store
        self.encoded: tuple[Tensor, Tensor] | None = None

    @property
    def num_features(self) -> int:
        """F"""
        return max(1, len(self.node_labels) + len(self.node_scale[0]) + (self.max_degree + 1 if self.max_degree else 0))

    @property
    def num_edge_features(self) -> int:
        """D"""
        return len(self.edge_labels) + len(self.edge_scale[0])

    def read(self) -> Source:
        """Read graphs and classes."""
        labels: list[str] | None
        if self.is_embedded:
            self.store, labels = generated_motifs(self.num_graphs, seed=0)
            where = self.dataset
        else:
            folder = self.folder_of([f"{self.dataset}_A.txt"]) if self.is_published else self.path
            where = str(folder)
            self.store, labels = read_tu(folder, tu_name(folder))
        if labels is None:
            raise DataError(f"{where}: expected {tu_name(Path(where))}_graph_labels.txt in it")
        self.class_names, self.labels = class_codes(labels, self.known_classes, where)
        return Source(len(self.store), self.labels)

    def identities(self) -> list[Any]:
        """Each graph's nodes and edges as they are written; graphs alike but for their nodes' order are not found."""
        store = self.store
        nodes, edges = store.node_start.tolist(), store.edge_start.tolist()
        of_nodes = [part for part in (store.node_labels, store.node_attributes) if part is not None]
        of_edges = [part for part in (store.edge_index.T, store.edge_labels, store.edge_attributes) if part is not None]
        return [
            tuple(part[nodes[graph] : nodes[graph + 1]].numpy().tobytes() for part in of_nodes)
            + tuple(part[edges[graph] : edges[graph + 1]].numpy().tobytes() for part in of_edges)
            for graph in range(len(store))
        ]

    def contents(self) -> dict[str, str]:
        """Of edges, of the labels and attributes of nodes and edges, and of the classes."""
        store = self.store
        attributes = {} if self.is_embedded else {"node attributes": store.node_attributes}  # else normal noise, which
        parts = {  # differs in its last bits from one processor to another
            "sizes of the graphs": store.node_start,
            **attributes,
            "edge attributes": store.edge_attributes,
            "node labels": store.node_labels,
            "edge labels": store.edge_labels,
        }
        digests = {name: of_numbers(part) for name, part in parts.items() if part is not None}
        return digests | {"edges": of_numbers(store.edge_start, store.edge_index), "labels": self.label_digest}

    def fit(self, train: Tensor) -> None:
        """Learn which labels there are, and the attributes' scales."""
        store = self.store
        nodes = ranges(store.node_start[train], store.node_start[train + 1] - store.node_start[train])
        edges = ranges(store.edge_start[train], store.edge_start[train + 1] - store.edge_start[train])
        self.node_labels = [] if store.node_labels is None else store.node_labels[nodes].unique().tolist()
        self.edge_labels = [] if store.edge_labels is None else store.edge_labels[edges].unique().tolist()
        self.node_scale = _scale(store.node_attributes[nodes])
        self.edge_scale = _scale(store.edge_attributes[edges])

    def encode(self, store: Store, where: str) -> tuple[Tensor, Tensor]:
        """Features of all nodes, (N, F), and of all edges, (E, D); a label never seen in training is all zeros."""
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
        """A training batch without some edges and features; degrees among the features stay what they were."""
        graphs, target = batch
        if self.edge_dropout:
            kept = kept_edges(graphs.edge_index, len(graphs.x), self.edge_dropout)
            graphs = graphs._replace(edge_index=graphs.edge_index[:, kept], edge_attr=graphs.edge_attr[kept])
        if self.feature_masking:
            graphs = graphs._replace(x=without_features(graphs.x, self.feature_masking))
        return graphs, target

    def read_input(self, path: Path) -> tuple[GraphExamples, list[str]]:
        """All graphs of a folder, which needs no classes."""
        store, _ = read_tu(path, tu_name(path))
        encoded = self.encode(store, str(path))
        return GraphExamples(store, *encoded, torch.arange(len(store))), [str(n + 1) for n in range(len(store))]


def tu_name(folder: Path) -> str:
    """The name that the files of a folder in TUDataset's layout begin with."""
    files = sorted(folder.glob("*_A.txt")) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: expected a folder with NAME_A.txt and NAME_graph_indicator.txt")
    return files[0].name.removesuffix("_A.txt")


def _one_hot(labels: Tensor | None, known: list[int], rows: int, where: str) -> Tensor:
    if not known:
        return torch.empty(rows, 0)
    if labels is None:
        raise DataError(f"{where}: missing, though the model was trained with them")
    return (labels[:, None] == torch.tensor(known)).float()


def _scale(values: Tensor) -> list[list[float]]:
    if not values.shape[1]:
        return [[], []]
    spread = values.double().std(0, correction=0)
    return [values.double().mean(0).tolist(), torch.where(spread > 0, spread, 1.0).tolist()]


def _scaled(values: Tensor, scale: list[list[float]], where: str) -> Tensor:
    mean, spread = scale
    if values.shape[1] != len(mean):
        raise DataError(f"{where}: {values.shape[1]} columns, expected {len(mean)}")
    return (values - torch.tensor(mean)) / torch.tensor(spread) if mean else values

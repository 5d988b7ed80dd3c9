"""One graph whose nodes are classified."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from datamodules.augmentation.graphs import kept_edges, without_features
from datamodules.errors import check_probability
from datamodules.export.exportable import ExportableModule
from datamodules.files import planetoid
from datamodules.files.encoding import known_encoding
from datamodules.files.table_columns import Column, column_digest, strings
from datamodules.files.tables import Reading, read_table, without_marks
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.examples import Source
from datamodules.loading.sampling import cut
from datamodules.storage.catalogue import PLANETOID, Remotes
from datamodules.storage.download import DataError
from datamodules.storage.fingerprint import hash_numbers


class Graph(NamedTuple):
    """A complete graph, and the nodes to classify.

    Args:
        x: (N, F) features, dense or sparse CSR.
        edge_index: (2, E), from the first row's nodes to the second's; both directions, no loops.
        adjacency: (N, N) sparse CSR, D^-1/2 (A + I) D^-1/2, where D are the row sums of A + I.
        nodes: (B,) indices.
    """

    x: Tensor
    edge_index: Tensor
    adjacency: Tensor
    nodes: Tensor


def csr(matrix: Any) -> Tensor:
    """A scipy matrix as a sparse CSR tensor."""
    matrix = sp.csr_matrix(matrix, dtype=np.float32)
    matrix.sum_duplicates()
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data),
        size=matrix.shape,
        check_invariants=False,  # scipy guarantees them
    )


def _matrix_digest(matrix: Any) -> str:
    """A digest of a scipy matrix, whatever the order in which its values are stored."""
    matrix = sp.csr_matrix(matrix, copy=True)
    matrix.sum_duplicates()
    indices = (part.astype(np.int64) for part in (np.array(matrix.shape), matrix.indptr, matrix.indices))
    return hash_numbers(*indices, matrix.data)


def undirected(pairs: np.ndarray[Any, Any], size: int) -> Any:
    """The symmetric 0/1 adjacency matrix of (E, 2) pairs, without loops."""
    ones = np.ones(len(pairs), np.float32)
    matrix = sp.csr_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    matrix = ((matrix + matrix.T) > 0).astype(np.float32)
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    return matrix.tocsr()


def normalised_adjacency(edge_index: Tensor, num_nodes: int) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 as a sparse CSR tensor (N, N), where D are the row sums of A + I.

    Args:
        edge_index: (2, E) both directions of each edge, without duplicates and loops.
        num_nodes: N
    """
    loops = torch.arange(num_nodes, device=edge_index.device).expand(2, -1)
    both = torch.cat([edge_index, loops], 1)
    rows, columns = both[:, (both[0] * num_nodes + both[1]).argsort()]
    degree = torch.bincount(rows, minlength=num_nodes)
    scale = degree.float().rsqrt()
    start = F.pad(degree.cumsum(0), (1, 0))
    values = scale[rows] * scale[columns]
    return torch.sparse_csr_tensor(start, columns, values, (num_nodes, num_nodes), check_invariants=False)


class Network(NamedTuple):
    """A graph as it was read.

    Args:
        adjacency: scipy (N, N), symmetric, of ones and zeros.
        words: scipy (N, F), features; None where there are none, or a table has them.
        table: a row for each node; None where there is none.
    """

    adjacency: Any
    words: Any = None
    table: Any = None


class NodeExamples(Dataset[Any]):
    """Some nodes of a graph; a batch is the complete graph, the nodes to classify, and their labels.

    Args:
        graph: the graph.
        index: (M,) the nodes of this split.
        labels: (N,) of all nodes; None for predictions.
    """

    def __init__(self, graph: Graph, index: Tensor, labels: Tensor | None = None) -> None:
        self.graph = graph
        self.index = index
        self.labels = labels

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Any:
        nodes = self.index[index]
        graph = self.graph._replace(nodes=nodes)
        return graph if self.labels is None else (graph, self.labels[nodes])


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


class ExportableGraph(ExportableModule):
    """Reads one graph, and classifies all of its nodes."""

    unit = "nodes"

    def __init__(self, model: nn.Module, data: "Nodes") -> None:
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


class Nodes(LabelledData):
    """The nodes of one graph, each of a class; few are labelled, all are read (transductive).

    A batch is `(Graph, target)`; see Graph. Provides num_features, num_classes, class_names and class_counts.

    Your own files are a folder with `nodes.csv` (a column `id`, a column with the class, which may be empty, any
    columns of features, and perhaps a column `split` of train, val and test) and `edges.csv` (two columns of ids).

    Args:
        dataset: a known data set, or the path of a folder.
        target: name of the column of nodes.csv with the class.
        encoding: of the CSV files.
        batch_size: labelled nodes in a step; None for all of them. Every step reads the complete graph.
        edge_dropout: probability of each edge to be dropped in a training step, in both directions together.
        feature_masking: probability of each feature to be zero, for all nodes, in a training step.
        kwargs: as for LabelledData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("karate",)
    published: ClassVar[Remotes] = PLANETOID
    provides: ClassVar[tuple[str, ...]] = ("num_features", *LabelledData.provides)
    full_batch: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = (*LabelledData.fitted, "columns", "num_nodes", "num_words")

    def __init__(
        self,
        dataset: str = "karate",
        target: str = "label",
        encoding: str = "utf-8",
        batch_size: int | None = None,
        edge_dropout: float = 0.0,
        feature_masking: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, batch_size=batch_size, **kwargs)
        check_probability("edge_dropout", edge_dropout)
        check_probability("feature_masking", feature_masking)
        self.edge_dropout = edge_dropout
        self.shapes_vary = edge_dropout > 0  # type: ignore[misc]
        self.feature_masking = feature_masking
        self.target = target
        self.encoding = known_encoding(encoding)
        self.columns: list[dict[str, Any]] = []
        self.num_nodes = 0
        self.num_words = 0  # features that are not columns of a table
        self.network: Network
        self.graph: Graph | None = None

    @property
    def num_features(self) -> int:
        """F"""
        if self.columns:
            return sum(len(Column(state).features) for state in self.columns)
        return self.num_words or self.num_nodes

    def read(self) -> Source:
        """Read nodes, edges and classes."""
        if self.is_embedded:
            source = self._read_karate()
        elif self.is_published:
            source = self._read_planetoid()
        else:
            source = self._read_files()
        if not self.restored:
            self.num_nodes = self.network.adjacency.shape[0]
            self.num_words = 0 if self.network.words is None else self.network.words.shape[1]
        return source

    def _read_karate(self) -> Source:
        from torch_geometric.datasets import KarateClub  # seconds to import, and unused for own files

        data = KarateClub()[0]
        size = int(data.num_nodes)
        labels = [str(label) for label in data.y.tolist()]
        self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset)
        self.network = Network(undirected(data.edge_index.T.numpy(), size))
        test, val = cut((~data.train_mask).nonzero().flatten(), 1 / 3, self.labels, self.split_seed)
        official = {"train": data.train_mask.nonzero().flatten(), "val": val, "test": test}
        return Source(size, self.labels, official)

    def _read_planetoid(self) -> Source:
        prefix = f"ind.{self.dataset.lower()}."
        folder = self.folder_of([prefix + part for part in planetoid.PARTS])
        part = planetoid.read(folder, prefix)
        tested = part["test.index"]
        size = max(int(tested.max()) + 1, len(part["graph"]))
        known = part["allx"].shape[0]
        # CiteSeer's test indices have gaps: isolated nodes without features or a class.
        features = sp.lil_matrix((size, part["allx"].shape[1]), dtype=np.float32)
        features[:known] = part["allx"]
        features[tested] = part["tx"]
        onehot = np.zeros((size, part["ally"].shape[1]), np.int64)
        onehot[:known] = part["ally"]
        onehot[tested] = part["ty"]
        sums = np.asarray(features.sum(1)).ravel()
        scale = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)
        words = (sp.diags(scale) @ features.tocsr()).tocsr()  # each row sums to one
        pairs = np.array([(node, other) for node, others in part["graph"].items() for other in others], np.int64)
        self._check_edges(pairs, size, str(folder / f"{prefix}graph"))
        self.network = Network(undirected(pairs, size), words)
        labels = [str(label) for label in onehot.argmax(1)]
        self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset)
        train = part["y"].shape[0]
        official = {
            "train": torch.arange(train),
            "val": torch.arange(train, train + planetoid.VALIDATION),
            "test": torch.from_numpy(np.sort(tested)),
        }
        return Source(size, self.labels, official)

    def _check_edges(self, pairs: np.ndarray[Any, Any], size: int, where: str) -> None:
        wrong = ((pairs < 0) | (pairs >= size)).any(1)
        if wrong.any():
            row = int(wrong.argmax())
            first, second = pairs[row]
            raise DataError(f"{where}: edge {row + 1} joins {first} and {second}, but nodes go from 0 to {size - 1}")

    def _read_files(self) -> Source:
        folder = self.path
        self.network, table = self._read_network(folder)
        if self.target not in table.column_names:
            raise DataError(
                f"{folder / 'nodes.csv'}: no column {self.target} with the classes (--data.target names another); "
                f"it has {', '.join(table.column_names)}"
            )
        texts = strings(table[self.target])
        labelled = torch.tensor([node for node, text in enumerate(texts) if text is not None], dtype=torch.long)
        if len(labelled) == 0:
            raise DataError(f"{folder / 'nodes.csv'}: no node has a class in column {self.target}")
        names = [str(texts[node]) for node in labelled.tolist()]
        self.class_names, codes = class_codes(names, self.known_classes, str(folder / "nodes.csv"))
        self.labels = torch.zeros(len(texts), dtype=torch.long)
        self.labels[labelled] = codes
        official = {"train": labelled}
        if "split" in table.column_names:
            chosen = strings(table["split"])
            for row, split in enumerate(chosen):
                if split not in (None, "train", "val", "test"):
                    raise DataError(
                        f"{folder / 'nodes.csv'}: row {row + 1}: column split has {split}, expected train, val or test"
                    )
            official = {
                split: torch.tensor([node for node in labelled.tolist() if chosen[node] == split], dtype=torch.long)
                for split in ("train", "val", "test")
                if split in chosen
            }
        return Source(sum(map(len, official.values())), self.labels, official)

    def _read_network(self, folder: Path) -> tuple[Network, pa.Table]:
        """Read nodes.csv and edges.csv."""
        for file in ("nodes.csv", "edges.csv"):
            if not (folder / file).is_file():
                raise DataError(f"{folder}: expected nodes.csv and edges.csv in the folder, found no {file}")
        table = without_marks(read_table(folder / "nodes.csv", Reading(self.encoding, True, note=self.note)))
        if "id" not in table.column_names:
            raise DataError(f"{folder / 'nodes.csv'}: no column id; it has {', '.join(table.column_names)}")
        index_of: dict[str | None, int] = {}
        for index, name in enumerate(strings(table["id"])):
            if name in index_of:
                raise DataError(f"{folder / 'nodes.csv'}: two nodes have the id {name}")
            index_of[name] = index
        edges = read_table(folder / "edges.csv", Reading(self.encoding, None, note=self.note))
        if all(name in index_of for name in edges.column_names[:2]):
            edges = read_table(
                folder / "edges.csv", Reading(self.encoding, False, note=self.note)
            )  # they are nodes, not a header
        if edges.num_columns < 2:
            raise DataError(f"{folder / 'edges.csv'}: expected two columns of node ids, found {edges.num_columns}")
        pairs = np.empty((len(edges), 2), np.int64)
        for side in (0, 1):
            for line, name in enumerate(strings(edges.column(side))):
                if name not in index_of:
                    raise DataError(
                        f"{folder / 'edges.csv'}: edge {line + 1} joins node {name}, which nodes.csv does not have"
                    )
                pairs[line, side] = index_of[name]
        return Network(undirected(pairs, len(table)), table=table), table

    def contents(self) -> dict[str, str]:
        """Digests of the edges, the features and the classes."""
        network = self.network
        parts = {"edges": _matrix_digest(network.adjacency), "labels": self.label_digest}
        if network.words is not None:
            parts["features"] = _matrix_digest(network.words)
        for state in self.columns:
            parts[f"column {state['name']}"] = column_digest(network.table[state["name"]])
        return parts

    def fit(self, train: Tensor) -> None:
        """Fit the scaling and the categories of the columns of features."""
        table = self.network.table
        if table is not None:
            given = [name for name in table.column_names if name not in ("id", "split", self.target)]
            columns = (Column.fitted(name, table[name], train) for name in given)
            self.columns = [column.state for column in columns if column is not None]
        self.examples(train)  # refuses an infinity anywhere before training

    def _graph(self, network: Network, where: str) -> Graph:
        """The graph as tensors; without features each node has its index, one-hot."""
        size = network.adjacency.shape[0]
        if self.columns:
            names = [] if network.table is None else network.table.column_names
            for state in self.columns:
                if state["name"] not in names:
                    raise DataError(f"{where}: no column {state['name']}; it has {', '.join(names) or 'none'}")
            x = torch.cat([Column(state).encode(network.table[state["name"]], where) for state in self.columns], dim=1)
        elif self.num_words:
            found = 0 if network.words is None else network.words.shape[1]
            if found != self.num_words:
                raise DataError(
                    f"{where}: its nodes have {found} words as features, expected {self.num_words}, "
                    f"which the model was trained on"
                )
            x = csr(network.words)
        elif size == self.num_nodes:
            x = csr(sp.identity(size, dtype=np.float32))
        else:
            raise DataError(
                f"{where}: has {size} nodes, expected {self.num_nodes}: the model identifies nodes by their index"
            )
        pairs = torch.from_numpy(np.stack(network.adjacency.nonzero()).astype(np.int64))
        return Graph(x, pairs, normalised_adjacency(pairs, size), torch.arange(size))

    def examples(self, index: Tensor) -> NodeExamples:
        """Nodes of the graph."""
        if self.graph is None:
            self.graph = self._graph(self.network, self.dataset)
        return NodeExamples(self.graph, index, self.labels)

    def augmented(self, batch: Any) -> Any:
        """A training batch with edges and features dropped, its adjacency normalised again."""
        graph, target = batch
        size = graph.x.shape[0]
        if self.edge_dropout:
            edge_index = graph.edge_index[:, kept_edges(graph.edge_index, size, self.edge_dropout)]
            graph = graph._replace(edge_index=edge_index, adjacency=normalised_adjacency(edge_index, size))
        if self.feature_masking:
            graph = graph._replace(x=without_features(graph.x, self.feature_masking))
        return graph, target

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads a graph."""
        return ExportableGraph(model, self)

    def read_input(self, path: Path) -> tuple[NodeExamples, list[str]]:
        """All nodes of a folder with nodes.csv, which needs no column of classes, and edges.csv."""
        network, table = self._read_network(path)
        graph = self._graph(network, str(path))
        return NodeExamples(graph, graph.nodes), [str(name) for name in strings(table["id"])]

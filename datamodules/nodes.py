"""One graph whose nodes are classified."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from datamodules.augmentation.graphs import kept_edges, without_features
from datamodules.baselines.baseline import Baseline
from datamodules.baselines.label_propagation import LabelPropagation
from datamodules.checking.drawing import MAX_NODES, Drawing, edges_between, neighbourhood
from datamodules.checking.facts import column_fact
from datamodules.errors import check_probability
from datamodules.export.exportable import ExportableModule
from datamodules.export.exportable_nodes import ExportableNodes
from datamodules.files import planetoid
from datamodules.files.encoding import known_encoding
from datamodules.files.node_tables import NodeFiles, class_column, read_nodes, splits_in
from datamodules.files.splits import listed
from datamodules.files.table_columns import Column, column_digest, encoded, strings
from datamodules.labels import LabelledData, class_codes
from datamodules.loading.adjacency import (
    csr,
    for_device,
    matrix_digest,
    normalised,
    normalised_adjacency,
    undirected,
)
from datamodules.loading.clusters import clusters_of
from datamodules.loading.examples import Source
from datamodules.loading.neighbourhoods import ALL, Neighbourhoods
from datamodules.loading.node_batches import Graph, NodeExamples, Seeds, complete
from datamodules.loading.sampling import cut
from datamodules.storage.catalogue import PLANETOID, Remotes
from datamodules.storage.download import DataError


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


def network_of(files: NodeFiles) -> Network:
    """The graph that files hold."""
    return Network(undirected(files.pairs, len(files.ids)), files.words, files.table)


def check_num_neighbors(numbers: Sequence[int]) -> None:
    """Refuse numbers of neighbours that are none.

    Raises:
        ValueError: there is no number, or one is neither -1 nor at least 1.
    """
    wrong = [number for number in numbers if number != ALL and number < 1]
    if wrong or not numbers:
        found = wrong[0] if wrong else "no number"
        raise ValueError(f"--data.num_neighbors: expected numbers from 1, or -1 for all neighbours, got {found}")


class Nodes(LabelledData):
    """The nodes of one graph, each of a class; few are labelled, all are read (transductive).

    A batch is `(Graph, target)`; see Graph. Provides num_features, num_classes, class_names and class_counts.

    Your own files are a folder with `nodes.csv` (a column `id`, a column with the class, which may be empty, any
    columns of features, and perhaps a column `split` of train, val and test) and `edges.csv` (two columns of ids).
    Those of Gephi, SNAP, OGB, Planetoid and Cora's first publication are read, too; see docs/en/nodes.md.

    Args:
        dataset: a known data set, or the path of a folder.
        target: name of the column of nodes.csv with the class.
        encoding: of the CSV files.
        batch_size: labelled nodes in a step; None for all of them. Every step reads the complete graph, unless
            `num_neighbors` or `num_clusters` are given.
        num_neighbors: how many neighbours of each node a training step samples, first of the nodes that are classified,
            then of their neighbours, and so on: a number for each layer of the model; -1 for all. Validation, test and
            prediction read all neighbours. None for the complete graph.
        num_clusters: divide the graph into so many clusters with few edges between them; a training step reads the
            clusters that its labelled nodes are in, which are as few as possible. Validation, test and prediction read
            the complete graph.
        edge_dropout: probability of each edge to be dropped in a training step, in both directions together.
        feature_masking: probability of each feature to be zero, for all nodes, in a training step.
        kwargs: as for LabelledData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("karate",)
    of_own: ClassVar[tuple[str, ...]] = ("target", "encoding")
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
        num_neighbors: list[int] | None = None,
        num_clusters: int | None = None,
        edge_dropout: float = 0.0,
        feature_masking: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, batch_size=batch_size, **kwargs)
        check_probability("edge_dropout", edge_dropout)
        check_probability("feature_masking", feature_masking)
        self.num_neighbors = num_neighbors
        if num_neighbors is not None:
            check_num_neighbors(num_neighbors)
            if edge_dropout:
                raise ValueError(
                    f"--data.edge_dropout {edge_dropout} and --data.num_neighbors contradict each other: "
                    f"neighbours that are not sampled are edges dropped already; give one of them"
                )
        if num_clusters is not None:
            self._check_num_clusters(num_clusters)
        self.num_clusters = num_clusters
        self.is_read_in_parts = num_neighbors is not None or num_clusters is not None
        self.full_batch = not self.is_read_in_parts  # type: ignore[misc]
        self.edge_dropout = edge_dropout
        self.shapes_vary = edge_dropout > 0 or self.is_read_in_parts  # type: ignore[misc]
        self.feature_masking = feature_masking
        self.target = target
        self.encoding = known_encoding(encoding)
        self.columns: list[dict[str, Any]] = []
        self.num_nodes = 0
        self.num_words = 0  # features that are not columns of a table
        self.reserved: list[str] = []  # columns of a table that are no features
        self.node_names: list[str] = []  # as the files have them
        self.labelled: Tensor | None = None  # the nodes that have a class; None for all of them
        self.network: Network
        self._clusters: Tensor | None = None
        self.graph: Graph | Seeds | None = None

    def _check_num_clusters(self, num_clusters: int) -> None:
        """Refuse numbers of clusters that are none, and options that would make them useless."""
        option = f"--data.num_clusters {num_clusters}"
        if num_clusters < 1:
            raise ValueError(f"--data.num_clusters: expected at least 1, got {num_clusters}")
        if self.num_neighbors is not None:
            raise ValueError(f"{option} and --data.num_neighbors contradict each other; give one of them")
        if self.batch_size is None:
            raise ValueError(
                f"{option}: give --data.batch_size, too, the labelled nodes in a step, whose clusters are read; "
                f"all of them are in nearly all clusters"
            )

    @property
    def num_features(self) -> int:
        """F"""
        columns = sum(len(Column(state).features) for state in self.columns)
        return columns + self.num_words or self.num_nodes

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
        return self._citations(self.folder_of([prefix + part for part in planetoid.PARTS]), prefix)

    @property
    def _texts(self) -> frozenset[str]:
        """The columns of texts in training."""
        return frozenset(state["name"] for state in self.columns if state["kind"] == "category")

    def _citations(self, folder: Path, prefix: str) -> Source:
        pairs, words, labels, official = planetoid.read_citations(folder, prefix)
        self.network = Network(undirected(pairs, len(labels)), words)
        self.class_names, self.labels = class_codes(labels, self.known_classes, self.dataset)
        return Source(len(labels), self.labels, {split: torch.from_numpy(rows) for split, rows in official.items()})

    def _read_files(self) -> Source:
        if found := planetoid.own_files(self.path):
            return self._citations(*found)
        files = read_nodes(self.path, self.encoding, self.target, self.note, self._texts)
        self.network = network_of(files)
        target = class_column(files.table, self.target, files.path)
        self.reserved = [*files.reserved, target]
        texts = strings(files.table[target])
        labelled = np.array([node for node, text in enumerate(texts) if text is not None], np.int64)
        if len(labelled) == 0:
            raise DataError(f"{files.path}: no node has a class in column {target}")
        if len(labelled) < len(texts):
            missing = len(texts) - len(labelled)
            unlabelled = f"{missing} of {len(texts)} nodes have no class (empty, or a mark such as NA or None)"
            self.note(f"{files.path}: {unlabelled}, and are in no split")
        self.class_names, codes = class_codes(
            [str(texts[node]) for node in labelled], self.known_classes, str(files.path)
        )
        self.node_names, self.labelled = list(map(str, files.ids)), torch.from_numpy(labelled)
        self.labels = torch.zeros(len(texts), dtype=torch.long)
        self.labels[labelled] = codes
        official = files.splits or splits_in(files.table, files.reserved, files.path) or {"train": labelled}
        official = {split: rows[np.isin(rows, labelled)] for split, rows in official.items()}
        size = sum(map(len, official.values()))
        if size < len(labelled):
            self.note(f"{files.path}: {len(labelled) - size} of {len(labelled)} nodes with a class are in no split")
        return Source(size, self.labels, {split: torch.from_numpy(rows) for split, rows in official.items()})

    def facts(self) -> list[tuple[str, str]]:
        """The size of the graph, and the features of the nodes."""
        network = self.network
        facts = [("graph", f"{network.adjacency.shape[0]:,} nodes, {network.adjacency.nnz // 2:,} undirected edges")]
        if self.num_words:
            facts.append(("features", f"{self.num_words:,} numbers for each node"))
        used = [state["name"] for state in self.columns]
        for name in [] if network.table is None else network.table.column_names:
            if name not in self.reserved:
                facts.append((name, column_fact(network.table[name], "" if name in used else "left out")))
        return facts

    def origin(self, row: int) -> str:
        """The id of a node, or where the files have none, its number."""
        return self.node_names[row] if self.node_names else f"node {row + 1}"

    def drawable(self, rows: Tensor) -> Tensor:
        """Every node, with those around it."""
        return torch.ones(len(rows), dtype=torch.bool)

    def drawings(self, batch: Graph, chosen: Sequence[int]) -> list[Drawing]:
        """The whole graph if it is small, else what is two steps around each chosen node; coloured by class."""
        size, nodes, edge_index = batch.x.shape[0], batch.nodes.cpu(), batch.edge_index.cpu()
        ids = torch.arange(size) if batch.ids is None else batch.ids.cpu()
        kinds = self.labels
        if self.labelled is not None:
            kinds = torch.full_like(kinds, -1)
            kinds[self.labelled] = self.labels[self.labelled]
        kinds = kinds[ids]
        example = torch.full((size,), -1)
        example[nodes] = torch.arange(len(nodes))

        def names(part: Tensor) -> list[str]:
            nodes = ids[part].tolist()
            return [self.node_names[node] if self.node_names else str(node + 1) for node in nodes]

        parts = (
            {-1: torch.arange(size)}
            if size <= MAX_NODES
            else {index: neighbourhood(int(nodes[index]), edge_index, size) for index in chosen}
        )
        return [
            Drawing(
                part, *edges_between(part, edge_index), kinds[part], self.class_names, index, names(part),
                example[part],
            )
            for index, part in parts.items()
        ]  # fmt: skip

    def contents(self) -> dict[str, str]:
        """Digests of the edges, the features and the classes."""
        network = self.network
        parts = {"edges": matrix_digest(network.adjacency), "labels": self.label_digest}
        if network.words is not None:
            parts["features"] = matrix_digest(network.words)
        for state in self.columns:
            parts[f"column {state['name']}"] = column_digest(network.table[state["name"]])
        return parts

    def fit(self, train: Tensor) -> None:
        """Fit the scaling and the categories of the columns of features."""
        table = self.network.table
        if table is not None:
            given = [name for name in table.column_names if name not in self.reserved]
            columns = {name: Column.fitted(name, table[name], train) for name in given}
            self.columns = [column.state for column in columns.values() if column is not None]
            if left_out := [name for name, column in columns.items() if column is None]:
                self.note(f"{self.dataset}: columns without values, or whose values hardly recur: {listed(left_out)}")
        self.examples(train)  # refuses an infinity anywhere before training

    def _features(self, network: Network, where: str) -> Tensor:
        """The features of the nodes, (N, F); without any, each node has its index, one-hot."""
        size = network.adjacency.shape[0]
        parts = []
        names = [] if network.table is None else network.table.column_names
        for state in self.columns:
            if state["name"] not in names:
                raise DataError(f"{where}: no column {state['name']}; it has {', '.join(names) or 'none'}")
            parts.append(encoded(network.table, [state], where))
        if self.num_words:
            found = 0 if network.words is None else network.words.shape[1]
            if found != self.num_words:
                raise DataError(
                    f"{where}: its nodes have {found} words as features, expected {self.num_words}, "
                    f"which the model was trained on"
                )
            parts.append(csr(network.words))
        if len(parts) > 1:
            return torch.cat([part.to_dense() for part in parts], dim=1)
        if parts:
            return parts[0]
        if size != self.num_nodes:
            raise DataError(
                f"{where}: has {size} nodes, expected {self.num_nodes}: the model identifies nodes by their index"
            )
        return csr(sp.identity(size, dtype=np.float32))

    def _graph(self, network: Network, where: str) -> Graph | Seeds:
        """The graph as tensors, with all of its nodes to classify."""
        x, nodes = self._features(network, where), torch.arange(network.adjacency.shape[0])
        if not self.is_read_in_parts:
            return complete(x, network.adjacency)
        hops = None if self.num_neighbors is None else (ALL,) * len(self.num_neighbors)
        return Seeds(Neighbourhoods(x, network.adjacency), nodes, hops)

    @property
    def whole(self) -> Graph:
        """The complete graph."""
        graph = self.examples(torch.arange(1)).graph
        return graph if isinstance(graph, Graph) else complete(graph.source.x, self.network.adjacency)

    def examples(self, index: Tensor) -> NodeExamples:
        """Nodes of the graph, with all of their neighbours."""
        if self.graph is None:
            self.graph = self._graph(self.network, self.dataset)
        return NodeExamples(self.graph, index, self.labels)

    def split_examples(self, name: str) -> NodeExamples:
        """The nodes of a split; those of the training split with sampled neighbours, or their clusters."""
        examples = self.examples(getattr(self.splits, name))
        if name == "train" and isinstance(examples.graph, Seeds):
            sampled = None if self.num_neighbors is None else tuple(self.num_neighbors)
            examples.graph = examples.graph._replace(num_neighbors=sampled, clusters=self.clusters)
        return examples

    @property
    def clusters(self) -> Tensor | None:
        """(N,) the cluster of each node; None where there are none."""
        if self.num_clusters is not None and self._clusters is None:
            self._clusters = clusters_of(self.network.adjacency, self.num_clusters)
        return self._clusters

    def batch_size_of(self, training: bool) -> int | None:
        """Of a large graph all nodes are evaluated at once: their neighbourhoods overlap."""
        return self.batch_size if training or not self.is_read_in_parts else None

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch, its matrices as the device knows them; of nodes with sampled neighbours these alone."""
        given = batch[0] if type(batch) is tuple or type(batch) is list else batch
        graph = given.graph() if isinstance(given, Seeds) else given
        known = graph._replace(x=for_device(graph.x, device), adjacency=for_device(graph.adjacency, device))
        moved = (known, *batch[1:]) if given is not batch else known
        return super().transfer_batch_to_device(moved, device, dataloader_idx)

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

    def baselines(self) -> dict[str, Baseline]:
        """Label propagation."""
        return {"propagation": LabelPropagation(self.num_classes, lambda: normalised(self.network.adjacency))}

    def export_inputs(self, model: nn.Module) -> ExportableModule:
        """A trained model that reads a graph."""
        return ExportableNodes(model, self)

    def read_input(self, path: Path) -> tuple[NodeExamples, list[str]]:
        """All nodes of a folder, of which none needs a class."""
        if found := planetoid.own_files(path):
            pairs, words, labels, _ = planetoid.read_citations(*found)
            network, names = Network(undirected(pairs, len(labels)), words), list(map(str, range(len(labels))))
        else:
            files = read_nodes(path, self.encoding, None, self.note, self._texts)
            network, names = network_of(files), files.ids
        graph = self._graph(network, str(path))
        return NodeExamples(graph, torch.arange(len(names))), names

"""Weisfeiler–Lehman features: how often each neighbourhood occurs in a graph."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.baselines.linear import logistic_regression

ROUNDS = 3  # of refinement: neighbourhoods of up to so many edges
MAX_COLOURS = 10_000  # that are features, the most frequent ones
CLUSTERS = 8  # of the attributes of nodes without labels
MAX_NODES = 20_000  # that are clustered
FIRST = 0x9E3779B9  # the colour of a node without a label: not 0, whose hash is 0, so that sums would count nothing


def mixed(values: Tensor) -> Tensor:
    """A hash of each 64-bit integer: a multiplication and two shifts, as in splitmix64."""
    values = (values ^ (values >> 30)) * -0x40A7B892E31B1A47
    values = (values ^ (values >> 27)) * -0x6B2FB644ECCEEE15
    return values ^ (values >> 31)


def hashed_rows(rows: Tensor) -> Tensor:
    """(N, D) discrete values → (N,) a hash of each row; equal rows have the same."""
    found = torch.full((len(rows),), FIRST)
    for column in rows.cpu().long().unbind(1):
        found = mixed(found * 31 + column + 1)
    return found


def refined(colours: Tensor, edge_index: Tensor, edge_colours: Tensor) -> Tensor:
    """The colours of the next round: of a node's own and the multiset of its neighbours'.

    Args:
        colours: (N,)
        edge_index: (2, E)
        edge_colours: (E,)
    """
    source, target = edge_index
    arriving = mixed(mixed(colours[source]) + edge_colours)  # a sum of hashes does not depend on the order
    return mixed(mixed(colours + 1) + torch.zeros_like(colours).index_add_(0, target, arriving))


class WeisfeilerLehman(Baseline):
    """Logistic regression on the logarithms of the counts of the colours of each round of refinement.

    Shervashidze et al. 2011, https://jmlr.org/papers/v12/shervashidze11a.html. A batch is `(Graphs, classes)`. The
    colours are 64-bit hashes, so that those of different batches can be compared. They begin with the nodes' labels;
    where there are none, with the clusters of their attributes.

    Args:
        num_classes: C
        node_labels: how many columns of the nodes' features, the first ones, are labels, one-hot.
        node_attributes: how many after them are attributes, standardised.
        edge_labels: how many columns of the edges' features, the first ones, are labels, one-hot.
    """

    def __init__(self, num_classes: int, node_labels: int, node_attributes: int, edge_labels: int) -> None:
        self.num_classes = num_classes
        self.node_labels = node_labels
        self.attributes = slice(0, 0 if node_labels else node_attributes)
        self.edge_labels = edge_labels

    def colours(self, graphs: Any, centres: Tensor) -> Iterator[Tensor]:
        """The colours (N,) of the nodes of a batch, round after round."""
        x = graphs.x.cpu().float()
        labels = x[:, : self.node_labels]
        if len(centres):
            labels = torch.cdist(x[:, self.attributes], centres).argmin(1, keepdim=True)
        colours, edge_index = hashed_rows(labels), graphs.edge_index.cpu()
        edges = hashed_rows(graphs.edge_attr[:, : self.edge_labels])
        yield colours
        for _ in range(ROUNDS):
            colours = refined(colours, edge_index, edges)
            yield colours

    def features(self, batches: Iterable[Any], known: Tensor, centres: Tensor) -> Any:
        """scipy's sparse (B, K) array: log(1 + n) of the n nodes of each graph that have each of the known colours."""
        from scipy.sparse import csr_array

        rows, columns, first = [], [], 0
        for graphs in batches:
            for colours in self.colours(graphs, centres):
                place = torch.searchsorted(known, colours).clamp(max=len(known) - 1)
                found = known[place] == colours
                rows.append(graphs.graph.cpu()[found] + first)
                columns.append(place[found])
            first += graphs.num_graphs
        places = torch.cat(rows).numpy(), torch.cat(columns).numpy()
        return csr_array((torch.ones(len(places[0])).numpy(), places), shape=(first, len(known))).log1p()

    def centres(self, batches: Iterable[Any]) -> Tensor:
        """(K, A) the clusters of the attributes; none where there are labels, or neither."""
        attributes = torch.cat([graphs.x[:, self.attributes].cpu().float() for graphs in batches])
        if not attributes.shape[1]:
            return torch.empty(0, 0)
        from sklearn.cluster import KMeans

        some = attributes[:: -(-len(attributes) // MAX_NODES)]
        clusters = KMeans(min(CLUSTERS, len(some.unique(dim=0))), n_init=1, random_state=0).fit(some.numpy())
        return torch.from_numpy(clusters.cluster_centers_)

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """`centres` of clusters; `colours` (K,), in ascending order; `weight` (C, K) and `bias` (C,)."""
        graphs, targets = zip(*batches, strict=True)
        centres = self.centres(graphs)
        found = torch.cat([colours for part in graphs for colours in self.colours(part, centres)])
        colours, counts = found.unique(return_counts=True)
        known = colours[counts.argsort(descending=True, stable=True)[:MAX_COLOURS]].sort().values
        model = logistic_regression(self.features(graphs, known, centres), torch.cat(targets), self.num_classes)
        return model | {"colours": known, "centres": centres}

    def predictor(self, fitted: Fitted) -> Predictor:
        """Logits (B, C)."""
        weight = fitted["weight"].T.numpy()  # (K, C)

        def predict(batch: Any) -> Tensor:
            features = self.features([batch[0]], fitted["colours"], fitted["centres"])
            return torch.from_numpy(features @ weight).float() + fitted["bias"]

        return predict

"""Graphs that are made up: trees with a ring whose colours tell the class."""

import torch
from torch.nn import functional as F

from datamodules.loading.graph_store import Store
from datamodules.loading.sampling import generator


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

"""Generated graphs: trees with a ring whose colours determine the class."""

import torch
from torch.nn import functional as F

from datamodules.loading.graph_store import Store
from datamodules.loading.sampling import generator


def generated_motifs(num_graphs: int, seed: int) -> tuple[Store, list[str]]:
    """Random trees with a ring of six coloured nodes on each; the class is the order of the colours.

    A `blocks` ring is red red red blue blue blue, a `stripes` ring red blue red blue red blue. As many red as blue
    nodes are attached to the tree as distractors, so that the counts of colours are uninformative: a model has to use
    the neighbours. Features are the colour (grey, red, blue), one-hot, with noise.
    """
    random = generator(seed)
    node_counts, edge_counts, pairs, colours, labels = [], [], [], [], []
    patterns = {"blocks": [1, 1, 1, 2, 2, 2], "stripes": [1, 2, 1, 2, 1, 2]}
    for graph in range(num_graphs):
        label = ("blocks", "stripes")[graph % 2]
        size = int(torch.randint(8, 17, (), generator=random))
        colour = [0] * size
        edges = [(node, int(torch.randint(0, node, (), generator=random))) for node in range(1, size)]
        ring = list(range(size, size + 6))
        edges += [(ring[position], ring[(position + 1) % 6]) for position in range(6)]
        rotation = int(torch.randint(0, 6, (), generator=random))
        colour += patterns[label][rotation:] + patterns[label][:rotation]
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

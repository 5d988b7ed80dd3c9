import torch
from torch.nn import functional as F

from datamodules.baselines.label_propagation import LabelPropagation, propagated
from datamodules.loading.adjacency import normalised_adjacency
from datamodules.loading.node_batches import Graph

PATH = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]])  # 0 - 1 - 2 and 3 - 4; 5 is alone


def graph(nodes: list[int]) -> Graph:
    return Graph(torch.eye(6), PATH, normalised_adjacency(PATH, 6), torch.tensor(nodes))


def test_equals_the_closed_form() -> None:
    known = torch.zeros(6, 2)
    known[0, 0] = known[3, 1] = 1
    adjacency, share = graph([0]).adjacency, 0.8
    exact = (1 - share) * torch.linalg.solve(torch.eye(6) - share * adjacency.to_dense(), known)
    torch.testing.assert_close(propagated(adjacency, known, share, steps=200), exact, atol=1e-5, rtol=1e-4)


def test_labels_flow_along_the_edges_and_elsewhere_the_prior_counts() -> None:
    baseline = LabelPropagation(2, lambda: graph([]).adjacency)
    fitted = baseline.fit([(graph([0, 3]), torch.tensor([0, 1])), (graph([4]), torch.tensor([1]))])
    logits = baseline.predictor(fitted)((graph([2, 1, 4, 5]), None))
    assert logits.argmax(1).tolist() == [0, 0, 1, 1]
    torch.testing.assert_close(logits[3].softmax(0), F.normalize(torch.tensor([1.0, 2.0]), p=1, dim=0))

"""Multilayer perceptron."""

from typing import Any

from torch import Tensor, nn

from lightning_modules.tasks.classifier import Classifier


class MLP(Classifier):
    """Hidden layers of rectified linear units, each with dropout, and a linear classifier.

    Rumelhart et al. 1986, https://doi.org/10.1038/323533a0; dropout by Srivastava et al. 2014,
    https://jmlr.org/papers/v15/srivastava14a.html.

    Args:
        num_features: F, features of each example.
        num_classes: C
        hidden_size: units in each hidden layer.
        num_layers: number of hidden layers.
        dropout: dropout probability of the hidden units.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input (B, F), output (B, C)
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        layers: list[nn.Module] = []
        for size in [num_features, *[hidden_size] * (num_layers - 1)]:
            layers += [nn.Linear(size, hidden_size), nn.ReLU(), nn.Dropout(dropout)]
        self.network = nn.Sequential(*layers, nn.Linear(hidden_size, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.network(x)

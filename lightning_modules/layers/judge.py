"""The judge of generated images: a small classifier that knows the classes of the real ones."""

import copy
import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.layers.vision import conv_block

CHANNELS = (32, 64, 64)  # of each block
NUM_FEATURES = CHANNELS[-1]


class Judge(nn.Module):
    """A small convolutional classifier that gives an image's features and its classes' log-probabilities.

    Its features serve as those of the Inception network do in Heusel et al. 2017, https://arxiv.org/abs/1706.08500,
    but it is trained on the images' own classes.

    Args:
        in_channels: C
        num_classes: K

    Shapes:
        input (B, C, H, W), output (B, F + K), F being NUM_FEATURES
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        blocks = [conv_block(*sizes, dropout=0.0) for sizes in itertools.pairwise((in_channels, *CHANNELS))]
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classes = nn.Linear(NUM_FEATURES, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Features and log-probabilities."""
        features = self.features(images)
        return torch.cat([features.float(), self.classes(features).float().log_softmax(-1)], dim=1)

    def fit(self, batches: Iterable[Any], steps: int, lr: float = 0.003) -> None:
        """Train on a copy, so that the weights here never require a gradient.

        Args:
            batches: `(images, target)` of real images, at least as many as steps.
            steps: training steps.
            lr: maximum learning rate.
        """
        trained = copy.deepcopy(self).train().requires_grad_(True)
        optimizer = torch.optim.AdamW(trained.parameters(), lr=lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
        with torch.enable_grad():
            for images, target in itertools.islice(batches, steps):
                loss = F.nll_loss(trained(images)[:, -self.classes.out_features :], target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        self.load_state_dict(trained.state_dict())

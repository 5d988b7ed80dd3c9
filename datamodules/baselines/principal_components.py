"""A normal distribution of the images, along their principal components."""

from collections.abc import Iterable
from typing import Any

import torch

from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.baselines.linear import max_examples

MAX_COMPONENTS = 50
MAX_VALUES = 4096  # of an image, whose covariance is computed


class PrincipalComponents(Baseline):
    """Images sampled from a normal distribution with the training images' mean and covariance.

    Pearson 1901, https://doi.org/10.1080/14786440109462720: along the directions of the largest variance. A batch is
    `(images, …)`.

    Args:
        num_values: of an image.
    """

    def __init__(self, num_values: int) -> None:
        self.num_values = num_values
        self.max_examples = max_examples(num_values, most=20_000)

    def fit(self, batches: Iterable[Any]) -> Fitted:
        """`mean` (P,), and `components` (K, P), each as long as its standard deviation.

        Raises:
            ValueError: the images are too large for it.
        """
        if self.num_values > MAX_VALUES:
            raise ValueError(f"images of {self.num_values:,} values; its covariance is computed up to {MAX_VALUES:,}")
        images = torch.cat([inputs.flatten(1).cpu().double() for inputs, *_ in batches])
        mean = images.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((images - mean).T, correction=0))
        deviations = values.clamp(min=0).sqrt().flip(0)[:MAX_COMPONENTS]  # the largest come last
        components = vectors.T.flip(0)[:MAX_COMPONENTS] * deviations[:, None]
        return {"mean": mean.float(), "components": components.float()}

    def predictor(self, fitted: Fitted) -> Predictor:
        """The mean, and the components, which the task multiplies with noise."""
        return lambda batch: (fitted["mean"], fitted["components"])

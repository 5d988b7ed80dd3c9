"""EfficientNets."""

from typing import Any, Literal

from torch import Tensor, nn
from torchvision import models

from lightning_modules.layers.vision import crop_to_small_maps, fitting_stride, for_channels, load_pretrained
from lightning_modules.tasks.classifier import Classifier

Architecture = Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2_s", "v2_m", "v2_l"]
STRIDES = (1, 2, 4, 8, 16, 32)


class EfficientNet(Classifier):
    """torchvision's EfficientNet, with fewer strides for small images.

    Tan & Le 2019, https://arxiv.org/abs/1905.11946; version 2: Tan & Le 2021, https://arxiv.org/abs/2104.00298.
    Five of its convolutions halve the image. For small images the first of them keep its size; their weights fit
    either way.

    Args:
        in_channels: C, 1 or 3.
        image_size: H, the longer side.
        num_classes: K
        architecture: b0 to b7 of version 1, each wider and deeper than the one before; v2_s, v2_m or v2_l.
        stride: how many times the last feature map is smaller than the image: 32 is torchvision's network; by default
            the most that leaves four pixels a side.
        dropout: share of features silenced before the classes in training; by default the architecture's.
        stochastic_depth: share of training examples that skip the last block, and of fewer the earlier ones
            (Huang et al. 2016, https://arxiv.org/abs/1603.09382); by default the architecture's.
        pretrained: weights to start from: a name of torchvision's, such as IMAGENET1K_V1, or a file with a
            state_dict. The classes start fresh unless there are as many.
        kwargs: as for Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K)

    Raises:
        ValueError: the stride is none of these, a share is out of its range, or the weights are not this network's.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: int,
        num_classes: int,
        architecture: Architecture = "b0",
        stride: int | None = None,
        dropout: float | None = None,
        stochastic_depth: float | None = None,
        pretrained: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.rebuild = {"pretrained": None}  # a checkpoint has all weights itself
        further = {} if stochastic_depth is None else {"stochastic_depth_prob": stochastic_depth}
        if stochastic_depth is not None and not 0 <= stochastic_depth < 1:
            raise ValueError(f"--model.stochastic_depth: expected a share from 0 to below 1, got {stochastic_depth}")
        name = f"efficientnet_{architecture}"
        stride = fitting_stride(image_size, STRIDES, stride)
        self.network = models.get_model(name, num_classes=num_classes, **further)
        crop_to_small_maps(self.network)
        if dropout is not None:
            self.network.classifier[0].p = dropout
        halving = [m for m in self.network.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
        for convolution in halving[: len(halving) - (stride.bit_length() - 1)]:
            convolution.stride = (1, 1)
        if pretrained is not None:
            load_pretrained(self.network, name, pretrained, ["classifier."])
        for_channels(self.network.features[0][0], in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.network(images)

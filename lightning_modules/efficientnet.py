"""EfficientNets."""

from typing import Any, Literal

from torch import Tensor, nn
from torchvision import models

from lightning_modules.layers.vision import crop_to_small_maps, fitting_stride, for_channels, load_pretrained
from lightning_modules.tasks.classifier import Classifier

Architecture = Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2_s", "v2_m", "v2_l"]
STRIDES = (1, 2, 4, 8, 16, 32)


class EfficientNet(Classifier):
    """torchvision's EfficientNet, with a smaller stride for small images.

    Tan & Le 2019, https://arxiv.org/abs/1905.11946; version 2: Tan & Le 2021, https://arxiv.org/abs/2104.00298.
    Five of its convolutions halve the image. For small images the first of them keep its size, with the same weights.

    Args:
        in_channels: C, 1 (grey) or 3 (colour).
        image_size: the longer side, in pixels.
        num_classes: K
        architecture: b0 to b7 of version 1, each wider and deeper than the previous one; v2_s, v2_m or v2_l.
        stride: ratio of the image's size to the last feature map's: 1, 2, 4, 8, 16 or 32, which is torchvision's
            network; by default the maximum that leaves four pixels a side.
        dropout: dropout probability before the classifier; by default the architecture's.
        stochastic_depth: probability that a training example skips the last block, falling linearly to 0 at the first
            (Huang et al. 2016, https://arxiv.org/abs/1603.09382); by default the architecture's.
        pretrained: weights to start from: a name of torchvision's, such as IMAGENET1K_V1, or a file with a
            state_dict. The classifier starts from fresh weights where the number of classes differs.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K)

    Raises:
        ValueError: the network cannot have the stride or the channels, stochastic_depth is out of its range, or the
            weights are another network's.
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
        self.rebuild = {"pretrained": None}  # a checkpoint contains all weights
        options = {} if stochastic_depth is None else {"stochastic_depth_prob": stochastic_depth}
        if stochastic_depth is not None and not 0 <= stochastic_depth < 1:
            raise ValueError(f"--model.stochastic_depth: expected from 0 to below 1, got {stochastic_depth}")
        name = f"efficientnet_{architecture}"
        stride = fitting_stride(image_size, STRIDES, stride)
        self.network = models.get_model(name, num_classes=num_classes, **options)
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

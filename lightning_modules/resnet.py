"""Residual networks."""

from typing import Any, Literal

from torch import Tensor, nn
from torchvision import models

from lightning_modules.layers.running_statistics import StatisticsWarmup
from lightning_modules.layers.vision import fitting_stride, for_channels, load_pretrained
from lightning_modules.tasks.classifier import Classifier

Depth = Literal[18, 34, 50, 101, 152]
STRIDES = (8, 16, 32)


class ResNet(Classifier):
    """torchvision's residual network, with a smaller stem for small images.

    He et al. 2016, https://arxiv.org/abs/1512.03385. The stem, a 7 × 7 convolution of stride 2 and pooling, shrinks an
    image four times. For small images it is a 3 × 3 convolution of stride 2 or 1 without pooling, as in the paper's own
    networks for CIFAR-10.

    Args:
        in_channels: C, 1 (grey) or 3 (colour).
        image_size: the longer side, in pixels.
        num_classes: K
        depth: number of layers with weights.
        stride: ratio of the image's size to the last feature map's: 32 is torchvision's network, 16 and 8 have the
            stem for small images; by default the maximum that leaves four pixels a side.
        pretrained: weights to start from: a name of torchvision's, such as IMAGENET1K_V2, or a file with a
            state_dict. The stem for small images, and the classifier where the number of classes differs, start from
            fresh weights.
        norm_warmup: whether the running statistics of batch normalisation, with which the network is evaluated, follow
            it sooner in the first 80 steps: for short runs.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K)

    Raises:
        ValueError: the network cannot have the stride or the channels, or the weights are another network's.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: int,
        num_classes: int,
        depth: Depth = 18,
        stride: int | None = None,
        pretrained: str | None = None,
        norm_warmup: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.rebuild = {"pretrained": None}  # a checkpoint contains all weights
        name = f"resnet{depth}"
        stride = fitting_stride(image_size, STRIDES, stride)
        self.network = models.get_model(name, num_classes=num_classes)
        if stride < 32:
            self.network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=stride // 8, padding=1, bias=False)
            nn.init.kaiming_normal_(self.network.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.network.maxpool = nn.Identity()
        if pretrained is not None:
            load_pretrained(self.network, name, pretrained, ["fc.", *["conv1."] * (stride < 32)])
        self.network.conv1 = for_channels(self.network.conv1, in_channels)
        self.statistics = StatisticsWarmup(self.network) if norm_warmup else None

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.network(images)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Keep the running statistics."""
        if self.statistics is not None:
            self.statistics.keep(self.global_step)

    def on_after_backward(self) -> None:
        """Bring the running statistics nearer to the batch's, before anything is saved."""
        if self.statistics is not None:
            self.statistics.follow()

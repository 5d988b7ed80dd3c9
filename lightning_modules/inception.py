"""Inception networks."""

from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models
from torchvision.models import inception as v3

from lightning_modules.layers.vision import fitting_stride, for_channels, load_pretrained
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.task import Step

Architecture = Literal["googlenet", "inception_v3"]
STRIDES = {"googlenet": (2, 4, 8, 16, 32), "inception_v3": (32,)}
AUX_WEIGHTS = {"googlenet": 0.3, "inception_v3": 0.4}  # as the papers have them
MIN_SIZE = {"googlenet": 1, "inception_v3": 75}  # pixels; without padding, its convolutions leave one of them


class AnySizeAux(v3.InceptionAux):
    """Inception v3's auxiliary classifier, also for feature maps below the 17 pixels a side that torchvision's takes.

    Szegedy et al. 2016, https://arxiv.org/abs/1512.00567.

    Shapes:
        input (B, 768, H, W), output (B, K)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        if min(x.shape[2:]) >= 17:
            return super().forward(x)
        x = F.adaptive_avg_pool2d(x, 5)  # (B, 768, 5, 5)
        x = self.conv1(self.conv0(x))  # (B, 768, 1, 1)
        return self.fc(x.flatten(1))  # (B, K)


V3_BLOCKS = [v3.BasicConv2d, v3.InceptionA, v3.InceptionB, v3.InceptionC, v3.InceptionD, v3.InceptionE, AnySizeAux]


class Inception(Classifier):
    """torchvision's GoogLeNet or Inception v3, trained with auxiliary classifiers on intermediate layers.

    GoogLeNet: Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, with batch normalisation. Inception v3: Szegedy
    et al. 2016, https://arxiv.org/abs/1512.00567. The loss is `CE(logits) + w Σ CE(auxiliary logits)`.

    For small images GoogLeNet's first convolution and poolings keep the size. Inception v3, whose convolutions have no
    padding, accepts no image below 75 pixels: smaller ones are scaled up to that, and its auxiliary classifier,
    designed for 299 pixels, pools any feature map to 5 × 5.

    Args:
        in_channels: C, 1 (grey) or 3 (colour).
        image_size: the longer side, in pixels.
        num_classes: K
        architecture: googlenet or inception_v3.
        stride: ratio of the image's size to the last feature map's: 2, 4, 8, 16 or 32, which is torchvision's network
            and the only one for Inception v3; by default the maximum that leaves four pixels a side.
        aux_weight: w; by default 0.3 in GoogLeNet, 0.4 in Inception v3.
        dropout: dropout probability before the classifier.
        pretrained: weights to start from: a name of torchvision's, such as IMAGENET1K_V1, or a file with a
            state_dict. The classifiers start from fresh weights where the number of classes differs.
        kwargs: arguments of Classifier and Task.

    Shapes:
        input (B, C, H, W), output (B, K)

    Raises:
        ValueError: the network cannot have the stride or the channels, or the weights are another network's.
    """

    head_names = ("network.fc", "network.aux1", "network.aux2", "network.AuxLogits")

    def __init__(
        self,
        in_channels: int,
        image_size: int,
        num_classes: int,
        architecture: Architecture = "googlenet",
        stride: int | None = None,
        aux_weight: float | None = None,
        dropout: float = 0.2,
        pretrained: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes=num_classes, **kwargs)
        self.rebuild = {"pretrained": None}  # a checkpoint contains all weights
        stride = fitting_stride(image_size, STRIDES[architecture], stride)
        self.min_size = MIN_SIZE[architecture]
        self.aux_weight = AUX_WEIGHTS[architecture] if aux_weight is None else aux_weight
        # torch's default initialisation: as good with batch normalisation as torchvision's, which takes seconds
        options: dict[str, Any] = {"init_weights": False, "dropout": dropout}
        if architecture == "inception_v3":
            options["inception_blocks"] = V3_BLOCKS
        self.network = models.get_model(architecture, num_classes=num_classes, **options)
        if pretrained is not None:
            load_pretrained(self.network, architecture, pretrained, ["fc.", "aux1.", "aux2.", "AuxLogits."])
        if architecture == "googlenet":
            halvings = ["conv1", "maxpool1", "maxpool2", "maxpool3", "maxpool4"]
            for name in halvings[: len(halvings) - (stride.bit_length() - 1)]:
                if name == "conv1":
                    self.network.conv1.conv.stride = (1, 1)
                else:
                    setattr(self.network, name, nn.Identity())
            for_channels(self.network.conv1.conv, in_channels)
        else:
            for_channels(self.network.Conv2d_1a_3x3.conv, in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        output = self.network(self.enlarged(images))
        return output[0] if self.training else output

    def enlarged(self, images: Tensor) -> Tensor:
        """The images, scaled up to the minimum size of the network."""
        side = min(images.shape[2:])
        if side >= self.min_size:
            return images
        size = [max(self.min_size, round(length * self.min_size / side)) for length in images.shape[2:]]
        return F.interpolate(images, size, mode="bilinear", align_corners=False)

    def step(self, batch: Any) -> Step:
        """The loss of one batch; in training with that of the auxiliary classifiers."""
        if not self.training:
            return super().step(batch)
        inputs, target = batch
        logits, *aux_logits = self.network(self.enlarged(inputs))
        auxiliary = sum((self.cost(each, target) for each in aux_logits), logits.new_zeros(()))
        return Step(self.cost(logits, target) + self.aux_weight * auxiliary, logits, target)

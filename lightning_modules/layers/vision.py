"""Adaptations of torchvision's networks: the stride for small images, grey images, pretrained weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from datamodules.files.paths import user_path

MIN_SIDE = 4  # pixels of the last feature map by default: as in the ResNets for CIFAR-10


def fitting_stride(image_size: int, strides: Sequence[int], requested: int | None = None) -> int:
    """The requested stride of a network, or the maximum that leaves four pixels a side.

    Args:
        image_size: the longer side, in pixels.
        strides: the strides that the network can have.
        requested: the user's choice.

    Raises:
        ValueError: the network cannot have the requested stride.
    """
    if requested is None:
        return max((stride for stride in strides if -(-image_size // stride) >= MIN_SIDE), default=min(strides))
    if requested not in strides:
        raise ValueError(f"--model.stride {requested}: expected one of {', '.join(map(str, sorted(strides)))}")
    return requested


def for_channels(convolution: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The convolution itself, or for grey images one that equals it on the same grey in all three channels.

    Raises:
        ValueError: in_channels is neither 1 nor the convolution's.
    """
    if in_channels == convolution.in_channels:
        return convolution
    if in_channels != 1:
        raise ValueError(f"in_channels: expected 1 (grey) or {convolution.in_channels} (colour), got {in_channels}")
    weight = convolution.weight.detach().sum(1, keepdim=True)
    convolution.in_channels = 1
    convolution.weight = nn.Parameter(weight)
    return convolution


class CroppedConv2d(nn.Conv2d):
    """A depthwise convolution without those parts of its kernel that on small feature maps only meet padding.

    The result is the same. A 5 × 5 kernel on a map of one pixel is a product with its centre: a hundred times as fast
    on a CPU. Kernel sizes are odd, and the padding is half of them.

    Shapes:
        input (B, C, H, W), output (B, C, ⌈H / stride⌉, ⌈W / stride⌉)
    """

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> "CroppedConv2d":
        """A cropped convolution that shares the weights of this one."""
        arguments: Any = {name: getattr(convolution, name) for name in ("kernel_size", "stride", "padding", "groups")}
        cropped = cls(convolution.in_channels, convolution.out_channels, bias=convolution.bias is not None, **arguments)
        cropped.weight, cropped.bias = convolution.weight, convolution.bias
        return cropped

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of the centre of the kernel, as far as it meets pixels."""
        reach = [min(size // 2, length - 1) for size, length in zip(self.kernel_size, x.shape[2:], strict=True)]
        rows, columns = (
            slice(size // 2 - far, size // 2 + far + 1) for size, far in zip(self.kernel_size, reach, strict=True)
        )
        return F.conv2d(x, self.weight[:, :, rows, columns], self.bias, self.stride, reach, groups=self.groups)


def crop_to_small_maps(network: nn.Module) -> None:
    """Replace all depthwise convolutions of the network by cropped ones with the same weights."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and child.groups == child.in_channels > 1:
                setattr(parent, name, CroppedConv2d.of(child))


def conv_block(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU, max pooling and dropout: (B, C, H, W) → (B, C', ⌈H/2⌉, ⌈W/2⌉)."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Dropout2d(dropout),
    )


def load_pretrained(network: nn.Module, architecture: str, pretrained: str, fresh: Sequence[str]) -> None:
    """Load pretrained weights into the network.

    Args:
        network: a network of torchvision's, for colour images.
        architecture: its name in torchvision.
        pretrained: a name of torchvision's, such as IMAGENET1K_V1, whose file is downloaded once; or the path of a
            file with a state_dict.
        fresh: prefixes of the names of weights that may stay fresh where the shapes differ: those of the classifier,
            and of a first convolution for small images.

    Raises:
        ValueError: there are no such weights, or they are another network's.
    """
    where = f"--model.pretrained {pretrained}"
    weights = read_weights(user_path(pretrained, "--model.pretrained"), where, architecture)
    own = network.state_dict()
    matching = {}
    for name, value in own.items():
        if name in weights and weights[name].shape == value.shape:
            matching[name] = weights[name]
        elif not name.startswith(tuple(fresh)) and not name.endswith("num_batches_tracked"):
            found = f"of shape {list(weights[name].shape)}" if name in weights else "missing"
            raise ValueError(f"{where}: not of {architecture}: {name} is {found}, expected shape {list(value.shape)}")
    network.load_state_dict(own | matching)


def read_weights(path: Path, where: str, architecture: str) -> dict[str, Tensor]:
    """The state_dict in a file, or of the name that torchvision knows where there is no such file.

    Args:
        path: the file, or the name as a path.
        where: the option and its value, for messages.
        architecture: the network's name in torchvision.

    Raises:
        ValueError: there is neither, or it is no state_dict.
    """
    if not path.exists():
        return download_weights(path.name, where, architecture)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the bytes lead it into
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{where}: not a file of weights ({reason})") from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{where}: expected a state_dict, names with tensors, as torch.save or safetensors writes it")
    return content


def download_weights(name: str, where: str, architecture: str) -> dict[str, Tensor]:
    """The state_dict of one of torchvision's names, downloaded once and verified.

    Raises:
        ValueError: torchvision has no such weights, or they cannot be downloaded.
    """
    known = models.get_model_weights(architecture)
    if name not in known.__members__:
        names = ", ".join(known.__members__)
        raise ValueError(f"{where}: neither a file nor weights of torchvision's {architecture} ({names})")
    weights = known[name]
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise ValueError(
            f"{where}: cannot be downloaded ({error}); fetch {weights.url} and give its path instead"
        ) from None

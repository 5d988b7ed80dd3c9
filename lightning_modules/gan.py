"""Generative adversarial network."""

import copy
import itertools
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.base import DataModule
from datamodules.export.exportable import ExportableModule
from lightning_modules.tasks.generator import ImageGenerator

LEAST_SIZE = 4  # pixels; two halvings leave one


def halvings(image_size: int) -> int:
    """How often an image is halved until at most four pixels a side are left, as in DCGAN; twice at least.

    With fewer, no feature of the discriminator would see a whole digit.
    """
    count = 2
    while -(-image_size // 2**count) > 4:
        count += 1
    return count


class Generator(nn.Module):
    """Draws an image from noise: a few pixels, each a vector, whose size is doubled until it is the image's.

    Args:
        latent_size: Z
        channels: C
        image_size: H; what the last doubling makes too much is cut off at the borders.
        hidden_size: feature maps before the last doubling; twice as many before each earlier one.

    Shapes:
        input (B, Z), output (B, C, H, H) from 0 to 1
    """

    def __init__(self, latent_size: int, channels: int, image_size: int, hidden_size: int) -> None:
        super().__init__()
        count = halvings(image_size)
        sizes = [hidden_size * 2**number for number in reversed(range(count))]
        start = -(-image_size // 2**count)
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size, sizes[0], start, bias=False)]
        for size, after in zip(sizes, [*sizes[1:], channels], strict=True):
            layers += [nn.BatchNorm2d(size), nn.ReLU(), nn.ConvTranspose2d(size, after, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        self.image_size = image_size
        self.border = (start * 2**count - image_size) // 2

    def forward(self, noise: Tensor) -> Tensor:
        """Images."""
        images = self.layers(noise[:, :, None, None])  # (B, Z) → (B, C, H', H')
        within = slice(self.border, self.border + self.image_size)
        return images[:, :, within, within].sigmoid()  # (tanh + 1) / 2, but for the scale of what comes in


class Discriminator(nn.Module):
    """Tells real images from drawn ones: halves the image as often as the generator doubled it.

    Args:
        channels: C
        image_size: H
        hidden_size: feature maps after the first halving; twice as many after each later one.

    Shapes:
        input (B, C, H, H), output (B,), the logit of being real
    """

    def __init__(self, channels: int, image_size: int, hidden_size: int) -> None:
        super().__init__()
        count = halvings(image_size)
        sizes = [hidden_size * 2**number for number in range(count)]
        layers: list[nn.Module] = [nn.Conv2d(channels, sizes[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for before, size in itertools.pairwise(sizes):
            layers += [
                nn.Conv2d(before, size, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(size),
                nn.LeakyReLU(0.2),
            ]
        side = image_size // 2**count
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(sizes[-1] * side**2, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.layers(images).squeeze(1)


class ExportableNoise(ExportableModule):
    """Reads the noise that images are generated from."""

    output = "pixels"

    def __init__(self, model: "GAN", data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {"noise": ("batch", model.latent_size)}
        self.mean_generator = model.mean_generator

    def tensors(self, batch: Any) -> tuple[Tensor, ...]:
        """Noise for as many images."""
        return (self.network.noise(len(batch)),)

    def forward(self, noise: Tensor) -> Tensor:  # type: ignore[override]
        """Pixels from 0 to 1."""
        return self.mean_generator(noise)

    def expected(self, batch: Any) -> Tensor:
        """The pixels of the model's own images."""
        return self.network(*self.tensors(batch)) * self.network.std + self.network.mean


class GAN(ImageGenerator):
    """A generator that draws images from noise, and a discriminator that learns to tell them from real ones, in turn.

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, with the convolutions of Radford et al. 2016 (DCGAN),
    https://arxiv.org/abs/1511.06434, as many as the size of the images asks for. The discriminator minimises
    `-log D(x) - log(1 - D(G(z)))`, the generator `-log D(G(z))`. Each has an optimizer of its own, with the same
    settings. What is shown, judged and saved draws with the running mean of the generator's weights (Yazıcı et al.
    2019, https://arxiv.org/abs/1806.04498): the game of the two goes in circles, their mean does not.

    Args:
        in_channels: C
        image_size: H, at least 4 pixels.
        num_classes: K, of the judge.
        latent_size: Z, numbers that an image is drawn from.
        hidden_size: feature maps of the layers next to the image; twice as many in each further one.
        real_label: what the discriminator is to say of real images; below 1 it never gets too sure of them
            (Salimans et al. 2016, https://arxiv.org/abs/1606.03498).
        decay: of the running mean in a step, once it has seen some; 0 for the newest weights.
        kwargs: as for ImageGenerator and Task.

    Shapes:
        input (B, Z), output (B, C, H, H), normalised as the data is

    Raises:
        ValueError: the images are too small, or a number is out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: int,
        num_classes: int,
        latent_size: int = 64,
        hidden_size: int = 64,
        real_label: float = 0.9,
        decay: float = 0.999,
        **kwargs: Any,
    ) -> None:
        if image_size < LEAST_SIZE:
            raise ValueError(f"--data.image_size {image_size}: expected at least {LEAST_SIZE} pixels")
        if not 0.5 < real_label <= 1:
            raise ValueError(f"--model.real_label: expected more than 0.5 and at most 1, got {real_label}")
        if not 0 <= decay < 1:
            raise ValueError(f"--model.decay: expected a share from 0 to below 1, got {decay}")
        super().__init__(in_channels=in_channels, image_size=image_size, num_classes=num_classes, **kwargs)
        self.automatic_optimization = False
        self.latent_size = latent_size
        self.real_label = real_label
        self.generator = Generator(latent_size, in_channels, image_size, hidden_size)
        self.discriminator = Discriminator(in_channels, image_size, hidden_size)
        for module in (*self.generator.modules(), *self.discriminator.modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.02)  # the paper's
        self.decay = decay
        self.mean_generator = copy.deepcopy(self.generator).requires_grad_(False)

    def forward(self, noise: Tensor) -> Tensor:
        """Images."""
        return self.normalised((self.generator if self.training else self.mean_generator)(noise))

    @torch.no_grad()
    def average(self) -> None:
        """Bring the running mean of the generator's weights, and of its statistics, up to date."""
        decay = min(self.decay, (1 + self.global_step) / (10 + self.global_step))  # short at first
        pairs = zip(self.mean_generator.state_dict().values(), self.generator.state_dict().values(), strict=True)
        for mean, newest in pairs:
            if mean.is_floating_point():
                mean.lerp_(newest, 1 - decay)

    def generator_loss(self, drawn: Tensor) -> Tensor:
        """How far the discriminator is from taking drawn images for real ones."""
        logits = self.discriminator(drawn)
        return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))

    def discriminator_loss(self, images: Tensor, drawn: Tensor) -> Tensor:
        """How far the discriminator is from telling them apart."""
        real, false = self.discriminator(images), self.discriminator(drawn.detach())
        return F.binary_cross_entropy_with_logits(
            real, torch.full_like(real, self.real_label)
        ) + F.binary_cross_entropy_with_logits(false, torch.zeros_like(false))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """A step of the discriminator and one of the generator, which the trainer counts as one; the sum of losses."""
        images, _ = batch
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        logs = (self.global_step + 1) % every == 0
        drawn = self(self.noise(len(images)))
        of_discriminator = self.discriminator_loss(images, drawn)
        discriminator.zero_grad()
        self.manual_backward(of_discriminator)
        self.step_uncounted(discriminator)
        with generator.toggle_model():  # the discriminator's weights need no gradient here
            of_generator = self.generator_loss(drawn)
            generator.zero_grad()
            self.manual_backward(of_generator)
        generator.step()
        self.average()
        for schedule in self.lr_schedulers() or ():  # type: ignore[union-attr]
            schedule.step()
        if logs:
            both = torch.stack([of_generator.detach(), of_discriminator.detach()])
            means = self.sum_of_processes(both) / self.trainer.world_size
            names = ("train/loss", "train/discriminator_loss")
            self.log_dict(dict(zip(names, means, strict=True)), batch_size=len(images))
        return of_discriminator.detach() + of_generator.detach()

    def step_uncounted(self, optimizer: LightningOptimizer) -> None:
        """A step as the trainer makes it, but without adding to its `global_step`, which counts batches."""
        self.trainer.strategy.optimizer_step(optimizer.optimizer, closure=lambda: None)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The generator's optimizer and the discriminator's."""
        return [self.optimizer_of(self.generator), self.optimizer_of(self.discriminator)]

    def export_inputs(self, data: DataModule) -> ExportableModule:
        """The generator, which reads noise and no batch of the data."""
        return ExportableNoise(self, data)

"""Generative adversarial network."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.base import DataModule
from datamodules.export.exportable import ExportableModule
from lightning_modules.layers.dcgan import Discriminator, Generator
from lightning_modules.tasks.generator import ImageGenerator

MIN_SIZE = 4  # pixels; two halvings leave one


class ExportableNoise(ExportableModule):
    """Reads the noise that images are generated from."""

    reads = "seeds"
    output = "pixels"

    def __init__(self, model: "GAN", data: DataModule) -> None:
        super().__init__(model, data)
        self.inputs = {"noise": ("batch", model.latent_size)}
        self.mean_generator = model.mean_generator

    def preprocessing(self) -> dict[str, Any]:
        """The dimension of the noise, standard normal, that torch gives for a seed on the CPU."""
        return {"size": self.network.latent_size}

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
    """A generator of images from noise and a discriminator of real and generated ones, trained in turn.

    Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, with the convolutions of Radford et al. 2016 (DCGAN),
    https://arxiv.org/abs/1511.06434, as many as the image size requires. The discriminator minimises
    `-log D(x) - log(1 - D(G(z)))`, the generator `-log D(G(z))`. Each has its own optimizer, with the same settings.
    The running mean of the generator's weights is what is evaluated, shown and exported (Yazıcı et al. 2019,
    https://arxiv.org/abs/1806.04498): the weights of the two-player game oscillate, their mean does not.

    Args:
        in_channels: C
        image_size: H, at least 4 pixels.
        num_classes: K, of the judge.
        latent_size: Z, dimension of the noise.
        hidden_size: feature maps of the layers next to the image; twice as many in each further one.
        real_label: the discriminator's target for real images; below 1 for one-sided label smoothing
            (Salimans et al. 2016, https://arxiv.org/abs/1606.03498).
        decay: of the running mean per step, after a warm-up; 0 for the newest weights.
        kwargs: as for ImageGenerator and Task.

    Shapes:
        input (B, Z), output (B, C, H, H), normalised as the data is

    Raises:
        ValueError: the images are too small, or an argument is out of range.
    """

    averages_own_weights = True

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
        if image_size < MIN_SIZE:
            raise ValueError(f"--data.image_size {image_size}: expected at least {MIN_SIZE} pixels")
        if not 0.5 < real_label <= 1:
            raise ValueError(f"--model.real_label: expected more than 0.5 and at most 1, got {real_label}")
        if not 0 <= decay < 1:
            raise ValueError(f"--model.decay: expected a fraction from 0 to below 1, got {decay}")
        super().__init__(in_channels=in_channels, image_size=image_size, num_classes=num_classes, **kwargs)
        self.automatic_optimization = False
        self.latent_size = latent_size
        self.real_label = real_label
        self.generator = Generator(latent_size, in_channels, image_size, hidden_size)
        self.discriminator = Discriminator(in_channels, image_size, hidden_size)
        for module in (*self.generator.modules(), *self.discriminator.modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.02)  # as in DCGAN
        self.decay = decay
        self.mean_generator = copy.deepcopy(self.generator).requires_grad_(False)

    def forward(self, noise: Tensor) -> Tensor:
        """Images."""
        return self.normalised((self.generator if self.training else self.mean_generator)(noise))

    @torch.no_grad()
    def average(self) -> None:
        """Update the running mean of the generator's weights, and of its batch statistics."""
        decay = min(self.decay, (1 + self.global_step) / (10 + self.global_step))  # smaller at first
        pairs = zip(self.mean_generator.state_dict().values(), self.generator.state_dict().values(), strict=True)
        for mean, newest in pairs:
            if mean.is_floating_point():
                mean.lerp_(newest, 1 - decay)

    def generator_loss(self, generated: Tensor) -> Tensor:
        """Cross-entropy of the discriminator's output for generated images with the label of real ones."""
        logits = self.discriminator(generated)
        return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))

    def discriminator_loss(self, images: Tensor, generated: Tensor) -> Tensor:
        """Cross-entropy of the discriminator's output for real and for generated images with their labels."""
        real, fake = self.discriminator(images), self.discriminator(generated.detach())
        return F.binary_cross_entropy_with_logits(
            real, torch.full_like(real, self.real_label)
        ) + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))

    def alternate(self, batch: Any, update: Callable[[nn.Module, Tensor], None]) -> tuple[Tensor, Tensor]:
        """Train the discriminator and then the generator on a batch.

        Args:
            batch: of real images.
            update: a network's backward pass and optimizer step, from its loss.

        Returns:
            The losses of the generator and of the discriminator.
        """
        images, _ = batch
        generated = self(self.noise(len(images)))
        discriminator_loss = self.discriminator_loss(images, generated)
        update(self.discriminator, discriminator_loss)
        self.discriminator.requires_grad_(False)  # the generator's loss needs no gradient of its weights
        generator_loss = self.generator_loss(generated)
        update(self.generator, generator_loss)
        self.discriminator.requires_grad_(True)
        self.average()
        return generator_loss.detach(), discriminator_loss.detach()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """A step of each network, which the trainer counts as one; returns the sum of the losses."""
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        logs = (self.global_step + 1) % every == 0

        def update(network: nn.Module, loss: Tensor) -> None:
            optimizer = generator if network is self.generator else discriminator
            optimizer.zero_grad()
            self.manual_backward(loss)
            if optimizer is generator:
                optimizer.step()
            else:
                self.step_uncounted(optimizer)

        losses = self.alternate(batch, update)
        for schedule in self.lr_schedulers() or ():  # type: ignore[union-attr]
            schedule.step()
        if logs:
            named = dict(zip(("train/loss", "train/discriminator_loss"), losses, strict=True))
            self.log_dict(named, batch_size=len(batch[0]), sync_dist=True)
        return losses[0] + losses[1]

    def step_uncounted(self, optimizer: LightningOptimizer) -> None:
        """An optimizer step that does not increase the trainer's `global_step`, which counts batches."""
        self.trainer.strategy.optimizer_step(optimizer.optimizer, closure=lambda: None)

    def plain_step(self, trainer: Trainer) -> Callable[[Any], None]:
        """A training step of both networks on a batch as a hand-written loop takes it.

        Args:
            trainer: whose precision applies.
        """
        networks: tuple[nn.Module, ...] = (self.generator, self.discriminator)
        optimizers = {network: self.new_optimizer(network) for network in networks}

        def update(network: nn.Module, loss: Tensor) -> None:
            optimizers[network].zero_grad()
            loss.backward()
            optimizers[network].step()

        def learn(batch: Any) -> None:
            with trainer.precision_plugin.forward_context():
                self.alternate(batch, update)

        return learn

    def compile_targets(self) -> list[tuple[nn.Module, str]]:
        """Both networks."""
        return [(self.generator, "forward"), (self.discriminator, "forward")]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The generator's optimizer and the discriminator's."""
        return [self.optimizer_of(self.generator), self.optimizer_of(self.discriminator)]

    def export_inputs(self, data: DataModule) -> ExportableModule:
        """The generator, which reads noise and no batch of the data."""
        return ExportableNoise(self, data)

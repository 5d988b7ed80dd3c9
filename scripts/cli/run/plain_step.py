"""A training step as a hand-written loop takes it, with nothing around it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from lightning_modules.gan import GAN

Learn = Callable[[Any], None]


def learner(model: LightningModule, trainer: Trainer) -> Learn:
    """What teaches a model, which is on its device, a batch, which is there, too; in the trainer's precision."""
    return _of_adversaries(model, trainer) if isinstance(model, GAN) else _of_one_loss(model, trainer)


def _of_one_loss(model: Any, trainer: Trainer) -> Learn:
    optimizer, precision = model.optimizer(model.parameters()), trainer.precision_plugin.forward_context

    def closure(batch: Any) -> torch.Tensor:
        optimizer.zero_grad()
        with precision():
            loss = model.step(batch).loss
        loss.backward()
        if trainer.gradient_clip_val:
            nn.utils.clip_grad_norm_(model.parameters(), trainer.gradient_clip_val)
        return loss

    return lambda batch: optimizer.step(partial(closure, batch))


def _of_adversaries(model: GAN, trainer: Trainer) -> Learn:
    assert model.optimizer is not None
    of_generator = model.optimizer(model.generator.parameters())
    of_discriminator = model.optimizer(model.discriminator.parameters())
    precision = trainer.precision_plugin.forward_context

    def learn(batch: Any) -> None:
        images, _ = batch
        with precision():
            drawn = model(model.noise(len(images)))
            loss = model.discriminator_loss(images, drawn)
        of_discriminator.zero_grad()
        loss.backward()
        of_discriminator.step()
        model.discriminator.requires_grad_(False)
        with precision():
            loss = model.generator_loss(drawn)
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
        model.average()
        model.discriminator.requires_grad_(True)

    return learn

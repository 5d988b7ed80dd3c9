"""A generator and a discriminator in turn, as in PyTorch's example of DCGAN."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional as F

from datamodules.base import DataModule
from scripts.cli.measure.references.loop import forever
from scripts.cli.measure.references.rows import loader


def gan(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """The steps of both; there is no schedule, and the gradient is not clipped, as in ours."""
    generator, discriminator = model.generator.train(), model.discriminator.train()
    of_generator, of_discriminator = (model.optimizer(part.parameters()) for part in (generator, discriminator))

    def cost(images: Any, label: float) -> Any:
        logits = discriminator(images)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    for batch in forever(loader(data)):
        generated = model.normalised(generator(torch.randn(len(batch[0]), model.latent_size)))
        of_discriminator.zero_grad()
        (cost(batch[0], model.real_label) + cost(generated.detach(), 0)).backward()
        of_discriminator.step()
        of_generator.zero_grad()
        cost(generated, 1).backward()
        of_generator.step()
        yield batch

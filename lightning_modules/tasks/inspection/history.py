"""What a network has generated from the same noise as training went on."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

NUM_IMAGES = 8
MAX_TIMES = 8
MAX_SIDE = 32  # pixels, so that a checkpoint with all of them stays small


class History:
    """Small images of the same noise, of at most so many moments of training, at equal intervals.

    Once there are more, every second one goes and the interval doubles: what is kept depends on how many moments there
    were, not on the time that they took, so that a resumed run has what an uninterrupted one has.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.images: list[Tensor] = []  # (B, C, h, w) uint8 each
        self.interval, self.seen = 1, 0

    def add(self, step: int, images: Tensor) -> None:
        """Keep the images of a moment, if it is its turn.

        Args:
            step: of training.
            images: (B, C, H, W) uint8.
        """
        if self.seen % self.interval == 0:
            self.steps.append(step)
            self.images.append(small(images))
        self.seen += 1
        if len(self.steps) > MAX_TIMES:
            self.steps, self.images = self.steps[::2], self.images[::2]
            self.interval *= 2

    def until_now(self, step: int, images: Tensor) -> tuple[list[int], list[Tensor]]:
        """What is kept, and the images of this moment, if they are not kept already."""
        if self.steps[-1:] == [step]:
            return self.steps, self.images
        return [*self.steps, step], [*self.images, small(images)]

    def state_dict(self) -> dict[str, Any]:
        """As plain types and one tensor."""
        images = torch.stack(self.images) if self.images else torch.empty(0, dtype=torch.uint8)
        return {"steps": self.steps, "images": images, "interval": self.interval, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint has."""
        self.steps, self.images = list(state["steps"]), [*state["images"]]
        self.interval, self.seen = state["interval"], state["seen"]


def small(images: Tensor) -> Tensor:
    """Images on the CPU, of at most so many pixels a side, (B, C, h, w) uint8."""
    if max(images.shape[2:]) > MAX_SIDE:
        images = F.interpolate(images.float(), (MAX_SIDE, MAX_SIDE), mode="area").round().byte()
    return images.cpu().clone()


def between(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Noise on the way from one to another, along the sphere on which normal noise lies, (count, Z).

    White 2016, https://arxiv.org/abs/1609.04468: on the straight line noise would be shorter than the network knows it.

    Args:
        first: (Z,)
        last: (Z,)
        count: with both ends.
    """
    cosine = (first @ last / (first.norm() * last.norm()).clamp(min=1e-12)).clamp(-1, 1)
    angle, part = cosine.acos(), torch.linspace(0, 1, count)[:, None].to(first)
    if angle.sin().abs() < 1e-6:  # of the same direction, or the opposite one
        return (1 - part) * first + part * last
    return (((1 - part) * angle).sin() * first + (part * angle).sin() * last) / angle.sin()

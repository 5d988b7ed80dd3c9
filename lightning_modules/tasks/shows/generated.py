"""What a generator of images shows: what it makes of noise, how that changed, and what lies between two images."""

from typing import TYPE_CHECKING, Any

import torch

from lightning_modules.tasks import boards
from lightning_modules.tasks.inspection.history import NUM_IMAGES, between, small
from lightning_modules.tasks.pictures.images import captioned
from lightning_modules.tasks.task import Board

if TYPE_CHECKING:
    from lightning_modules.tasks.generator import ImageGenerator

NUM_GENERATED = 64
NUM_PATHS = 4  # from one noise to another


def show_generated(model: "ImageGenerator", batch: Any, board: Board) -> None:
    """Images of noise that is always the same, over time and beside real ones, and of noise between two noises."""
    noise = model.fixed_noise(NUM_GENERATED)
    generated = model.pixels(model(noise))
    board.image("generated", boards.grid(generated.float() / 255, stretch=False))
    steps, rows = model.history.until_now(model.global_step, generated[:NUM_IMAGES])
    labels = [f"step {step}" for step in steps]
    real = small(model.pixels(batch[0][:NUM_IMAGES]))
    if len(real) == NUM_IMAGES:
        rows, labels = [*rows, real], [*labels, "real images"]
    pixels = torch.cat(rows).float() / 255
    title = "the same noise at each step"
    board.figure("generated over time", captioned(pixels, columns=NUM_IMAGES, row_labels=labels, title=title))
    ends = noise[: 2 * NUM_PATHS]
    path = torch.cat([between(ends[2 * index], ends[2 * index + 1], NUM_IMAGES) for index in range(NUM_PATHS)])
    images = model.pixels(model(path)).cpu().float() / 255
    board.figure("interpolation", captioned(images, columns=NUM_IMAGES, title="from one noise to another"))

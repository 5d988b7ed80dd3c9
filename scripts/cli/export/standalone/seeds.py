"""Seeds, one a line, and the images that are generated from them, in the folder `generated`; needs Pillow."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def examples(path: Path, noise: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The noise of each seed."""
    for seed in path.read_text(encoding="utf-8-sig").split():
        yield [seed], {"noise": normal(int(seed), noise["size"])[None]}, seed


def normal(seed: int, size: int) -> Any:
    """The standard normal numbers that torch gives for a seed: Box-Muller of a Mersenne twister's numbers.

    It takes them in groups of 16, the last of which may overlap the one before it; of fewer numbers in pairs.
    """
    twister = np.random.RandomState(seed % 2**32)
    if size < 16:
        words = np.frombuffer(twister.bytes(16 * -(-size // 2)), "<u4").astype(np.uint64)
        pairs = ((words[0::2] << np.uint64(32) | words[1::2]) % 2**53).reshape(-1, 2) / 2**53
        return box_muller(1 - pairs[:, 1], pairs[:, 0]).T.flatten()[:size].astype(np.float32)
    starts = [*range(0, size - 15, 16), *([size - 16] if size % 16 else [])]
    uniform = np.frombuffer(twister.bytes(4 * (size + 16)), "<u4") % 2**24 / 2**24
    values = np.empty(size, np.float32)
    for start in starts:
        group = uniform[size:] if start % 16 else uniform[start : start + 16]
        values[start : start + 16] = box_muller(1 - group[:8], group[8:]).flatten()
    return values


def box_muller(first: Any, second: Any) -> Any:
    """Two rows of standard normal numbers from two of uniform ones."""
    radius, angle = np.sqrt(-2 * np.log(first)), 2 * np.pi * second
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)])


def answers(run: Callable[[Any], Any], tensors: Any, read: Any, output: Any) -> list[dict[str, Any]]:
    """The file of each image."""
    pixels = (run(tensors)[0] * 255).round().clip(0, 255).astype(np.uint8)
    file = Path("generated") / f"{read}.png"
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.transpose(1, 2, 0).squeeze()).save(file)
    return [{"image": str(file)}]

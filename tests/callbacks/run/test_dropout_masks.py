"""Masks of dropout on a CPU: their probabilities, and for how long torch draws them so."""

import math
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from callbacks.run import dropout_masks
from callbacks.run.dropout_masks import FEW, VALUES, DropoutMasks, bernoulli_


@pytest.mark.parametrize("p", [0.0, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-6, 1.0])
@pytest.mark.parametrize("size", [FEW - 1, FEW + 1, 1_000_003])
def test_as_many_ones_as_the_probability_says(p: float, size: int) -> None:
    mask = bernoulli_(torch.full((size,), 7.0), p)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert abs(float(mask.double().mean()) - p) <= 5 * math.sqrt(p * (1 - p) / size) + 1 / VALUES


def test_a_probability_between_two_multiples_is_met_in_expectation() -> None:
    size, p, draws = 2**18, 1.25 / VALUES, 800
    ones = sum(float(bernoulli_(torch.empty(size), p).sum()) for _ in range(draws))
    assert abs(ones - draws * size * p) < 400  # five standard deviations; the nearest multiple has 800 fewer


TYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.bool, torch.int64]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [30, 300])
def test_types_and_layouts(dtype: torch.dtype, size: int) -> None:
    plain = torch.empty(2, 3, size, size, dtype=dtype)
    for out in (plain, plain.to(memory_format=torch.channels_last), plain[:, :, ::2], plain.transpose(1, 3)):
        mask = bernoulli_(out, 0.25)
        assert mask is out
        assert abs(float(out.float().mean()) - 0.25) < 0.05


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="expected a probability from 0 to 1"):
        bernoulli_(torch.empty(100_000), p)


def test_neighbours_are_independent() -> None:
    mask = bernoulli_(torch.empty(1_000_000), 0.3) - 0.3
    for lag in range(1, 9):
        assert abs(float((mask[lag:] * mask[:-lag]).mean())) < 5 * 0.21 / 1000


def test_a_seed_gives_the_same_mask_and_another_one_another() -> None:
    masks = [bernoulli_(torch.empty(10_000), 0.5, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


class Dropping(LightningModule):
    """Drops features by a module, and attention by torch's function."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(0.1)

    def training_step(self, batch: Tensor) -> Tensor:
        if float(batch.sum()) < 0:
            raise ValueError("as asked")
        x = self.dropout(batch * self.weight)
        q = x.view(-1, 4, 64, 8)
        return x.mean() + F.scaled_dot_product_attention(q, q, q, dropout_p=0.5).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("fails", [False, True])
def test_all_dropout_is_drawn_so_while_training_and_not_after(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, float]] = []

    def recorded(out: Tensor, p: float = 0.5, **kwargs: Any) -> Tensor:
        drawn.append((out.numel(), round(p, 6)))
        return bernoulli_(out, p, **kwargs)

    monkeypatch.setattr(dropout_masks, "bernoulli_", recorded)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_steps=1, enable_model_summary=False, callbacks=DropoutMasks(), **quiet)
    batches: Any = DataLoader(torch.full((2, 2048), -1.0 if fails else 1.0), 2)  # type: ignore[arg-type]
    try:
        trainer.fit(Dropping(), batches)
    except ValueError:
        assert fails
    assert drawn == ([] if fails else [(2 * 2048, 0.9), (2 * 4 * 64 * 64, 0.5)])
    drawn.clear()
    F.dropout(torch.ones(10_000))
    assert drawn == []

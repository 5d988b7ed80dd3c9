"""Convolutions whose kernel is wider than their map."""

import itertools
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks.run.small_maps import Seen, SmallMaps, Trimmed, can_be_trimmed, seen


def test_the_entries_that_see_a_map() -> None:
    assert seen(1, 3, 1, 1, 1) == Seen(1, 1, 0)
    assert seen(2, 3, 2, 1, 1) == Seen(1, 2, 0)
    assert seen(2, 3, 1, 1, 1) == Seen(0, 3, 1)
    assert seen(1, 7, 2, 3, 1) == Seen(3, 1, 0)
    assert seen(2, 3, 1, 4, 4) == Seen(1, 1, 0)


SETTINGS = [
    (size, kernel, stride, padding, dilation)
    for size, kernel, stride, padding, dilation in itertools.product((1, 2, 3, 5), (1, 3, 4, 5), (1, 2), (1, 2), (1, 2))
    if size + 2 * padding >= dilation * (kernel - 1) + 1  # else there would be no output
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_output_and_gradient_are_the_same(settings: tuple[int, ...]) -> None:
    size, kernel, stride, padding, dilation = settings
    convolution = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups=2).double()
    trimmed = Trimmed(convolution)
    found = []
    for forward in (convolution, trimmed):
        x = torch.linspace(-1, 1, 2 * 4 * size * 7).view(2, 4, size, 7).double().requires_grad_()
        output = forward(x)
        convolution.zero_grad()
        output.square().sum().backward()
        found.append([output, x.grad, convolution.weight.grad, convolution.bias.grad])  # type: ignore[union-attr]
    for plain, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain)


def test_no_convolution_that_pads_otherwise_is_trimmed() -> None:
    assert can_be_trimmed(nn.Conv2d(1, 1, 3, padding=1))
    for other in (
        nn.Conv2d(1, 1, 3),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(1, 1, 3, padding=1),
        nn.ConvTranspose2d(1, 1, 3, padding=1),
    ):
        assert not can_be_trimmed(other)


def test_what_is_compiled_has_complete_kernels(recwarn: pytest.WarningsRecorder) -> None:
    convolution = nn.Conv2d(2, 3, 3, padding=1)
    x = torch.randn(2, 2, 1, 1)
    expected = convolution(x)
    convolution.forward = Trimmed(convolution)  # type: ignore[assignment]
    compiled = torch.compile(convolution, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    assert not [each for each in recwarn if "lru_cache" in str(each.message)]


class Convolving(LightningModule):
    """One convolution; remembers how it was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.was_trimmed = False

    def training_step(self, batch: Tensor) -> Tensor:
        self.was_trimmed = isinstance(self.convolution.forward, Trimmed)
        if float(batch.sum()) < 0:
            raise ValueError("as asked")
        return self.convolution(batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("fails", [False, True])
def test_only_while_training(fails: bool) -> None:
    model = Convolving()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_steps=1, enable_model_summary=False, callbacks=SmallMaps(), **quiet)
    batches: Any = DataLoader(torch.full((2, 3, 1, 1), -1.0 if fails else 1.0), 2)  # type: ignore[arg-type]
    try:
        trainer.fit(model, batches)
    except ValueError:
        assert fails
    assert model.was_trimmed
    assert not isinstance(model.convolution.forward, Trimmed)
    assert "forward" not in vars(model.convolution)

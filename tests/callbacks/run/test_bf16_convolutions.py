"""Gradients of kernels that are wider than their map, in bf16."""

from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks.run.bf16_convolutions import BF16Convolutions

WIDER = [
    (nn.Conv1d(16, 32, 3, stride=2, padding=1), (1,)),
    (nn.Conv2d(64, 64, 3, stride=2, padding=1), (1, 1)),
    (nn.Conv2d(64, 64, 3, stride=2, padding=1, groups=4), (4, 1)),
    (nn.Conv2d(64, 64, 5, stride=2, padding=2, bias=False), (1, 1)),
    (nn.Conv2d(64, 64, 3, padding=4, dilation=4), (2, 3)),
    (nn.Conv3d(8, 16, 3, padding=1), (2, 2, 2)),
    (nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1), (1, 1)),
]


class Convolving(LightningModule):
    """One convolution. Keeps the type of its output and the gradients."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.dtypes: list[torch.dtype] = []
        self.gradients: list[Tensor] = []

    def training_step(self, batch: Tensor) -> Tensor:
        for size in (100, 1_000, 4_608, 9_216, 36_864, 147_456):
            torch.full((size,), 1e18)  # what the memory of a gradient may have held before
        output = self.convolution(batch)
        self.dtypes.append(output.dtype)
        return output.float().square().mean()

    def on_after_backward(self) -> None:
        self.gradients += [parameter.grad.clone() for parameter in self.parameters() if parameter.grad is not None]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-9)


def train(convolution: nn.Module, inputs: Tensor, precision: Any) -> Convolving:
    model = Convolving(convolution)
    trainer = Trainer(
        accelerator="cpu",
        precision=precision,
        callbacks=BF16Convolutions(),
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader([inputs, inputs, inputs], batch_size=None))  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize(("convolution", "map_size"), WIDER)
def test_the_gradient_is_that_of_32_bits(convolution: Any, map_size: tuple[int, ...], precision: str) -> None:
    inputs = torch.randn(8, convolution.in_channels, *map_size, generator=torch.Generator().manual_seed(0))
    exact = train(convolution.float(), inputs, "32-true")
    found = train(convolution.float(), inputs, precision)
    convolution.float()
    assert found.dtypes == 3 * [torch.bfloat16]
    assert len(found.gradients) == len(exact.gradients) > 0
    for gradient, reference in zip(found.gradients, exact.gradients, strict=True):
        assert torch.equal(gradient[reference == 0], reference[reference == 0].to(gradient.dtype))
        torch.testing.assert_close(gradient.float(), reference, rtol=0.05, atol=0.02 * float(reference.abs().max()))


def test_others_are_computed_in_bf16_and_no_hook_stays() -> None:
    computed: list[torch.dtype] = []
    convolution = nn.Conv2d(3, 4, 3, padding=1)
    convolution.register_forward_hook(lambda _, inputs, output: computed.append(output.dtype))
    train(convolution, torch.randn(2, 3, 3, 3), "bf16-mixed")
    assert computed == 3 * [torch.bfloat16]
    computed.clear()
    train(convolution, torch.randn(2, 3, 2, 2), "bf16-mixed")
    assert computed == 3 * [torch.bfloat16, torch.float32]
    assert len(convolution._forward_hooks) == 1

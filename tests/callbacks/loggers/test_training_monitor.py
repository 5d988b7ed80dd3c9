"""The gradient's norm is that of the step, whatever takes part in it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from callbacks.loggers.logger import Logger
from callbacks.loggers.training_monitor import TrainingMonitor, gradient_norm, memory
from callbacks.run.run_folder import RunFolder
from callbacks.run.throughput import Throughput
from datamodules.tokenizing.tokens import Text
from lightning_modules.gan import GAN
from lightning_modules.mlp import MLP


class Kept(Logger):
    """Keeps what is logged."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self.norms: dict[int | None, float] = {}
        self.usage: list[dict[str, float]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if "train/gradient_norm" in metrics:
            self.norms[step] = metrics["train/gradient_norm"]

    def log_usage(self, usage: dict[str, float], step: int) -> None:
        self.usage.append(usage)


def train(model: LightningModule, batches: list[Any], folder: Path, **options: Any) -> Kept:
    kept, throughput = Kept(RunFolder(folder)), Throughput()
    options = {"max_epochs": 1, "log_every_n_steps": 1, "logger": kept, "limit_val_batches": 0, **options}
    trainer = Trainer(
        **options,
        accelerator="cpu",
        callbacks=[throughput, TrainingMonitor(throughput)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer.fit(model, loader, None if type(model) is TwoOptimizers else loader)
    return kept


def batch(size: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 4, generator=generator), torch.randint(3, (size,), generator=generator)


def model(**options: Any) -> MLP:
    torch.manual_seed(0)
    return MLP(4, 3, dropout=0.0, optimizer=partial(torch.optim.SGD, lr=0.0, **options))  # all steps have one gradient


def norm_of(examples: list[tuple[Tensor, Tensor]]) -> float:
    """The norm of the gradient of all these examples as one batch."""
    reference = model()
    x, y = (torch.cat(parts) for parts in zip(*examples, strict=True))
    nn.functional.cross_entropy(reference(x), y).backward()
    gradients = [parameter.grad for parameter in reference.parameters() if parameter.grad is not None]
    return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_clip_val": 1e-3},
        {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]},
    ],
    ids=["plain", "clipped", "scaled"],
)
def test_the_norm_is_that_of_the_gradient_before_clipping_and_without_the_scale(
    options: dict[str, Any], tmp_path: Path
) -> None:
    examples = [batch(6, 0), batch(6, 1)]
    kept = train(model(), examples, tmp_path, **options)
    precise = 1e-5 if "plugins" not in options else 2e-3
    assert kept.norms == {step: pytest.approx(norm_of([examples[step]]), rel=precise) for step in (0, 1)}


def test_a_fused_optimizer_gets_a_scaled_gradient_whose_norm_is_logged_without(tmp_path: Path) -> None:
    examples = [batch(6, 0)]
    plugins = [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]
    kept = train(model(fused=True), examples, tmp_path, plugins=plugins)
    assert kept.norms == {0: pytest.approx(norm_of(examples), rel=2e-3)}


def test_the_norm_of_accumulated_batches_is_that_of_one_as_large(tmp_path: Path) -> None:
    examples = [batch(6, 0), batch(2, 1), batch(3, 2), batch(9, 3)]
    kept = train(model(), examples, tmp_path, accumulate_grad_batches=2, gradient_clip_val=1e-3)
    assert kept.norms == {
        0: pytest.approx(norm_of(examples[:2]), rel=1e-5),
        1: pytest.approx(norm_of(examples[2:]), rel=1e-5),
    }


def test_an_optimizer_that_evaluates_the_loss_several_times_has_one_norm(tmp_path: Path) -> None:
    examples = [batch(6, 0)]
    torch.manual_seed(0)
    several = MLP(4, 3, dropout=0.0, optimizer=partial(torch.optim.LBFGS, lr=1e-9, max_iter=3))
    kept = train(several, examples, tmp_path)
    assert kept.norms == {0: pytest.approx(norm_of(examples), rel=1e-3)}


def test_the_norm_is_logged_at_the_logging_interval_only(tmp_path: Path) -> None:
    kept = train(model(), [batch(4, seed) for seed in range(7)], tmp_path, log_every_n_steps=3)
    assert [*kept.norms] == [2, 5]


def test_both_networks_of_a_gan_have_one_norm(tmp_path: Path) -> None:
    torch.manual_seed(0)
    gan = GAN(1, 16, 3, hidden_size=4, latent_size=4, optimizer=partial(torch.optim.SGD, lr=0.0))
    squares: list[float] = []
    updated: Callable[..., Any] = gan.manual_backward

    def backward(loss: Tensor, *args: Any) -> None:
        updated(loss, *args)
        network = gan.generator if len(squares) % 2 else gan.discriminator
        squares.append(sum(float(each.grad.square().sum()) for each in network.parameters() if each.grad is not None))

    gan.manual_backward = backward  # type: ignore[method-assign]
    images = torch.rand(4, 1, 16, 16), torch.tensor([0, 1, 2, 0])
    kept = train(gan, [images, images], tmp_path)
    assert kept.norms == {step: pytest.approx(sum(squares[2 * step :][:2]) ** 0.5, rel=1e-5) for step in (0, 1)}


class TwoOptimizers(LightningModule):
    """Of another package: steps two optimizers, which Lightning counts as two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.first, self.second = nn.Linear(4, 1), nn.Linear(4, 1)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        for optimizer, part in zip(self.optimizers(), (self.first, self.second), strict=True):
            optimizer.zero_grad()
            self.manual_backward(part(batch[0]).sum())
            optimizer.step()

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), lr=0.0) for part in (self.first, self.second)]


def test_a_batch_on_which_two_optimizers_step_is_one_point(tmp_path: Path) -> None:
    x = batch(6, 0)[0]
    norm = 2**0.5 * float(torch.cat([x.sum(0), torch.tensor([6.0])]).norm())
    kept = train(TwoOptimizers(), [(x,)] * 4, tmp_path, log_every_n_steps=2)
    assert kept.norms == {1: pytest.approx(norm, rel=1e-5), 3: pytest.approx(norm, rel=1e-5)}


def test_sparse_gradients_have_a_norm() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1, 1, 3])).sum().backward()
    optimizer = torch.optim.SparseAdam([*embedding.parameters()])
    assert float(gradient_norm(optimizer)) == pytest.approx((2 * 2**2 + 2 * 1**2) ** 0.5)


class OfTexts(MLP):
    """Takes texts, of which it reads the lengths."""

    def step(self, batch: Any) -> Any:
        text, target = batch
        return super().step((text.lengths[:, None].expand(-1, 4).float(), target))


def test_usage_is_examples_and_of_texts_tokens_a_second_and_memory(tmp_path: Path) -> None:
    torch.manual_seed(0)
    texts = Text(torch.ones(3, 5, dtype=torch.long), torch.tensor([5, 2, 1]))
    of_texts = OfTexts(4, 3, optimizer=partial(torch.optim.SGD, lr=0.0))
    kept = train(of_texts, [(texts, torch.tensor([0, 1, 2]))] * 2, tmp_path)
    for usage in kept.usage:
        assert usage["machine/tokens_per_second"] == pytest.approx(8 / 3 * usage["machine/examples_per_second"])
        assert usage["machine/host_memory_gb"] > 0.05
        assert "machine/device_memory_gb" not in usage
    assert "machine/tokens_per_second" not in train(model(), [batch(4, 0)], tmp_path).usage[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_memory_of_a_gpu_is_the_peak() -> None:
    device = torch.device("cuda", 0)
    held = torch.zeros(25_000_000, device=device)
    del held
    assert memory(device)["device_memory_gb"] >= 0.1

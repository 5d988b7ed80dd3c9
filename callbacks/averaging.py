"""Averages the weights over training steps, and evaluates the average."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, distributed
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from callbacks.private.torch import BatchNorm
from callbacks.run.processes import load_weights, shard_like
from callbacks.technique import Technique
from datamodules.base import DataModule
from lightning_modules.layers.shards import is_shard


class Averaging(Technique):
    """Averages the weights over steps; from then on the average is validated, tested and saved as the model.

    - ema: the exponential moving average, `mean ← decay · mean + (1 - decay) · weights` (Polyak & Juditsky 1992,
      https://doi.org/10.1137/0330046), with a smaller decay at first, `(1 + n) / (10 + n)` after n steps.
    - swa: the plain mean (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407), of the weights after each step
      rather than each epoch, and under the run's own schedule. Before a validation, the statistics of batch norms
      are recomputed in one pass over the training split.

    Lightning's own would save the newest weights as the average's where a validation is interrupted, and recomputes no
    statistics. A checkpoint contains the average as its weights, and the newest ones to resume from.

    Args:
        kind: type of the average; by default the newest weights are the model.
        decay: of ema in a step.
        start: fraction of the run after which averaging begins; by default 0.75 for swa and 0 for ema. Until then the
            newest weights are validated, and tested if they stay the best.

    Raises:
        ValueError: a value is out of its range.
    """

    def __init__(
        self, kind: Literal["ema", "swa"] | None = None, decay: float = 0.999, start: float | None = None
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"--averaging.decay: expected a fraction from 0 to below 1, got {decay}")
        if start is not None and not 0 <= start < 1:
            raise ValueError(f"--averaging.start: expected a fraction of the run, from 0 to below 1, got {start}")
        self.kind = kind
        self.decay = decay
        self.start = start if start is not None else 0.75 if kind == "swa" else 0.0
        self.count = 0  # of averaged steps
        self.mean: dict[str, Tensor] = {}
        self.newest: dict[str, Tensor] = {}  # while the average is in the model
        self._begin = 0.0  # the last step that is not averaged
        self._step = 0  # the newest that was averaged or skipped
        self._statistics_of = 0  # averaged steps when the batch norms' statistics were recomputed

    @property
    def enabled(self) -> bool:
        """If a type is set."""
        return self.kind is not None

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Reject a model that averages its own weights."""
        if model.averages_own_weights:
            raise ValueError(
                f"--averaging.kind {self.kind}: {type(model).__name__} averages its own weights, see --model.decay; "
                f"leave it out"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute when to begin; move a loaded average to the model's device."""
        total = trainer.estimated_stepping_batches if self.start else 0
        if total == float("inf"):
            raise ValueError("--averaging.start has to know the run's length; give --trainer.max_epochs")
        self._begin = self.start * total
        self._step = trainer.global_step
        state = pl_module.state_dict() if self.mean else {}
        self.mean = {name: shard_like(value, state[name]) for name, value in self.mean.items()}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Continue training with the newest weights."""
        self._use_newest(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after an optimizer step."""
        if trainer.global_step == self._step:  # gradients are being accumulated
            return
        self._step = trainer.global_step
        if self._step > self._begin:
            self._average(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._use_mean(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the average in the model, for a test without a better checkpoint."""
        self._use_mean(trainer, pl_module)

    @torch.no_grad()
    def _average(self, model: LightningModule) -> None:
        values = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
        if not self.count:
            self.mean = {name: value.to(_precise(value.dtype), copy=True) for name, value in values.items()}
        else:
            decay = min(self.decay, (1 + self.count) / (10 + self.count))
            average = get_swa_multi_avg_fn() if self.kind == "swa" else get_ema_multi_avg_fn(decay)
            newest = [_local(values[name]).to(mean.dtype) for name, mean in self.mean.items()]
            average([*map(_local, self.mean.values())], newest, self.count)
        self.count += 1

    def _use_mean(self, trainer: Trainer, model: LightningModule) -> None:
        if not self.count or self.newest:
            return
        state = model.state_dict()
        self.newest = {name: state[name].clone() for name in self.mean}
        model.load_state_dict(self.mean, strict=False)
        norms = [module for module in model.modules() if isinstance(module, BatchNorm) and _is_trained(module)]
        if self.kind == "swa" and norms and self._statistics_of < self.count:
            update_statistics(norms, model, trainer)
            self._statistics_of = self.count
            self.mean |= {name: buffer.clone() for name, buffer in model.named_buffers() if name in self.mean}

    def _use_newest(self, model: LightningModule) -> None:
        if self.newest:
            model.load_state_dict(self.newest, strict=False)
            self.newest = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save both, whichever is in the model."""
        if self.count:
            state = checkpoint["state_dict"]
            checkpoint["newest_weights"] = self.newest or {name: state[name] for name in self.mean}
            checkpoint["state_dict"] = state | self.mean

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resume from both."""
        if trainer.state.fn == "fit" and "newest_weights" in checkpoint:
            newest = checkpoint["newest_weights"]
            self.mean = {name: checkpoint["state_dict"][name].clone() for name in newest}
            load_weights(pl_module, newest, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """The number of averaged steps, now and when the batch norms' statistics were recomputed."""
        return {"count": self.count, "statistics_of": self._statistics_of}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self.count, self._statistics_of = state_dict["count"], state_dict["statistics_of"]


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)  # in 16 bits, an average would soon stop changing


def _local(value: Tensor) -> Tensor:
    """This process's shard of a tensor."""
    return value.to_local() if is_shard(value) else value


def _is_trained(norm: BatchNorm) -> bool:
    """Whether a batch norm has statistics that training changes, unlike a frozen one."""
    return norm.track_running_stats and (norm.weight is None or norm.weight.requires_grad)


@torch.no_grad()
def update_statistics(norms: Iterable[BatchNorm], model: Any, trainer: Trainer) -> None:
    """Compute batch norms' statistics in one pass over the training split, with no augmentation and no dropout.

    As torch's update_bn, which takes models of one argument only. A collective operation.

    Args:
        norms: the batch norms.
        model: that they are part of; its mode is restored.
        trainer: the run's trainer.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    modes = {module: module.training for module in model.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    stage = trainer.state.stage
    model.eval()
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
        norm.train()
    trainer.validating = True  # the data is not to be augmented
    for batch in data.training_batches(int(trainer.num_training_batches)):
        with trainer.precision_plugin.forward_context():
            model.step(trainer.strategy.batch_to_device(batch))
    trainer.state.stage = stage
    for norm, momentum in momenta.items():
        norm.momentum = momentum
        for statistic in (norm.running_mean, norm.running_var):
            if trainer.world_size > 1 and isinstance(statistic, Tensor):
                distributed.all_reduce(statistic)
                statistic /= trainer.world_size
    for module, mode in modes.items():
        module.training = mode

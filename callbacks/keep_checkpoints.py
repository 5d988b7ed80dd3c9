"""Keeps more checkpoints than the best and the last."""

import math
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.run.checkpoints import Checkpoints
from callbacks.technique import Technique


class KeepCheckpoints(Technique):
    """Keeps the checkpoints of the best values of the monitored metric, or of every epoch, beside best and last.

    Args:
        keep: number of the best checkpoints; from 2 on each has a file of its own, named after its value and step.
        every_epoch: whether the one of each epoch is kept.

    Raises:
        ValueError: the number is less than 1.
    """

    def __init__(self, keep: int = 1, every_epoch: bool = False) -> None:
        if keep < 1:
            raise ValueError(f"--checkpoint.keep: expected at least 1, got {keep}")
        self.keep = keep
        self.every_epoch = every_epoch
        self.kept: list[tuple[float, str]] = []  # the value and the file's name, the best first

    @property
    def enabled(self) -> bool:
        """If more are kept than a run keeps anyway."""
        return self.keep > 1 or self.every_epoch

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare a validation metric with the best ones."""
        if not trainer.sanity_checking:
            self._compare(trainer, of_training=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare a training metric, and keep the epoch's checkpoint."""
        self._compare(trainer, of_training=True)
        checkpoints = trainer.checkpoint_callback
        if self.every_epoch and isinstance(checkpoints, Checkpoints):
            checkpoints.save_further(f"epoch_{trainer.current_epoch + 1:04d}.ckpt")

    def _compare(self, trainer: Trainer, of_training: bool) -> None:
        checkpoints = trainer.checkpoint_callback
        if self.keep < 2 or not isinstance(checkpoints, Checkpoints):
            return
        if checkpoints.monitor.startswith("train") != of_training:
            return
        score = float(trainer.callback_metrics.get(checkpoints.monitor, math.nan))
        name = f"{checkpoints.monitor.replace('/', '_')}_{score:.4g}_step_{trainer.global_step}.ckpt"
        if math.isnan(score):
            return
        sign = 1 if checkpoints.mode == "min" else -1
        ranked = sorted([*self.kept, (score, name)], key=lambda each: sign * each[0])  # of equal ones the first stays
        self.kept, dropped = ranked[: self.keep], [name for _, name in ranked[self.keep :]]
        if name not in dropped:
            checkpoints.save_further(name, instead_of=next(iter(dropped), None))

    def state_dict(self) -> dict[str, Any]:
        """What is kept."""
        return {"kept": [list(each) for each in self.kept]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with what was kept."""
        self.kept = [(score, name) for score, name in state_dict["kept"]]

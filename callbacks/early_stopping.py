"""Ends a run that no longer improves."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from callbacks.technique import Technique
from datamodules.base import DataModule


class ResumableEarlyStopping(Technique, EarlyStopping):
    """Ends training when the monitored metric has not improved for some validations; the best weights are tested.

    A run that has ended early is not continued when it is resumed, unlike with Lightning's own, which is what
    `--trainer.callbacks+=EarlyStopping` means.

    Args:
        patience: validations in a row without an improvement after which to end; by default the run is completed.
        min_delta: minimum improvement; a smaller one does not count.

    Raises:
        ValueError: a value is out of its range.
    """

    state_key = "EarlyStopping"  # whatever is monitored

    def __init__(self, patience: int | None = None, min_delta: float = 0.0) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"--early_stopping.patience: expected at least 1, got {patience}")
        if min_delta < 0:
            raise ValueError(f"--early_stopping.min_delta: expected at least 0, got {min_delta}")
        self.options = patience, min_delta

    @property
    def enabled(self) -> bool:
        """If a patience is set."""
        return self.options[0] is not None

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Monitor the model's metric."""
        patience, min_delta = self.options
        # In 64 bits: in 32, an improvement by exactly min_delta would count or not as it is rounded.
        exact: Any = torch.tensor(min_delta, dtype=torch.float64)
        EarlyStopping.__init__(
            self,
            str(model.monitor),
            exact,
            patience or 0,
            mode=str(model.mode),
            strict=False,
            check_finite=False,
            check_on_train_epoch_end=str(model.monitor).startswith("train/"),
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin no further epoch where a run that has ended early is resumed."""
        trainer.should_stop |= self.wait_count >= self.patience

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting, with the patience that is requested now; earlier runs saved `best` and `waited`."""
        if "waited" in state_dict:
            best, sign = state_dict["best"], 1 if self.mode == "max" else -1  # more was better, whatever the mode
            self.wait_count = state_dict["waited"]
            self.best_score = torch.tensor(-torch.inf if best is None else best) * sign
        else:
            super().load_state_dict(state_dict | {"patience": self.patience})

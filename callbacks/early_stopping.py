"""Ends a run that no longer gets better."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.technique import Technique


class EarlyStopping(Technique):
    """Ends training when the monitored metric has not been better for some validations; the best weights are tested.

    Lightning's EarlyStopping would train on where a run that it had ended is resumed.

    Args:
        patience: validations in a row without a better value after which to end; by default the run goes to its end.
        min_delta: by how much a value has to be better to count.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(self, patience: int | None = None, min_delta: float = 0.0) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"--early_stopping.patience: expected at least 1, got {patience}")
        if min_delta < 0:
            raise ValueError(f"--early_stopping.min_delta: expected at least 0, got {min_delta}")
        self.patience = patience
        self.min_delta = min_delta
        self.best: float | None = None
        self.waited = 0  # validations

    @property
    def enabled(self) -> bool:
        """With a patience."""
        return self.patience is not None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin no further epoch where a run that has ended so is resumed."""
        self._end_if_patience_is_out(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a validation metric."""
        if str(pl_module.monitor).startswith("val/") and not trainer.sanity_checking:
            self._judge(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judge a training metric."""
        if str(pl_module.monitor).startswith("train/"):
            self._judge(trainer, pl_module)

    def _judge(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = trainer.callback_metrics.get(str(pl_module.monitor))
        if value is None:
            return
        score = float(value) if pl_module.mode == "max" else -float(value)
        if score == score and (self.best is None or score > self.best + self.min_delta):
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        self._end_if_patience_is_out(trainer)

    def _end_if_patience_is_out(self, trainer: Trainer) -> None:
        if self.patience is not None and self.waited >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """How long nothing has been better."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on waiting."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]

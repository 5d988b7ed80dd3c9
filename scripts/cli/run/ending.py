"""Why a run's training ended, and where."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from callbacks.early_stopping import ResumableEarlyStopping
from callbacks.loggers.time_left import epochs_of

REACHED = {
    EarlyStoppingReason.STOPPING_THRESHOLD: "reached the threshold of --trainer.callbacks",
    EarlyStoppingReason.DIVERGENCE_THRESHOLD: "was beyond the threshold of --trainer.callbacks",
    EarlyStoppingReason.NON_FINITE_METRIC: "was not a finite number",
}


def ending(trainer: Trainer) -> dict[str, Any]:
    """What ended a training, in a word and in a sentence, with its last epoch, from 1, and step.

    To be asked before the test, for which the callbacks take over the best checkpoint's state.
    """
    epoch, step = trainer.fit_loop.epoch_progress.current.ready, trainer.global_step
    reason, why = reason_of(trainer)
    epochs = epochs_of(trainer)
    of = f" of {epochs}" if epochs else ""
    steps = f", step {step} of {trainer.max_steps}" if reason == "max_steps" else ""
    return {"reason": reason, "text": f"after epoch {epoch}{of}{steps}{why}", "epoch": epoch, "step": step}


def reason_of(trainer: Trainer) -> tuple[str, str]:
    """What ended a training, in a word, and as the end of a sentence."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return "fast_dev_run", ", as --trainer.fast_dev_run has it"
    if 0 < trainer.max_steps <= trainer.global_step:
        return "max_steps", ", as --trainer.max_steps has it"
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.fit_loop.epoch_progress.current.completed:
        return "max_epochs", ""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, EarlyStopping) and (why := _stopped_early(callback)):
            return "early_stopping", f": {why}"
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Timer) and (left := callback.time_remaining()) is not None and left <= 0:
            return "max_time", ": --trainer.max_time was over"
    return "stopped", ": a callback or the model asked for it"


def _stopped_early(callback: EarlyStopping) -> str | None:
    """The reason in words; None if this callback did not end the training."""
    if callback.wait_count >= callback.patience:
        option = "--early_stopping" if isinstance(callback, ResumableEarlyStopping) else "--trainer.callbacks"
        often = f"{callback.wait_count} validation{'s' if callback.wait_count > 1 else ''}"
        return f"no better {callback.monitor} in {often} ({option}.patience {callback.patience})"
    if callback.stopping_reason in REACHED:
        return f"{callback.monitor} {REACHED[callback.stopping_reason]}"
    return None

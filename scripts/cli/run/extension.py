"""More epochs or steps for a run: it goes on in its folder, and on its curve."""

from contextlib import suppress
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer

from callbacks.averaging import Averaging
from callbacks.run.checkpoint_file import read_checkpoint
from lightning_modules.optim.schedules import Extension, Tail
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.recipes import Config
from scripts.cli.command_line.resume_changes import is_longer
from scripts.cli.errors import UsageError


def earlier_extension(config: Config | None) -> Extension | None:
    """How a run of this configuration was made longer, if it was.

    Raises:
        UsageError: its section is not what a run writes.
    """
    found = (config or {}).get("extended")
    if found is None:
        return None
    try:
        return Extension(int(found["step"]), Tail(found["tail"]), float(found["factor"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"extended: expected step, tail and factor as a run writes them, got {found} ({error})"
        ) from None


def check_tail(tail: str | None, earlier: Config | None, now: Config) -> None:
    """Refuse `--schedule_tail` where no run is made longer.

    Raises:
        UsageError: it is given.
    """
    if tail is not None and not is_longer(earlier, now):
        raise UsageError(
            f"--schedule_tail {tail}: is for a run that is made longer: --resume RUN --trainer.max_epochs N, of more "
            f"epochs than it had"
        )


def new_extension(tail: str | None, checkpoint: Path) -> Extension:
    """The extension of a run after a checkpoint.

    Args:
        tail: what `--schedule_tail` says.
        checkpoint: from which it is resumed.
    """
    content = read_checkpoint(checkpoint, mapped=True)
    states = content.get("lr_schedulers") or []
    pairs = (pair for state in states for pair in zip(state["_last_lr"], state["base_lrs"], strict=True))
    factor = max((rate / base for rate, base in pairs if base), default=1.0)
    return Extension(int(content["global_step"]), Tail(tail or Tail.CONTINUE), factor)


def explain(extension: Extension, model: LightningModule, trainer: Trainer) -> str:
    """What becomes of the learning rate, in a line."""
    length = f"{trainer.max_epochs} epochs" if (trainer.max_epochs or 0) > 0 else f"{trainer.max_steps} steps"
    begin = f"goes on after step {extension.step}, to {length}"
    schedule, warmup = getattr(model, "schedule", "constant"), getattr(model, "warmup", 0.0)
    if not isinstance(model, Task):
        return begin
    if schedule in ("constant", "plateau") and not warmup:
        of_length = any(isinstance(each, Averaging) and each.start for each in trainer.callbacks)  # type: ignore[attr-defined]
        return begin if of_length else f"{begin}, as if it had been asked for at first"
    how = {
        Tail.CONTINUE: f"--model.schedule {schedule} now spans {length}, and the rate is where it is there",
        Tail.RESTART: f"--model.schedule {schedule} begins anew, over the further steps",
        Tail.HOLD: f"the rate stays at {extension.factor:.2g} of --model.optimizer.lr",
    }
    others = ", ".join(tail for tail in how if tail != extension.tail)
    return f"{begin}: {how[extension.tail]} (--schedule_tail {extension.tail}; or {others})"


def set_results_aside(folder: Path, step: int) -> None:
    """Rename the results that a run has had after a step, for those of the longer run."""
    with suppress(FileNotFoundError):
        (folder / "results.json").rename(folder / f"results_of_step_{step}.json")

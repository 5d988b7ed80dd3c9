"""Adds a run's metadata to its checkpoints and its loggers."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.loggers.logger import Logger, loggers_of, shows
from lightning_modules.tasks.task import Task


class RunMetadata(Callback):
    """Puts the resolved configuration into every checkpoint and every logger.

    A logger also gets the best value so far of the monitored metric, `best/<metric>`.

    Args:
        config: the resolved configuration, plain types only.
        monitor: name of the metric.
        mode: `min` or `max`.
        row: what the table of runs has of this one, called once, in the first process.
        texts: in Markdown, by their names, such as `run/settings`; called as `row` is.
    """

    def __init__(
        self,
        config: dict[str, Any],
        monitor: str,
        mode: str,
        row: Callable[[], dict[str, Any]] = dict,
        texts: Callable[[Trainer], dict[str, str]] = lambda trainer: {},
    ) -> None:
        self.config = config
        self.row = row
        self.texts = texts
        self.monitor = monitor
        self.sign = -1 if mode == "min" else 1
        self.best: float | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the configuration, what a resumed run must not change, and the loggers' states."""
        checkpoint["config"] = self.config
        checkpoint["world_size"] = trainer.world_size
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["fingerprint"] = data.fingerprint
        for logger in loggers_of(trainer):
            logger.on_save_checkpoint(checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remove what was logged after the checkpoint was saved: it will be logged again."""
        if trainer.state.fn == "fit":
            for logger in loggers_of(trainer):
                logger.on_load_checkpoint(checkpoint)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the best value."""
        self.best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the settings, and the names of the best value and the test metrics that runs are compared by."""
        monitors = pl_module.monitors() if isinstance(pl_module, Task) else [self.monitor]
        tested = [name.replace("val/", "test/") for name in monitors if name.startswith("val/")]
        best = f"best/{self.monitor}"
        destinations = loggers_of(trainer)
        row = self._row(destinations, best)
        texts = self.texts(trainer) if any(map(shows, destinations)) else {}
        for logger in destinations:
            logger.log_row(row)
            logger.begin(settings(self.config), [*([best] if self.monitor else []), *tested])
            for name, markdown in texts.items():
                logger.log_text(name, markdown, trainer.global_step)

    def _row(self, destinations: list[Logger], best: str) -> dict[str, Any]:
        """The row, and of a resumed run the best value; to find it out takes a while, and not every logger has rows."""
        if not any(type(logger).log_row is not Logger.log_row for logger in destinations):
            return {}
        return {**({} if self.best is None else {best: self.best}), **self.row()}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the best value so far, where it is new."""
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or value is None:
            return
        score = float(value)
        if self.best is not None and self.sign * score <= self.sign * self.best:
            return
        self.best = score
        for logger in loggers_of(trainer):
            logger.log_best(f"best/{self.monitor}", score, trainer.global_step - 1)  # as Lightning counts


def settings(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The configuration as one flat table: `model.dropout`, `data.batch_size`, …; what is not set is left out.

    A class within a section is a setting, too: `model.optimizer` is AdamW.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = prefix if key in ("init_args", "class_path") else f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            flat |= settings(value, name)
        elif key == "class_path" and "." in prefix:
            flat[name] = str(value).rpartition(".")[2]
        elif value is not None and key != "class_path":
            flat[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat

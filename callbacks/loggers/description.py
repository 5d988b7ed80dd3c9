"""What makes a run and its checkpoints describe themselves."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from callbacks.loggers.csv_file import MetricsFile
from callbacks.loggers.tensorboard import Dashboard
from lightning_modules.tasks.task import Task


class Description(Callback):
    """Puts the resolved configuration into every checkpoint and into TensorBoard's table of runs.

    There each run stands with its settings and the best value so far of its monitored metric, `best/<metric>`.

    Args:
        config: the resolved configuration, plain types only.
        monitor: name of the metric.
        mode: `min` or `max`.
    """

    def __init__(self, config: dict[str, Any], monitor: str, mode: str) -> None:
        self.config = config
        self.monitor = monitor
        self.sign = -1 if mode == "min" else 1
        self.best: float | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the configuration, what a resumed run must not change, and how far the logs are."""
        checkpoint["config"] = self.config
        checkpoint["world_size"] = trainer.world_size
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        checkpoint["fingerprint"] = data.fingerprint
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                checkpoint["metrics_file"] = logger.state
            if isinstance(logger, Dashboard):
                logger.flush()  # a run that goes on from here does not log it again

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Cut off what was logged after the checkpoint was written: it will be logged again."""
        if trainer.state.fn != "fit":
            return
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                logger.go_back(checkpoint["metrics_file"])
            if isinstance(logger, Dashboard):
                logger.go_back(checkpoint["global_step"])

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self.best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enter the run into TensorBoard's table, with its best value and, in the end, its test metrics."""
        monitors = pl_module.monitors() if isinstance(pl_module, Task) else [self.monitor]
        tested = [name.replace("val/", "test/") for name in monitors if name.startswith("val/")]
        for logger in trainer.loggers:
            if isinstance(logger, Dashboard):
                logger.log_settings(settings(self.config), [f"best/{self.monitor}", *tested])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the best value so far, where it is new."""
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or value is None:
            return
        score = float(value)
        if self.best is not None and self.sign * score <= self.sign * self.best:
            return
        self.best = score
        for logger in trainer.loggers:
            if isinstance(logger, Dashboard):
                logger.log_metrics({f"best/{self.monitor}": score}, trainer.global_step - 1)  # as Lightning counts


def settings(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The configuration as one flat table: `model.dropout`, `data.batch_size`, …; what is not set is left out."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = prefix if key == "init_args" else f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            flat |= settings(value, name)
        elif value is not None and key != "class_path":
            flat[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat

"""A run's metrics, images, figures, texts and tables on Weights & Biases."""

import html
import secrets
from typing import Any

from torch import Tensor

from callbacks.loggers.logger import Logger, Table
from callbacks.run.run_folder import RunFolder

KEY = "wandb_id"  # in a checkpoint
STEP = "trainer/global_step"  # the x-axis, named as by Lightning; W&B's own steps could not be logged again


class WandbLogger(Logger):
    """Logs to https://wandb.ai; WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE and other variables of W&B's say where and how.

    A resumed run continues the same one there. What it logs again has the values that it had: exactly the same points.
    (Lightning's own starts before it is known which run is resumed.)

    Args:
        run: the run's folder.
    """

    package = "wandb"

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self.id = secrets.token_hex(8)
        self._remote: Any = None

    @property
    def remote(self) -> Any:
        """The run of W&B's; starts it."""
        if self._remote is None:
            import wandb  # only where it is used

            name = f"{self.name}/{self.version}"
            self._remote = wandb.init(dir=self.save_dir, id=self.id, name=name, resume="allow", reinit="create_new")
            self._remote.define_metric(STEP)
            self._remote.define_metric("*", step_metric=STEP)
        return self._remote

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Log the settings."""
        self.remote.config.update(settings, allow_val_change=True)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""
        self.remote.log({**metrics, STEP: step})

    def log_best(self, name: str, value: float, step: int) -> None:
        """Set the best value so far of the monitored metric, in the table of runs."""
        self.remote.summary[name] = value

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, (C, H, W), from 0 to 1."""
        import wandb
        from torchvision.transforms.functional import to_pil_image

        self.remote.log({name: wandb.Image(to_pil_image(image.clamp(0, 1))), STEP: step})

    def log_figure(self, name: str, figure: Any, step: int) -> None:
        """Log a matplotlib figure."""
        import wandb

        self.remote.log({name: wandb.Image(figure), STEP: step})

    def log_text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in Markdown, as it is."""
        import wandb

        self.remote.log({name: wandb.Html(f"<pre>{html.escape(markdown)}</pre>"), STEP: step})

    def log_table(self, name: str, table: Table, step: int) -> None:
        """Log a table."""
        import wandb

        self.remote.log({name: wandb.Table(columns=table.header, data=table.rows), STEP: step})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the run's identifier."""
        checkpoint[KEY] = self.id

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the run that the checkpoint is of."""
        self.id = str(checkpoint.get(KEY, self.id))

    def finalize(self, status: str) -> None:
        """Mark a failed run as one; others are finished by `close`: after training they are tested."""
        if status != "success":
            self.finish(1)

    def close(self) -> None:
        """Finish the run."""
        self.finish(0)

    def finish(self, exit_code: int) -> None:
        """End what was begun, if anything was."""
        if self._remote is not None:
            self._remote.finish(exit_code=exit_code)
            self._remote = None

"""A run's metrics, images, figures, texts and tables on Weights & Biases."""

import html
import inspect
import os
import secrets
from collections import deque
from pathlib import Path
from typing import Any

from torch import Tensor

from callbacks.loggers.logger import Table
from callbacks.loggers.remote import LoggerError, RemoteLogger, described
from callbacks.run.run_folder import RunFolder

STEP = "trainer/global_step"  # the x-axis, named as by Lightning; W&B's own steps could not be logged again
NO_PROMPT = {"prompt": False}
ROWS = "wandb_rows"  # in a checkpoint
RECENT = 300  # rows: W&B writes blocks of 32 KB, and what a killed process has not written of one is lost
SHORT_PROMPT = {"timeout": 60, "force": True}  # where a version knows no other


class WandbLogger(RemoteLogger):
    """Logs to https://wandb.ai; WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE and other variables of W&B's say where and how.

    A resumed run continues the same one there. What it logs again has the values that it had: exactly the same points.
    (Lightning's own starts before it is known which run is resumed.) After a kill the newest scalars are logged again.

    Args:
        run: the run's folder.
    """

    package = "wandb"
    key = "wandb_id"

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self._remote: Any = None
        self._kinds: dict[str, str] = {}  # of what is shown by a name: W&B shows one
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)

    def check(self) -> None:
        """Log in, without a question on the screen; not where nothing is sent.

        Raises:
            LoggerError: there is no key, or it is none.
        """
        import wandb  # only where it is used

        mode = wandb.setup().settings.mode
        if mode == "disabled":
            raise LoggerError("--logger wandb: W&B is disabled, by WANDB_MODE or its settings; leave wandb out")
        if mode == "offline":
            return
        quietly = NO_PROMPT if "prompt" in inspect.signature(wandb.login).parameters else SHORT_PROMPT
        try:
            # Not verified here: after a request in vain W&B's process may never end. `init` has a time limit.
            if wandb.login(verify=False, **quietly):
                return
        except wandb.errors.UsageError:  # of a version that asks, where there is nobody to answer
            pass
        except wandb.errors.Error as error:
            problem = described(error).rstrip(".")
            raise LoggerError(f"--logger wandb: {problem}; WANDB_MODE=offline logs without a server") from error
        raise LoggerError(
            "--logger wandb: no API key is known; `wandb login` or WANDB_API_KEY gives one, and WANDB_MODE=offline "
            "logs without any"
        )

    @property
    def remote(self) -> Any:
        """The run of W&B's; starts it."""
        if self._remote is None:
            import wandb

            self.keep_id(self.known_id() or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(8))
            self._remote = wandb.init(
                dir=os.environ.get("WANDB_DIR") or self.save_dir,
                id=self.id,
                name=os.environ.get("WANDB_NAME") or self.run_name,
                resume="allow",
                reinit="create_new",
            )
            self._remote.define_metric(STEP)
            self._remote.define_metric("*", step_metric=STEP)
            if self._mark.exists():
                for row in self._recent:
                    self._remote.log(row)
            self._mark.touch()
        return self._remote

    @property
    def _mark(self) -> Path:
        """The file that is there until the run of W&B's is finished."""
        return self.run.path / ".wandb_unfinished"

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Log the settings."""
        self.remote.config.update(settings, allow_val_change=True)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""
        row = {**{name: float(value) for name, value in metrics.items()}, STEP: step}
        self.remote.log(row)
        self._recent.append(row)

    def log_best(self, name: str, value: float, step: int) -> None:
        """Set the best value so far of the monitored metric, in the table of runs."""
        self.remote.summary[name] = value

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, (C, H, W), from 0 to 1."""
        import wandb
        from torchvision.transforms.functional import to_pil_image

        self.remote.log({self._key(name, "image"): wandb.Image(to_pil_image(image.clamp(0, 1))), STEP: step})

    def log_text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in Markdown, as it is."""
        import wandb

        shown = wandb.Html(f"<pre>{html.escape(markdown)}</pre>")
        self.remote.log({self._key(name, "text"): shown, STEP: step})

    def log_table(self, name: str, table: Table, step: int) -> None:
        """Log a table."""
        import wandb

        shown = wandb.Table(columns=table.header, data=table.rows)
        self.remote.log({self._key(name, "table"): shown, STEP: step})

    def _key(self, name: str, kind: str) -> str:
        return name if self._kinds.setdefault(name, kind) == kind else f"{name} {kind}"

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the run's identifier, and the newest scalars."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[ROWS] = [dict(row) for row in self._recent]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the run that the checkpoint is of."""
        super().on_load_checkpoint(checkpoint)
        self._recent = deque(checkpoint.get(ROWS, []), RECENT)

    def finalize(self, status: str) -> None:
        """Mark a failed run as one; others are finished by `close`: after training they are tested."""
        if status != "success":
            self.finish(1)

    def close(self) -> None:
        """Finish the run."""
        self.finish(0)
        super().close()

    def finish(self, exit_code: int) -> None:
        """End what was begun, if anything was."""
        if self._remote is not None:
            self._remote.finish(exit_code=exit_code)
            self._remote = None
            self._mark.unlink(missing_ok=True)

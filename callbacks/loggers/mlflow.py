"""A run's metrics, images, figures, texts and tables on an MLflow server, or in its local files."""

import os
import time
from typing import Any

from torch import Tensor

from callbacks.loggers.logger import Logger
from callbacks.run.run_folder import RunFolder

KEY = "mlflow_run_id"  # in a checkpoint


class MLflowLogger(Logger):
    """Logs to https://mlflow.org's server; MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and other variables say where.

    A resumed run continues the same one there. What it logs again has the values that it had.

    Args:
        run: the run's folder.
    """

    package = "mlflow"

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self.id: str | None = None
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The client of the server; starts the run, or continues it."""
        if self._client is None:
            import mlflow  # only where it is used

            self._client = mlflow.MlflowClient()
            if self.id is None:
                experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "lightning"))
                run = self._client.create_run(experiment.experiment_id, run_name=f"{self.name}/{self.version}")
                self.id = run.info.run_id
            else:
                self._client.update_run(self.id, status="RUNNING")
        return self._client

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Log the settings as tags: parameters could not be changed by a resumed run."""
        for name, value in settings.items():
            self.client.set_tag(self.id, name, value)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(self.id, [Metric(name, float(value), now, step or 0) for name, value in metrics.items()])

    def log_best(self, name: str, value: float, step: int) -> None:
        """Log the best value so far of the monitored metric."""
        self.log_metrics({name: value}, step)

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, (C, H, W), from 0 to 1."""
        from torchvision.transforms.functional import to_pil_image

        self.client.log_image(self.id, to_pil_image(image.clamp(0, 1)), f"{name}/{step}.png")

    def log_figure(self, name: str, figure: Any, step: int) -> None:
        """Log a matplotlib figure."""
        self.client.log_figure(self.id, figure, f"{name}/{step}.png")

    def log_text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in Markdown; tables, too: MLflow's own would need pandas."""
        self.client.log_text(self.id, markdown, f"{name}/{step}.md")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the run's identifier."""
        checkpoint[KEY] = self.id

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue the run that the checkpoint is of."""
        self.id = checkpoint.get(KEY)

    def finalize(self, status: str) -> None:
        """Mark the run as finished or failed; a test that follows is logged nevertheless."""
        if self._client is not None:
            self._client.set_terminated(self.id, "FINISHED" if status == "success" else "FAILED")

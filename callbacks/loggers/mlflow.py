"""A run's metrics, images, figures, texts and tables on an MLflow server, or in its local files."""

import os
import re
import time
from typing import Any

from torch import Tensor

from callbacks.loggers.remote import LoggerError, RemoteLogger
from callbacks.run.run_folder import RunFolder

BATCH = 100  # parameters that a server takes at once
WAITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}  # MLflow's own are minutes


class MLflowLogger(RemoteLogger):
    """Logs to https://mlflow.org's server; MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and other variables say where.

    A resumed run continues the same one there. What it logs again has the values that it had.

    Args:
        run: the run's folder.
    """

    package = "mlflow"
    key = "mlflow_run_id"

    def __init__(self, run: RunFolder) -> None:
        super().__init__(run)
        self._client: Any = None
        self._is_started = False

    def check(self) -> None:
        """Ask the server for anything."""
        self._connected().search_experiments(max_results=1)

    def _connected(self) -> Any:
        if self._client is None:
            import mlflow  # only where it is used

            for name, value in WAITS.items():
                os.environ.setdefault(name, value)
            self._client = mlflow.MlflowClient()
        return self._client

    @property
    def client(self) -> Any:
        """The client of the server; starts the run, or continues it."""
        client = self._connected()
        if not self._is_started:
            known = self.known_id()
            if known is None:
                name = os.environ.get("MLFLOW_RUN_NAME") or self.run_name
                known = client.create_run(_experiment(client), run_name=name).info.run_id
            else:
                self._continue(client, known)
            self.keep_id(known)
            self._is_started = True
        return client

    def _continue(self, client: Any, known: str) -> None:
        import mlflow

        try:
            client.update_run(known, status="RUNNING")
        except mlflow.exceptions.MlflowException as error:
            raise LoggerError(
                f"--logger mlflow: run {known}, which is to be continued, is not at {mlflow.get_tracking_uri()} "
                f"({error}); set MLFLOW_TRACKING_URI to where it is, or delete {self.run.path / 'mlflow_id'}"
            ) from error

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Log the settings as parameters; one that a resumed run changes, which MLflow refuses, as a tag."""
        from mlflow.entities import Param

        logged = self.client.get_run(self.id).data.params
        new = [Param(name, str(value)) for name, value in settings.items() if name not in logged]
        for start in range(0, len(new), BATCH):
            self.client.log_batch(self.id, params=new[start : start + BATCH])
        for name, value in settings.items():
            if name in logged and logged[name] != str(value):
                self.client.set_tag(self.id, name, value)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(
            self.id, [Metric(permitted(name), float(value), now, step or 0) for name, value in metrics.items()]
        )

    def log_best(self, name: str, value: float, step: int) -> None:
        """Log the best value so far of the monitored metric."""
        self.log_metrics({name: value}, step)

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, (C, H, W), from 0 to 1."""
        from torchvision.transforms.functional import to_pil_image

        self.client.log_image(self.id, to_pil_image(image.clamp(0, 1)), f"{permitted(name)}/{step}.png")

    def log_text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in Markdown; tables, too: MLflow's own would need pandas."""
        self.client.log_text(self.id, markdown, f"{permitted(name)}/{step}.md")

    def finalize(self, status: str) -> None:
        """Mark the run as finished or failed; a test that follows is logged nevertheless."""
        if self._is_started:
            self._client.set_terminated(self.id, "FINISHED" if status == "success" else "FAILED")


def permitted(name: str) -> str:
    """A name with an underscore in place of each character that MLflow refuses, such as those of `loss (train)`."""
    return re.sub(r"[^\w/. -]", "_", name)


def _experiment(client: Any) -> str:
    """The identifier of the experiment that the environment names, which is created if there is none of this name."""
    name, identifier = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
    if identifier and not name:
        return identifier
    name = name or "lightning"
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except Exception:  # another run may have created it meanwhile
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)

"""Whether runs were trained and tested on the same data."""

from typing import Any

from scripts.cli.runs.changed_settings import section
from scripts.cli.runs.recorded_run import RecordedRun

# Settings of the data that decide which examples are tested and validated on.
OF_SPLITS = ("split_seed", "val_fraction", "test_fraction", "num_folds", "fold")


def split_settings(run: RecordedRun) -> dict[str, Any]:
    """What decides which examples of the data set are in which split; None for what a run does not tell."""
    return {f"data.{name}": run.all_settings.get(f"data.{name}") for name in OF_SPLITS}


def data_class(run: RecordedRun) -> str:
    """The class that reads the data; empty where the run does not tell."""
    return str(section(run.config, "data").get("class_path") or "")

"""Whether runs were trained and tested on the same data."""

from collections.abc import Sequence
from typing import Any

from scripts.cli.runs.changed_settings import section
from scripts.cli.runs.recorded_run import RecordedRun

# Settings of the data that decide which of its examples are tested on, and which are validated on.
OF_TEST_SPLIT = ("data.split_seed", "data.test_fraction", "data.num_folds", "data.fold")
OF_SPLITS = (*OF_TEST_SPLIT, "data.val_fraction")


def split_settings(run: RecordedRun, names: Sequence[str] = OF_SPLITS) -> dict[str, Any]:
    """What decides which examples of the data set are in which split; None for what a run does not tell."""
    return {name: run.all_settings.get(name) for name in names}


def data_class(run: RecordedRun) -> str:
    """The class that reads the data; empty where the run does not tell."""
    return str(section(run.config, "data").get("class_path") or "")

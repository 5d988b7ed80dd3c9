"""What TensorBoard itself makes of the rows of several runs."""

import re
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.get_experiment import Handler as ExperimentHandler
from tensorboard.plugins.hparams.list_session_groups import Handler as GroupsHandler

from callbacks.loggers.run_table import FILE, RunTable
from callbacks.loggers.tensorboard import TensorBoardLogger
from callbacks.run.run_folder import RunFolder

METRICS = ["best/val/f1", "test/loss", "test/f1"]
STATUSES = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]


def context(logs: Path) -> TBContext:
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    return TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(logs)), logdir=str(logs))


def columns(logs: Path) -> list[tuple[str, str, bool]]:
    """The table's columns but the metrics', in their order, each with its type and whether runs differ in it."""
    request = api_pb2.GetExperimentRequest(include_metrics=False)
    found = ExperimentHandler(RequestContext(), Context(context(logs)), "", request).run()
    return [(info.name, api_pb2.DataType.Name(info.type), info.differs) for info in found.hparam_infos]


def rows(logs: Path) -> dict[str, dict[str, Any]]:
    """The values and the status of each run."""
    request = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=[api_pb2.Status.Value(status) for status in STATUSES], slice_size=10, start_index=0
    )
    found = GroupsHandler(RequestContext(), Context(context(logs)), "", request).run()
    return {
        group.name: {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()}
        | {"status": [api_pb2.Status.Name(session.status) for session in group.sessions]}
        for group in found.session_groups
    }


def begun(folder: Path, row: dict[str, Any]) -> TensorBoardLogger:
    folder.mkdir(parents=True, exist_ok=True)
    logger = TensorBoardLogger(RunFolder(folder))
    logger.log_row({"model": "mlp", "data": "iris", "seed": 0, **row})
    logger.begin({}, METRICS)
    return logger


def ended(folder: Path, row: dict[str, Any], f1: float) -> None:
    logger = begun(folder, row)
    logger.log_best("best/val/f1", f1, 3)
    logger.finalize("success")
    logger.log_metrics({"test/loss": 1 - f1, "test/f1": f1 - 0.1, "baseline/f1": 0.2}, 4)
    logger.finalize("success")


def test_scores_come_first_and_then_the_settings_that_differ(tmp_path: Path) -> None:
    ended(tmp_path / "version_0", {}, 0.5)
    ended(tmp_path / "version_1", {"model.optimizer.lr": 0.01, "data.augment": True}, 0.75)
    ended(tmp_path / "version_2", {"model.optimizer.lr": 0.1}, 0.625)
    found = columns(tmp_path)
    assert [name for name, _, _ in found] == [
        *("Best val/f1", "Test f1", "model.optimizer.lr", "test/loss"),  # in which runs differ
        *("data", "data.augment", "model", "seed", "test/f1 (baseline)"),
    ]
    kinds = {name: kind for name, kind, _ in found}
    assert kinds["model.optimizer.lr"] == kinds["Best val/f1"] == kinds["seed"] == "DATA_TYPE_FLOAT64"
    assert (kinds["data.augment"], kinds["model"]) == ("DATA_TYPE_BOOL", "DATA_TYPE_STRING")
    table = rows(tmp_path)
    assert [table[name].get("model.optimizer.lr") for name in sorted(table)] == [None, 0.01, 0.1]
    assert [table[name]["Best val/f1"] for name in sorted(table)] == [0.5, 0.75, 0.625]


def test_a_run_is_in_the_table_from_its_start_and_once_after_a_stop(tmp_path: Path) -> None:
    folder = tmp_path / "version_0"
    first = begun(folder, {})
    assert rows(tmp_path) == {"version_0": {"model": "mlp", "data": "iris", "seed": 0, "status": ["STATUS_UNKNOWN"]}}
    first.log_best("best/val/f1", 0.5, 3)
    first.finalize("failed")
    assert rows(tmp_path)["version_0"]["status"] == ["STATUS_FAILURE"]
    resumed = TensorBoardLogger(RunFolder(folder))
    resumed.on_load_checkpoint({"global_step": 4})
    resumed.log_row({"best/val/f1": 0.5, "model": "mlp"})  # which is better than any that follows
    resumed.begin({}, METRICS)
    resumed.finalize("success")
    resumed.log_metrics({"test/f1": 0.25}, 9)
    resumed.finalize("success")
    row = {"Best val/f1": 0.5, "Test f1": 0.25, "model": "mlp", "status": ["STATUS_SUCCESS"]}
    assert rows(tmp_path) == {"version_0": row}
    assert [file.name for file in folder.glob("*.table")] == [FILE]


def test_no_row_has_what_json_cannot_represent(tmp_path: Path) -> None:
    logger = begun(tmp_path / "version_0", {"data": "caf\udce9"})
    logger.log_best("best/val/f1", float("nan"), 3)
    logger.finalize("success")
    row = rows(tmp_path)["version_0"]
    assert "Best val/f1" not in row
    assert row["data"].encode()


def test_a_logger_that_has_begun_nothing_writes_no_row(tmp_path: Path) -> None:
    logger = TensorBoardLogger(RunFolder(tmp_path))
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finalize("success")
    assert not (tmp_path / FILE).exists()


def test_the_end_of_a_run_whose_folder_is_gone_is_no_second_error(tmp_path: Path) -> None:
    logger = begun(tmp_path / "version_0", {})
    (tmp_path / "version_0").rename(tmp_path / "moved")
    logger.finalize("failed")
    assert not (tmp_path / "version_0").exists()


def test_train_and_validation_share_a_chart(tmp_path: Path) -> None:
    ended(tmp_path / "version_0", {}, 0.5)
    (event,) = EventAccumulator(str(tmp_path / "version_0")).Reload().Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(event.tensor_proto.string_val[0]).category
    assert [chart.title for chart in category.chart] == ["loss", "f1"]
    known = ["train/loss", "val/loss", "val/loss_best", "train/f1", "val/f1"]
    shown = [
        [tag for tag in known if any(re.match(each, tag) for each in chart.multiline.tag)] for chart in category.chart
    ]
    assert shown == [["train/loss", "val/loss"], ["train/f1", "val/f1"]]


@pytest.mark.parametrize("monitor", ["val/f1", "train/loss"])
def test_the_test_score_beside_the_best_value_is_of_the_same_metric(monitor: str, tmp_path: Path) -> None:
    table = RunTable(RunFolder(tmp_path))
    table.metrics = [f"best/{monitor}", "test/loss", "test/f1"]
    table.scores = {"test/loss": 1.0, "test/f1": 0.5}
    assert f"Test {monitor.split('/')[1]}" in table.row()
    assert len(table.row()) == 2

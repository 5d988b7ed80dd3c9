"""The private parts of TensorBoard's event files: of the writer, which torch's `SummaryWriter` uses, and of a table."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from datamodules.storage.atomic_file import write_file

_run = _AsyncWriterThread.run


def _run_without_traceback(thread: _AsyncWriterThread) -> None:
    """Write until the disk fails, which the thread keeps for its writer to raise: it need not print it, too."""
    with suppress(OSError):
        _run(thread)


_AsyncWriterThread.run = _run_without_traceback


class OpenFileWriter(SummaryWriter):
    """Writes events into a file that stays open.

    TensorBoard reopens its file by name for each record, in a thread that prints a traceback where the run's folder
    is gone, and creates the file anew in a folder that has taken its place. No public option changes that.
    """

    def _get_file_writer(self) -> Any:
        before = self.file_writer
        writer = super()._get_file_writer()
        if writer is not before:
            writer.flush()  # the thread has nothing to do
            records = writer.event_writer._async_writer._writer
            records._writer = (Path(self.log_dir) / writer.event_writer._file_name).open("ab")  # which it closes
        return writer


def write_events(path: Path, summaries: Iterable[Summary]) -> None:
    """Write a whole event file, or replace one."""
    now = time.time()
    events = [Event(wall_time=now, file_version="brain.Event:2")]
    events += [Event(wall_time=now, summary=summary) for summary in summaries]

    def write(file: Any) -> None:
        records = RecordWriter(file)
        for event in events:
            records.write(event.SerializeToString())

    write_file(path, write)


def session_start(columns: dict[str, Any], began: float) -> Summary:
    """A run's row in the table of runs: a number, a truth value or a text in each column.

    `torch.utils.tensorboard.summary.hparams` would write with it which columns there are, which TensorBoard reads of
    one of all runs. Without that it has the columns of all, and knows those in which the runs differ.

    Args:
        columns: the row.
        began: time of the run's start.
    """
    info = SessionStartInfo(start_time_secs=began)
    for name, value in columns.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = value
    return _of_plugin(metadata.SESSION_START_INFO_TAG, session_start_info=info)


def session_end(success: bool) -> Summary:
    """That a run has ended, and how."""
    status = Status.Value("STATUS_SUCCESS" if success else "STATUS_FAILURE")
    end = SessionEndInfo(status=status, end_time_secs=time.time())
    return _of_plugin(metadata.SESSION_END_INFO_TAG, session_end_info=end)


def _of_plugin(tag: str, **content: Any) -> Summary:
    data = HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME, content=data)
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])

"""The private parts of TensorBoard's event writer, by way of torch's `SummaryWriter`, that its logger replaces."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
from torch.utils.tensorboard import SummaryWriter

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

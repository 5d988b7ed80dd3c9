"""Runs something in a process of its own, so that its crash is a result and not the end of the tests."""

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

MEMORY = 4 * 2**30  # bytes that it may take besides what it has: a forged size should fail, not fill the machine


def died(action: Callable[[], None], said: Path, seconds: int = 60) -> str:
    """How an action ended that should not have: its traceback, its signal or the time that it took; empty if well.

    Args:
        action: called in a fork of this process.
        said: a file for its traceback.
        seconds: that it may take.
    """
    import resource  # not of Windows, where no process is forked

    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            action()
            status = 0
        except BaseException:
            said.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        return f"died of {signal.Signals(-status).name}"
    return said.read_text() if status else ""

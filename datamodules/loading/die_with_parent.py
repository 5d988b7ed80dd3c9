"""Processes that end with their parent, however that one ends."""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1  # from Linux's prctl.h
LAUNCHER = "PROCESS_LAUNCHER"  # the variable with the process id of the launcher, for the processes of a run
LINUX = sys.platform.startswith("linux")
EVERY = 1.0  # seconds between two polls, where the system does not notify


def end_with(parent: int) -> None:
    """Have this process killed when its parent ends, even if that is killed; at once, if it has ended already.

    Linux does so whatever the state of this process, even if it is stopped: as soon as the thread that started it ends,
    which has to live as long as the parent. Elsewhere a thread polls; on Windows nothing is done.

    Args:
        parent: process id.
    """
    if os.name != "posix":
        return
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def end_with_launcher() -> None:
    """Have this process, if it is one of several of a run, end with its launcher, from the start.

    Lightning starts all but the first, as children of the first; torchrun starts all of them.
    """
    if "LOCAL_RANK" not in os.environ:
        os.environ[LAUNCHER] = str(os.getpid())
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        end_with(os.getppid())
    elif LAUNCHER in os.environ:
        launcher = int(os.environ[LAUNCHER])
        if os.getppid() == launcher or not is_alive(launcher):
            end_with(launcher)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(128 + signal.SIGKILL)


def is_alive(process: int) -> bool:
    """Whether a process with this id is running or stopped; a zombie is not."""
    state = _state(process)
    if state is not None:
        return state not in ("Z", "X")
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_stopped(process: int) -> bool:
    """Whether a process is stopped, as by SIGSTOP; known on Linux only."""
    return _state(process) in ("T", "t")


def _state(process: int) -> str | None:
    """The letter of its state on Linux; None elsewhere, and where there is no such process."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return None

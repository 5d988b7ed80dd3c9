"""Runs the parts of the GPU check: each in processes of its own, with a time limit, several side by side."""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Figures = dict[str, Any]
PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"
SAID = 12  # lines of a failed part's output that are repeated


class Stage(NamedTuple):
    """What one process of a part does.

    Args:
        run: takes the part's folder and what the stages before it found; returns what it found.
        ends: the exit status that is right, negative for a signal.
    """

    run: Callable[[Path, Figures], Figures]
    ends: int = 0


@dataclass
class Part:
    """A check that passes or fails by itself.

    Args:
        group: exactness, speed or paths.
        name: within its group.
        stages: its processes, one after the other.
        seconds: that all of it may take.
        alone: on the machine, since it is timed.
        status: what came of it.
        found: what its stages returned.
        reason: why it failed or was skipped.
        took: seconds.
    """

    group: str
    name: str
    stages: Sequence[Stage]
    seconds: float = 90
    alone: bool = False
    status: str = SKIPPED
    found: Figures = field(default_factory=dict)
    reason: str = "the time was up"
    took: float = 0

    @property
    def title(self) -> str:
        """The name that `--only` knows."""
        return f"{self.group}/{self.name}"


class Running:
    """A part under way.

    Args:
        part: to run.
        folder: for its files; its log is `log.txt` in it.
        deadline: `time.monotonic()` at which it has to end.
    """

    def __init__(self, part: Part, folder: Path, deadline: float) -> None:
        self.part = part
        self.folder = folder
        self.began = time.monotonic()
        self.deadline = min(deadline, self.began + part.seconds)
        self.stage = 0
        folder.mkdir(parents=True)
        self.process = self._fork()

    def _fork(self) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            os.setsid()  # so that what it starts ends with it
            with (self.folder / "log.txt").open("ab") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
            status = 1
            try:
                found = self.part.stages[self.stage].run(self.folder, self.part.found)
                (self.folder / "found.json").write_text(json.dumps(found), encoding="utf-8")
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        return process

    def ended(self) -> bool:
        """Whether the part is over; begins its next stage when one is."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if not process:
            if time.monotonic() < self.deadline:
                return False
            os.killpg(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            return self._end(f"not done after {time.monotonic() - self.began:.0f} s")
        with suppress(ProcessLookupError):  # what it has left behind
            os.killpg(process, signal.SIGKILL)
        stage = self.part.stages[self.stage]
        status = os.waitstatus_to_exitcode(status)
        if status != stage.ends:
            return self._end(f"stage {self.stage + 1} of {len(self.part.stages)}: status {status}, not {stage.ends}")
        found = self.folder / "found.json"
        if found.exists():
            self.part.found |= json.loads(found.read_text(encoding="utf-8"))
            found.unlink()
        self.stage += 1
        if self.stage == len(self.part.stages):
            return self._end("")
        self.process = self._fork()
        return False

    def _end(self, reason: str) -> bool:
        self.part.status, self.part.reason = FAILED if reason else PASSED, reason
        self.part.took = time.monotonic() - self.began
        return True

    def said(self) -> list[str]:
        """The last lines of its output."""
        text = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        return [line[:300] for line in text.splitlines() if line.strip()][-SAID:]


def run_all(parts: Sequence[Part], folder: Path, deadline: float, jobs: int, say: Callable[[str], None]) -> None:
    """Run parts in their order, so many at a time; what has no time left is skipped.

    Args:
        parts: to run; their results are written into them.
        folder: for their files.
        deadline: `time.monotonic()` at which all have to end.
        jobs: how many run side by side, those that are timed aside.
        say: prints a line.
    """
    waiting, running = list(parts), list[Running]()
    while running or (waiting and time.monotonic() < deadline):
        while waiting and time.monotonic() < deadline and _has_room(waiting[0], running, jobs):
            part = waiting.pop(0)
            running.append(Running(part, folder / part.group / part.name, deadline))
        for run in [run for run in running if run.ended()]:
            running.remove(run)
            part = run.part
            say(f"{part.status:7}  {part.title}  {part.took:.1f} s  {part.reason}".rstrip())
            if part.status == FAILED:
                for line in run.said():
                    say(f"         | {line}")
        time.sleep(0.05)


def _has_room(part: Part, running: Sequence[Running], jobs: int) -> bool:
    if part.alone or any(run.part.alone for run in running):
        return not running
    return len(running) < jobs

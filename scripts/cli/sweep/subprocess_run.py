"""A trial of a sweep, or a fold: one run of fit.py, a process of its own, whose metric is read as it trains."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.run.files import read_json
from scripts.cli.sweep.plan import Plan, allow_words

FIT = ROOT / "scripts" / "fit.py"
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
PROGRESS_BAR = "--trainer.enable_progress_bar"
GRACE = 60  # seconds that a run has to save and end
POLL_INTERVAL = 0.2  # seconds


def results_of(run: Path) -> dict[str, Any] | None:
    """The content of a run's `results.json`; None while it has not come to its end."""
    path = run / "results.json"
    return read_json(path) if path.exists() else None


class SubprocessRun:
    """A run that has been started.

    Args:
        plan: that it is a part of; nothing is imported from its folder but what it allows.
        words: of fit.py's command line.
        folder: for its logs, and for `output.txt`, what it prints.
        monitor: the metric that is read.
    """

    def __init__(self, plan: Plan, words: list[str], folder: Path, monitor: str = "") -> None:
        if not CommandLine(plan.words).mentions(PROGRESS_BAR):
            words = [*words, PROGRESS_BAR, "false"]
        words = [*words, *allow_words(plan.allowed)]
        self.run = folder / plan.name / "version_0"
        self.output = folder / "output.txt"
        self.monitor = monitor
        folder.mkdir(parents=True, exist_ok=True)
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(DIE_WITH_PARENT), str(os.getpid()), str(FIT), *words, "--logs", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=plan.place,
                start_new_session=True,  # Ctrl-C reaches this process alone, which stops its run
            )

    def ended(self, timeout: float) -> bool:
        """Whether the run ends within so many seconds."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def values(self) -> list[float]:
        """The metric's values so far, one a validation (or an epoch)."""
        path = self.run / "metrics.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            cells = [row.get(self.monitor) for row in csv.DictReader(file)]
        return [float(cell) for cell in cells if cell]

    def watch(self, should_prune: Callable[[list[float]], bool], stopped: Callable[[], bool]) -> bool:
        """Wait for the run's end; stop it as soon as it is to be pruned, or a signal has stopped the sweep.

        Args:
            should_prune: the decision from the values so far.
            stopped: whether a signal has come.

        Returns:
            Whether the run is pruned, which does not depend on how soon its values were seen.
        """
        while not self.ended(POLL_INTERVAL):
            if stopped():
                self.stop()
                return False
            if should_prune(self.values()):
                self.stop()
                return True
        return should_prune(self.values())

    def stop(self) -> None:
        """Ask the run to end; kill it if it does not."""
        self.process.send_signal(signal.SIGTERM)
        if not self.ended(GRACE):
            self.process.kill()  # its own child processes end with it
            self.process.wait()

    def cause(self) -> str:
        """Why the run failed: the last line that it printed, or the signal that killed it."""
        status = self.process.returncode
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        lines = [line.strip() for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {status}"

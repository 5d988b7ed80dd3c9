"""A trial of a sweep, or a fold: one run of fit.py, a process of its own, whose metric is read as it goes."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from callbacks.run.signals import Signals
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.run.folder import read_json
from scripts.cli.sweep.plan import allow_words

FIT = ROOT / "scripts" / "fit.py"
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
GRACE = 60  # seconds that a run has to save and end
EVERY = 0.2  # seconds between two looks at a run


class TrialRun:
    """A run that has been started.

    Args:
        words: of fit.py's command line.
        folder: for its logs, and for `output.txt`, what it prints.
        name: of the model.
        monitor: the metric that is read.
        place: the folder that its paths are relative to; nothing is imported from there but what is allowed.
        allowed: what the user's command line allows it to import.
    """

    def __init__(
        self, words: list[str], folder: Path, name: str, monitor: str, place: str, allowed: list[str] | None = None
    ) -> None:
        words = [*words, *allow_words(allowed or [])]
        self.run = folder / name / "version_0"
        self.output = folder / "output.txt"
        self.monitor = monitor
        folder.mkdir(parents=True, exist_ok=True)
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(DIE_WITH_PARENT), str(os.getpid()), str(FIT), *words, "--logs", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=place,
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which stops its trial
            )

    @property
    def going(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def values(self) -> list[float]:
        """The metric's values so far, one a validation (or an epoch)."""
        path = self.run / "metrics.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            cells = [row.get(self.monitor) for row in csv.DictReader(file)]
        return [float(cell) for cell in cells if cell]

    def best(self) -> float | None:
        """The best value, once the run has come to its end."""
        path = self.run / "results.json"
        return read_json(path)["best"] if path.exists() else None

    def watch(self, hopeless: Callable[[list[float]], bool], stopped: Callable[[], bool]) -> bool:
        """Wait for the run's end; stop it as soon as it is hopeless, or a signal has stopped the sweep.

        Args:
            hopeless: what is thought of the values so far.
            stopped: whether the sweep is to end.

        Returns:
            Whether it was hopeless; what is thought does not depend on how fast this was seen.
        """
        while self.going:
            time.sleep(EVERY)
            if stopped():
                self.stop()
                return False
            if hopeless(self.values()):
                self.stop()
                return True
        return hopeless(self.values())

    def stop(self) -> None:
        """Ask it to end, and make it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()  # what it has started ends with it
            self.process.wait()

    def cause(self) -> str:
        """Why it failed: the last line that it printed, or the signal that killed it."""
        status = self.process.returncode
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        lines = [line.strip() for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {status}"


@contextmanager
def minded() -> Iterator[Signals]:
    """Within this, a signal that asks for the end is noted."""
    signals = Signals()
    signals.install()
    try:
        yield signals
    finally:
        signals.uninstall()

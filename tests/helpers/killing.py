"""Kills a run again and again, and resumes it each time; started by test_stops.py, prints what differs in the end.

Each run is a real process, forked from this one, which has imported all that it needs: so a start takes no time.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from callbacks.run.checkpoint_file import HashingFile
from tests.helpers.stopping import compare, train
from tests.helpers.undrawn import draw

WORDS = [
    *("--model", "mlp", "--trainer.max_epochs", "40", "--data.batch_size", "32", "--model.dropout", "0.2"),
    *("--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--save_every", "3 steps"),
]


def forked(words: list[str], before: Callable[[], None] = lambda: None) -> int:
    """The process that runs the words."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            before()
            status = train(words)
        finally:
            os._exit(status)
    return process


def ended(process: int) -> int:
    """How it ended: its exit status, or the negative of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def dies_in_save(moment: str, count: int) -> Callable[[], None]:
    """Has the process kill itself in its `count`-th save.

    Args:
        moment: `writing`, with half of a file written; `naming`, with the file whole but without its name; `keeping`,
            between the two names of the last checkpoint.
        count: of saves.
    """

    def prepare() -> None:
        left = [count]

        def dying(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments, **options)

            return wrapped

        if moment == "writing":
            patch.object(HashingFile, "write", dying(HashingFile.write)).start()  # for as long as this process lives
        elif moment == "naming":
            patch.object(os, "fsync", dying(os.fsync)).start()
        else:
            patch.object(os, "link", dying(os.link)).start()

    return prepare


def newest(run: Path) -> int:
    """When the last checkpoint was written."""
    file = run / "checkpoints" / "last.ckpt"
    return file.stat().st_mtime_ns if file.exists() else 0


def main(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """How the run that was killed differs from the one that was not."""
    draw(really=False)
    whole, pieces = (folder / kind / "mlp" / "version_0" for kind in ("whole", "pieces"))
    assert ended(forked([*WORDS, "--logs", str(folder / "whole")])) == 0
    dice = random.Random(seed)
    killed = 0
    inside = [("writing", 30), ("naming", 3), ("keeping", 2), ("writing", 5), ("naming", 2), ("keeping", 1)]
    first = [*WORDS, "--logs", str(folder / "pieces")]
    while killed < kills:
        saved = any(pieces.glob("checkpoints/*.ckpt"))
        if pieces.exists() and not saved:  # nothing to resume: as if it had never been started
            for file in sorted(pieces.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            pieces.rmdir()
        words = ["--resume", str(pieces)] if saved else first
        if saved and inside:
            status = ended(forked(words, dies_in_save(*inside.pop())))
        else:
            before = newest(pieces)
            process = forked(words)
            if dice.random() < 0.8:  # when it trains; else wherever it is by then
                while (
                    newest(pieces) == before
                    and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
                ):
                    time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.3))
            os.kill(process, signal.SIGKILL)
            status = ended(process)
        killed += status == -signal.SIGKILL
        if status == 0:
            break
    if not (pieces / "results.json").exists():
        assert ended(forked(["--resume", str(pieces)])) == 0
    left = [file.name for file in (pieces / "checkpoints").iterdir() if file.name.startswith(".")]
    return {"killed": killed, "unlike": compare(whole, pieces), "left": left}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))), file=sys.stderr)

"""One process of two, each of which finds other data under the same path; test_processes.py starts it."""

import json
import os
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path

from torch import distributed

from scripts.fit import main as fit
from scripts.test import main as test
from tests.helpers.small_data import written
from tests.helpers.stopping import SHORT

TABLE = ["age,height,label", *(f"{n},{n % 7},{'yes' if n % 3 else 'no'}" for n in range(90))]
CHANGES = {  # of the second process's table
    "nothing": ("", ""),
    "a feature": ("\n8,1,", "\n8,2,"),
    "a label": ("\n8,1,yes", "\n8,1,no"),
    "a class": ("yes", "maybe"),
    "a row": ("\n89,5,yes", ""),
}


def ended(action: Callable[[], object]) -> dict[str, object]:
    """The exit status of a run or test, and what it said of errors."""
    said, status = StringIO(), 0
    with redirect_stderr(said):
        try:
            action()
        except SystemExit as stop:
            status = int(stop.code or 0)
    return {"status": status, "said": said.getvalue()}


def main(folder: Path) -> None:
    """Write what came of each change, and of a test, as this process saw it."""
    rank = int(os.environ["LOCAL_RANK"])
    found = {}
    for index, (name, (before, now)) in enumerate(CHANGES.items()):
        here = folder / f"rank {rank}" / str(index)
        here.mkdir(parents=True)
        text = "\n".join(TABLE)
        written(here / "table.csv", text.replace(before, now) if rank else text)
        os.chdir(here)
        words = ["--data", "table.csv", "--logs", str(folder / "logs" / str(index))]
        found[name] = ended(partial(fit, ["--model", "mlp", *SHORT, "--data.batch_size", "8", *words]))
    checkpoint = str(folder / "logs" / "0" / "mlp" / "version_0")
    # In the folder where one process has a row less.
    found["a row, in testing"] = ended(partial(test, ["--checkpoint", checkpoint, "--data", "table.csv"]))
    (folder / f"found {rank}.json").write_text(json.dumps(found))
    distributed.barrier()

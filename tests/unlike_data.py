"""One process of two, each of which finds other data under the same path; test_processes.py starts it with torchrun."""

import json
import os
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from torch import distributed

from scripts.cli.recipes import resolve
from scripts.cli.testing import test
from scripts.cli.training import fit
from tests.small_data import written
from tests.stopping import SHORT

TABLE = ["age,height,label", *(f"{n},{n % 7},{'yes' if n % 3 else 'no'}" for n in range(90))]
CHANGES = {  # of the second process's table
    "nothing": ("", ""),
    "a feature": ("\n8,1,", "\n8,2,"),
    "a label": ("\n8,1,yes", "\n8,1,no"),
    "a class": ("yes", "maybe"),
    "a row": ("\n89,5,yes", ""),
}


def status_of(folder: Path, *words: str) -> dict[str, object]:
    said = StringIO()
    with redirect_stderr(said):
        try:
            fit(resolve(["--model", "mlp", *SHORT, "--data.batch_size", "8", "--data", "table.csv", *words]))
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
    return {"status": status, "said": said.getvalue()}


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(os.environ["LOCAL_RANK"])
    found = {}
    for number, (name, (before, now)) in enumerate(CHANGES.items()):
        here = folder / f"rank {rank}" / str(number)
        here.mkdir(parents=True)
        text = "\n".join(TABLE)
        written(here / "table.csv", text.replace(before, now) if rank else text)
        os.chdir(here)
        found[name] = status_of(here, "--logs", str(folder / "logs" / str(number)))
    checkpoint = str(folder / "logs" / "0" / "mlp" / "version_0")
    said = StringIO()
    with redirect_stderr(said):
        try:
            test([checkpoint], None, "table.csv", [], debug=False)  # in the folder where one process has a row less
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
    found["a row, in testing"] = {"status": status, "said": said.getvalue()}
    (folder / f"found {rank}.json").write_text(json.dumps(found))
    distributed.barrier()

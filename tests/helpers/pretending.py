"""Stands in for fit.py in the tests of sweeps: a process that writes what a run writes, in no time.

Its metric falls by an exponent of --model.dropout; a --data.batch_size of 64 has it crash, one of 128 wait for ever.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main(words: list[str]) -> None:
    given = dict(zip(words[::2], words[1::2], strict=True))
    run = Path(given["--logs"]) / given["--model"] / "version_0"
    run.mkdir(parents=True)
    (run / "process").write_text(str(os.getpid()))
    if given.get("--data.batch_size") == "64":
        print("something")
        print("error: this is why", file=sys.stderr)
        raise SystemExit(2)
    epochs = int(given.get("--trainer.max_epochs", 3))
    values = [2.0 ** (-float(given["--model.dropout"]) * epoch) for epoch in range(epochs)]
    rows = ["epoch,step,train/loss,val/loss"]
    for epoch, value in enumerate(values):
        rows += [f"{epoch},{epoch},0.5,", f"{epoch},{epoch},,{value}"]
        (run / "metrics.tmp").write_text("\n".join(rows) + "\n")
        (run / "metrics.tmp").replace(run / "metrics.csv")
        if epoch == 3:
            time.sleep(float(os.environ.get("PRETEND_SECONDS", "0")))
    if given.get("--data.batch_size") == "128" and not os.environ.get("PRETEND_SHORT"):
        signal.pause()
    (run / "results.json").write_text(json.dumps({"best": min(values)}))


if __name__ == "__main__":
    main(sys.argv[1:])

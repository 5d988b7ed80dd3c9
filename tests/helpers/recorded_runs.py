"""Folders of runs as training leaves them, written without training."""

import csv
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from scripts.cli.command_line.options import parse, resolved
from scripts.cli.command_line.recipes import dump, resolve

SCORES = {"accuracy": 0.9, "f1": 0.8, "loss": 0.4}
ROWS = (
    "epoch,step,train/loss,val/accuracy,val/loss",
    "0,0,1.5,,",
    "0,1,1.0,0.5,0.9",
    "1,3,0.5,0.75,0.6",
)


@cache
def configuration(*words: str) -> str:
    """The text of the `config.yaml` of a run with these words."""
    request = resolve(list(words))
    _, config = parse(request)
    return dump(resolved(request, config))


def write_run(
    folder: Path,
    words: Sequence[str] = ("--model", "mlp", "--data", "iris"),
    test: Mapping[str, float] | None = SCORES,
    best: float | None = 0.5,
    checkpoints: Sequence[str] = ("best", "last"),
    **results: Any,
) -> Path:
    """Write a run's folder.

    Args:
        folder: of the run.
        words: of its command line.
        test: its test scores; None of a run that has not come to its end.
        best: the monitored metric's best value.
        checkpoints: names of its checkpoints.
        results: further entries of its results.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = configuration(*words)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    (folder / "metrics.csv").write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    (folder / ".lock").write_text("1\n\nanother\n", encoding="utf-8")
    if checkpoints:
        (folder / "checkpoints").mkdir(exist_ok=True)
    for name in checkpoints:
        (folder / "checkpoints" / f"{name}.ckpt").write_bytes(name.encode() * 1000)
    if test is not None:
        content = {
            "model": words[words.index("--model") + 1],
            "data": words[words.index("--data") + 1],
            "seed": 0,
            "test": dict(test),
            "baseline": {},
            "monitor": "val/loss",
            "best": best,
            "train_seconds": 12.0,
            "examples_per_second": 100.0,
            "best_checkpoint": str(folder / "checkpoints" / "best.ckpt"),
            "partial": {},
        } | results
        (folder / "results.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return folder


def write_predictions(folder: Path, scores: Mapping[str, Any], targets: Sequence[Any] | None = None) -> None:
    """Write a run's test_predictions.csv, the example of the last score first.

    Args:
        folder: of the run.
        scores: those of the examples, in the order of the test split, by the columns' names.
        targets: of the examples; by default their indices.
    """
    size = len(next(iter(scores.values())))
    with (folder / "test_predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "name", "target", "prediction", *scores])
        for index in reversed(range(size)):
            target = index if targets is None else targets[index]
            writer.writerow([index, "", target, "?", *(values[index] for values in scores.values())])

"""From a checkpoint alone to a model and its data: what `test.py` and `predict.py` share."""

import csv
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch import LightningModule, Trainer
from torch import distributed

from callbacks.checkpoint_file import CheckpointError, read_checkpoint
from callbacks.progress import Progress
from datamodules.base import DataModule
from datamodules.catalogue import known_datasets
from scripts.cli.allocator import keep_memory
from scripts.cli.build import build_data, build_model, pick_precision, quiet
from scripts.cli.errors import UsageError, one_line_errors
from scripts.cli.launch import environment_plugins, pick_strategy, wait_for_others
from scripts.cli.options import parse
from scripts.cli.recipes import Config, Request, check_dataset, merge, sections
from scripts.cli.runs import find_checkpoint, other_checkpoint
from scripts.cli.training import shown, table


@dataclass
class Trained:
    """A trained model with its data.

    Args:
        data: knows what it learned in training; not yet set up.
        model: with the checkpoint's weights.
        trainer: without logs and checkpoints.
    """

    data: DataModule
    model: LightningModule
    trainer: Trainer


def read(path: Path) -> dict[str, Any]:
    """A checkpoint that scripts/fit.py has written.

    Raises:
        UsageError: it is not one.
    """
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        raise UsageError(f"--checkpoint {path}: {error}{other_checkpoint(path)}") from None
    if "config" not in checkpoint:
        raise UsageError(f"--checkpoint {path}: holds no configuration, which scripts/fit.py saves")
    return checkpoint


def load(checkpoint_path: str, dataset: str | None, arguments: list[str]) -> Trained:
    """Rebuild what a checkpoint describes.

    Args:
        checkpoint_path: a checkpoint, or a run's folder.
        dataset: other data than it was trained on.
        arguments: options that differ now, such as `--data.root` or `--trainer.accelerator`.

    Raises:
        ValueError: the checkpoint, the data or an option is not what it has to be.
    """
    quiet()
    keep_memory()
    if re.match(r"https?://", checkpoint_path):
        raise UsageError(f"--checkpoint {checkpoint_path}: an address; download the file first, from someone you trust")
    checkpoint = read(find_checkpoint(Path(checkpoint_path).expanduser()))
    config: Config = checkpoint["config"]
    paths, plain = sections({key: value for key, value in config.items() if key != "about"}, checkpoint_path)
    if dataset is not None:
        plain = merge(plain, {"data": {"dataset": check_dataset(dataset, known_datasets(paths["data"]))}})
    request = Request(config["about"]["name"], paths["model"], paths["data"], plain, arguments)
    parser, options = parse(request)
    ready = parser.instantiate(options)
    data = build_data(request.data, dict(ready.data))
    state = checkpoint.get(type(data).__qualname__)
    if state is None:
        raise UsageError(f"--checkpoint {checkpoint_path}: was trained without {type(data).__name__}")
    data.load_state_dict(state)
    again = checkpoint.get(
        "rebuild", {}
    )  # arguments that stand for files which may be gone, such as a pretrained model's
    model = build_model(request.model, dict(ready.model) | again, data)
    model.load_state_dict(checkpoint["state_dict"])
    kept = ("accelerator", "devices", "num_nodes", "strategy", "limit_test_batches", "limit_predict_batches")
    given = {name: options.trainer[name] for name in kept}
    trainer = Trainer(
        **given | {"strategy": pick_strategy(given, model, 60 * options.timeout)},
        plugins=[*environment_plugins()],
        precision=pick_precision(ready.trainer.precision, str(ready.trainer.accelerator)),  # type: ignore[arg-type]
        callbacks=[Progress()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return Trained(data, model, trainer)


def test(checkpoint_path: str, dataset: str | None, arguments: list[str], debug: bool) -> dict[str, float]:
    """Print, and return, the test metrics of a checkpoint beside the baseline's.

    Data other than it was trained on is tested whole, unless it has a test split of its own.
    """
    with one_line_errors(debug, (ValueError, OSError)):
        trained = load(checkpoint_path, dataset, arguments)
        trained.data.prepare_data()
        if dataset is None:
            trained.data.setup("test")
        else:
            trained.data.setup_test()
    with one_line_errors(debug):
        metrics = dict(trained.trainer.test(trained.model, trained.data, verbose=False)[0])
    test_metrics = {name[5:]: value for name, value in metrics.items() if name.startswith("test/")}
    baseline = {name[9:]: value for name, value in metrics.items() if name.startswith("baseline/")}
    size = len(trained.data.splits.test) if trained.data.splits else 0
    if trained.trainer.is_global_zero:
        print(f"{shown(Path(checkpoint_path))} on {size} test examples of {trained.data.dataset}\n")
        print(table(test_metrics, baseline))
    wait_for_others(trained.trainer)
    return test_metrics


def predict(checkpoint_path: str, input_path: str, output: str | None, arguments: list[str], debug: bool) -> None:
    """Write a row for each example of the input, in its order, to a CSV or JSONL file or as CSV to the screen."""
    with one_line_errors(debug, (ValueError, OSError)):
        if output is not None and not output.endswith((".csv", ".jsonl")):
            raise UsageError(f"--output {output}: expected a name that ends in .csv or .jsonl")
        trained = load(checkpoint_path, None, arguments)
        trained.data.set_input(Path(input_path).expanduser())
    with one_line_errors(debug):
        batches = trained.trainer.predict(trained.model, trained.data)
    assert batches is not None
    outputs = in_order(trained, [row for batch in batches for row in batch])
    if not trained.trainer.is_global_zero:
        return
    names = trained.data.predicted_names
    assert len(outputs) == len(names), "one prediction an example"
    rows = [{"input": name, **row} for name, row in zip(names, outputs, strict=True)]
    with one_line_errors(debug, (OSError,)):
        write_images(rows, None if output is None else Path(output).with_suffix(""))
    if output is None:
        try:
            write_csv(sys.stdout, rows)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        with one_line_errors(debug, (OSError,)), Path(output).open("w", encoding="utf-8", newline="") as file:
            if output.endswith(".csv"):
                write_csv(file, rows)
            else:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        print(f"{len(rows)} predictions in {output}")
    wait_for_others(trained.trainer)


def in_order(trained: Trained, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The predictions of all processes in the order of the input.

    Args:
        trained: that predicted.
        rows: of this process.
    """
    if trained.trainer.world_size == 1:
        return rows
    gathered: list[Any] = [None] * trained.trainer.world_size
    distributed.all_gather_object(gathered, rows)
    order = [place for places in trained.data.predicted_order() for place in places]
    together = [row for part in gathered for row in part]
    return [row for _, row in sorted(zip(order, together, strict=True), key=lambda pair: pair[0])]


def write_images(rows: list[dict[str, Any]], folder: Path | None) -> None:
    """Put each row's `image`, where there is one, into a file of the folder and its path into the row.

    Args:
        rows: with images as the bytes of PNG files.
        folder: named by the row's number; None to leave images out.
    """
    for number, row in enumerate(rows, start=1):
        image = row.pop("image", None)
        if image is not None and folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{number:05}.png"
            file.write_bytes(image)
            row["image"] = str(file)


def write_csv(file: TextIO, rows: list[dict[str, Any]]) -> None:
    """Rows with a header; `probabilities` become a column `p_<class>` each, lists JSON."""
    flat = [
        {
            **{key: _cell(value) for key, value in row.items() if key != "probabilities"},
            **{f"p_{name}": value for name, value in row.get("probabilities", {}).items()},
        }
        for row in rows
    ]
    writer = csv.DictWriter(file, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value

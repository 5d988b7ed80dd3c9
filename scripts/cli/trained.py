"""From a checkpoint alone to a model and its data: what `test.py`, `predict.py` and `export.py` share."""

import csv
import io
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from callbacks.checkpoint_file import CheckpointError, read_checkpoint
from callbacks.progress import Progress
from callbacks.whole_file import whole_file
from datamodules.base import DataModule
from datamodules.catalogue import known_datasets
from scripts.cli.allocator import keep_memory
from scripts.cli.build import build_data, build_model, pick_precision, prepared, quiet
from scripts.cli.errors import UsageError, one_line_errors
from scripts.cli.launch import agree, environment_plugins, pick_strategy, wait_for_others
from scripts.cli.options import parse
from scripts.cli.recipes import Config, Request, check_dataset, merge, sections
from scripts.cli.runs import find_checkpoint, other_checkpoint
from scripts.cli.training import details, shown, tables


@dataclass
class Trained:
    """A trained model with its data.

    Args:
        data: knows what it learned in training; not yet set up.
        model: with the checkpoint's weights.
        trainer: without logs and checkpoints.
        config: the run's resolved configuration.
    """

    data: DataModule
    model: LightningModule
    trainer: Trainer
    config: Config


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
    prepared(ready, model, data)
    model.load_state_dict(checkpoint["state_dict"])
    kept = ("accelerator", "devices", "num_nodes", "strategy", "limit_test_batches", "limit_predict_batches")
    given = {name: options.trainer[name] for name in kept}
    if given["strategy"] == "fsdp":
        given["strategy"] = "auto"  # without gradients and optimizer there is nothing to share out
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
    return Trained(data, model, trainer, config)


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
        print(tables(test_metrics, baseline, details(trained.model)))
    wait_for_others(trained.trainer)
    return test_metrics


def predict(checkpoint_path: str, input_path: str, output: str | None, arguments: list[str], debug: bool) -> None:
    """Write a row for each example of the input, in its order, to a CSV or JSONL file or as CSV to the screen."""
    with one_line_errors(debug, (ValueError, OSError)):
        if output is not None and not output.endswith((".csv", ".jsonl")):
            raise UsageError(f"--output {output}: expected a name that ends in .csv or .jsonl")
        trained = load(checkpoint_path, None, arguments)
        trained.data.set_input(Path(input_path).expanduser())
        agree(trained.trainer, lambda: None)  # from here on there are as many processes as were asked for
    if not trained.trainer.is_global_zero:
        write_predictions(trained, Writer(trained.data, None), debug)
        return
    if output is None:
        try:
            write_predictions(trained, Writer(trained.data, sys.stdout), debug)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        path = Path(output)
        with one_line_errors(debug, (OSError,)), whole_file(path) as binary:
            file = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
            as_json = output.endswith(".jsonl")
            write_predictions(trained, Writer(trained.data, file, as_json, path.with_suffix("")), debug)
            file.detach()
        print(f"{len(trained.data.predicted_names)} predictions in {output}")
    wait_for_others(trained.trainer)


def write_predictions(trained: Trained, writer: "Writer", debug: bool) -> None:
    """Predict, and write as it goes."""
    trained.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    with one_line_errors(debug):
        trained.trainer.predict(trained.model, trained.data, return_predictions=False)
    assert writer.file is None or writer.written == len(trained.data.predicted_names), "one prediction an example"


class Writer(Callback):
    """Writes each batch's predictions as soon as they are made, so that memory does not grow with their number.

    Of several processes the first writes; the others hand it theirs, batch by batch.

    Args:
        data: what is predicted for.
        file: to write to; None in the other processes.
        as_json: a line of JSON each; otherwise CSV with a header, in which `probabilities` become a column `p_<class>`
            each and lists are JSON.
        images: folder for the `image` of each row, where there is one, under the row's number; None to leave them out.
    """

    def __init__(
        self, data: DataModule, file: TextIO | None, as_json: bool = False, images: Path | None = None
    ) -> None:
        self.data = data
        self.names = iter(data.predicted_names)
        self.file = file
        self.as_json = as_json
        self.images = images
        self.csv: csv.DictWriter[str] | None = None
        self.written = 0
        self.batches = 0

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Write a row for each example of the batch."""
        self.batches += 1
        for row in self.gathered(trainer, outputs):
            self.written += 1
            self.write({"input": str(next(self.names)), **row})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand over nothing of a last batch that had no example for this process."""
        if self.batches < self.data.num_predicted_batches:
            self.gathered(trainer, [])

    def gathered(self, trainer: Trainer, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of a whole batch, which was dealt out example by example; none but in the first process."""
        if trainer.world_size == 1:
            return rows
        parts: list[Any] = [None] * trainer.world_size
        distributed.all_gather_object(parts, rows)
        whole = [parts[place % len(parts)][place // len(parts)] for place in range(sum(map(len, parts)))]
        return [] if self.file is None else whole

    def write(self, row: dict[str, Any]) -> None:
        """Write a row."""
        assert self.file is not None, "the first process writes"
        image = row.pop("image", None)
        if image is not None and self.images is not None:
            self.images.mkdir(parents=True, exist_ok=True)
            row["image"] = str(self.images / f"{self.written:05}.png")
            Path(row["image"]).write_bytes(image)
        if self.as_json:
            self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
            return
        probabilities = row.pop("probabilities", {})
        flat = {key: _cell(value) for key, value in row.items()} | {f"p_{key}": p for key, p in probabilities.items()}
        if self.csv is None:
            self.csv = csv.DictWriter(self.file, list(flat), lineterminator="\n")
            self.csv.writeheader()
        self.csv.writerow(flat)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value

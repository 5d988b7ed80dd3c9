"""From a checkpoint alone to a model and its data: what `test.py`, `predict.py` and `export.py` share."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer

from callbacks.loggers.progress import Progress
from callbacks.run.checkpoint_file import CheckpointError, read_checkpoint
from callbacks.run.processes import SameData
from datamodules.base import DataModule
from datamodules.files.paths import user_path
from datamodules.storage.catalogue import known_datasets
from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import Config, Request, check_dataset, merge, sections
from scripts.cli.distributed.launch import environment_plugins, pick_strategy
from scripts.cli.errors import UsageError
from scripts.cli.run.build import build_data, build_model, pick_precision, prepared, quiet
from scripts.cli.run.checkpoint_content import check_content
from scripts.cli.run.folder import find_checkpoint, other_checkpoint
from scripts.cli.run.memory import keep_memory

# What a checkpoint says of the trainer that still matters. Not the strategy, the callbacks and the profiler: they were
# for training, and what they name is not even looked up.
KEPT = ("accelerator", "devices", "num_nodes", "precision", "limit_test_batches", "limit_predict_batches")


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
    check_content(checkpoint, f"--checkpoint {path}")
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
    checkpoint = read(find_checkpoint(user_path(checkpoint_path, "--checkpoint")))
    request = requested(checkpoint, checkpoint_path, dataset, arguments)
    parser, options = parse(request)
    check_trainer(options.trainer)
    ready = parser.instantiate(options)
    data = build_data(request.data, dict(ready.data))
    state = checkpoint.get(type(data).__qualname__)
    if not isinstance(state, dict) or not {*data.learned} <= {*state}:
        raise UsageError(f"--checkpoint {checkpoint_path}: was trained without {type(data).__name__}")
    try:
        data.load_state_dict(state)
        model = build_model(request.model, dict(ready.model), data)
    except (TypeError, LookupError, AttributeError) as error:
        if options.debug:
            raise
        kept = f"not what {type(data).__name__} keeps ({type(error).__name__}: {error})"
        raise UsageError(f"--checkpoint {checkpoint_path}: what was learned of its data is {kept}") from error
    prepared(ready, model, data)
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UsageError(f"--checkpoint {checkpoint_path}: its weights are of another network ({error})") from None
    given = {name: options.trainer[name] for name in (*KEPT, "strategy")}
    if given["strategy"] == "fsdp":
        given["strategy"] = "auto"  # without gradients and optimizer there is nothing to share out
    given["strategy"] = pick_strategy(given, model, 60 * options.timeout)
    given["precision"] = pick_precision(ready.trainer.precision, str(ready.trainer.accelerator))
    trainer = Trainer(
        **given,
        plugins=[*environment_plugins()],
        callbacks=[Progress(), SameData()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return Trained(data, model, trainer, checkpoint["config"])


def requested(checkpoint: dict[str, Any], where: str, dataset: str | None, arguments: list[str]) -> Request:
    """What a checkpoint describes, as if a command line had asked for it.

    The model is built without looking for the weights that it once started from: the checkpoint has them all.

    Raises:
        UsageError: it describes nothing that could be built.
    """
    config: Config = checkpoint["config"]
    paths, plain = sections({key: value for key, value in config.items() if key != "about"}, where)
    if dataset is not None:
        plain = merge(plain, {"data": {"dataset": check_dataset(dataset, known_datasets(paths["data"]))}})
    plain["model"] = plain["model"] | checkpoint.get("rebuild", {}) | {"pretrained": None}
    plain["trainer"] = {name: value for name, value in plain["trainer"].items() if name in KEPT and is_plain(value)}
    return Request(config["about"]["name"], paths["model"], paths["data"], plain, arguments)


def is_plain(value: Any) -> bool:
    """Whether a setting of the trainer is one value, or a list of device indices."""
    return not isinstance(value, dict | list) or (isinstance(value, list) and all(type(item) is int for item in value))


def check_trainer(trainer: Namespace) -> None:
    """Refuse options that would build what only training has.

    Raises:
        UsageError: one was given.
    """
    for name, none in (("callbacks", None), ("profiler", None), ("strategy", str), ("accelerator", str)):
        value = trainer[name]
        if value is not None and (none is None or not isinstance(value, none)):
            raise UsageError(f"--trainer.{name}: is for training; leave it out where a checkpoint is read")

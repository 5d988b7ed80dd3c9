"""A model and its data, rebuilt from a checkpoint alone."""

import re
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer

from callbacks.loggers.progress import Progress
from callbacks.run.checkpoint_file import CheckpointError, read_checkpoint
from callbacks.run.processes import DataConsistencyCheck
from datamodules.base import DataModule
from datamodules.files.paths import user_path
from datamodules.storage.known_datasets import known_datasets
from scripts.cli.command_line.parser import Parser
from scripts.cli.command_line.recipes import Config, Request, check_dataset, merge, sections
from scripts.cli.distributed.launch import environment_plugins, pick_strategy
from scripts.cli.errors import UsageError
from scripts.cli.run.build import build_data, build_model, prepared
from scripts.cli.run.checkpoint_content import check_content
from scripts.cli.run.folder import find_checkpoint, other_checkpoint
from scripts.cli.run.precision import pick_precision

# The settings of the Trainer that a checkpoint keeps. Not the strategy, the callbacks and the profiler: they were
# for training, and what they name is not even looked up.
KEPT = ("accelerator", "devices", "num_nodes", "precision", "limit_test_batches", "limit_predict_batches")


def read(checkpoint: str) -> tuple[Path, dict[str, Any]]:
    """The file of a checkpoint that scripts/fit.py has written, and what it contains.

    Args:
        checkpoint: a file, or a run's folder.

    Raises:
        UsageError: it is not one.
    """
    if re.match(r"https?://", checkpoint):
        raise UsageError(f"--checkpoint {checkpoint}: an address; download the file first, from someone you trust")
    path = find_checkpoint(user_path(checkpoint, "--checkpoint"))
    try:
        content = read_checkpoint(path)
    except CheckpointError as error:
        raise UsageError(f"--checkpoint {path}: {error}{other_checkpoint(path)}") from None
    check_content(content, f"--checkpoint {path}")
    return path, content


def restored(
    parser: Parser, options: Namespace, content: dict[str, Any], where: str
) -> tuple[DataModule, LightningModule, Trainer]:
    """What a checkpoint describes: its data, not set up, its model with the weights, and a Trainer that saves nothing.

    Args:
        parser: of the options of what `request_of` describes.
        options: parsed.
        content: of the checkpoint.
        where: the checkpoint, as it was given.

    Raises:
        ValueError: the checkpoint, the data or an option is not what it has to be.
    """
    check_trainer(options.trainer)
    instantiated = parser.instantiate(options)
    data = build_data(parser.data, dict(instantiated.data))
    state = content.get(type(data).__qualname__)
    if not isinstance(state, dict) or not {*data.fitted} - {*data.added} <= {*state}:
        raise UsageError(f"--checkpoint {where}: was trained without {type(data).__name__}")
    try:
        data.load_state_dict(state)
        model = build_model(parser.model, dict(instantiated.model), data)
    except (TypeError, LookupError, AttributeError) as error:
        kept = f"not what {type(data).__name__} keeps ({type(error).__name__}: {error})"
        raise UsageError(f"--checkpoint {where}: the state of its data is {kept}") from error
    prepared(instantiated, model, data)
    try:
        model.load_state_dict(content["state_dict"])
        model.on_load_checkpoint(content)
    except RuntimeError as error:
        raise UsageError(f"--checkpoint {where}: its weights are of another network ({error})") from None
    return data, model, evaluation_trainer(options, model)


def evaluation_trainer(options: Namespace, model: LightningModule) -> Trainer:
    """A Trainer that tests and predicts, and neither logs nor saves."""
    given = {name: options.trainer[name] for name in (*KEPT, "strategy")}
    if given["strategy"] == "fsdp":
        given["strategy"] = "auto"  # without gradients and optimizer there is nothing to shard
    given["strategy"] = pick_strategy(given, model, 60 * options.timeout)
    given["precision"] = pick_precision(options.trainer.precision, str(options.trainer.accelerator))
    return Trainer(
        **given,
        plugins=[*environment_plugins()],
        callbacks=[Progress(), DataConsistencyCheck()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def request_of(checkpoint: dict[str, Any], where: str, dataset: str | None, arguments: list[str]) -> Request:
    """What a checkpoint describes, as if a command line had requested it.

    The model is built without looking for the weights that it once started from: the checkpoint has them all.

    Raises:
        UsageError: it describes nothing that could be built.
    """
    config: Config = checkpoint["config"]
    paths, plain = sections(
        {key: value for key, value in config.items() if key not in ("about", "extended", "logger")}, where
    )
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

"""From a checkpoint alone to a model and its data: what `test.py`, `predict.py` and `export.py` share."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from callbacks.checkpoint_file import CheckpointError, read_checkpoint
from callbacks.progress import Progress
from datamodules.base import DataModule
from datamodules.catalogue import known_datasets
from scripts.cli.allocator import keep_memory
from scripts.cli.build import build_data, build_model, pick_precision, prepared, quiet
from scripts.cli.errors import UsageError
from scripts.cli.launch import environment_plugins, pick_strategy
from scripts.cli.options import parse
from scripts.cli.recipes import Config, Request, check_dataset, merge, sections
from scripts.cli.runs import find_checkpoint, other_checkpoint


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

"""Pretrained weights from an earlier run of this project."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from callbacks.run.checkpoint_file import CheckpointError, read_checkpoint
from callbacks.run.processes import load_weights
from datamodules.base import DataModule
from datamodules.files.encoding import json_value
from datamodules.files.paths import user_path
from datamodules.files.splits import listed
from lightning_modules.optim.parameter_groups import head_of
from scripts.cli.errors import UsageError
from scripts.cli.run.checkpoint_content import check_content
from scripts.cli.run.folder import find_checkpoint, other_checkpoint

Config = dict[str, Any]


def own_run(pretrained: str | None) -> str | None:
    """The full path of what `--model.pretrained` names, if that is a run's folder, or a file of ours."""
    path = user_path(pretrained, "--model.pretrained") if pretrained else None
    if path is None or not path.exists():
        return None
    if path.is_file():
        ours = path.suffix == ".ckpt" or "recipe" in exported_metadata(path)
    else:
        ours = (path / "checkpoints").is_dir() or any(path.glob("*.ckpt"))
    return str(path.resolve()) if ours else None


def exported_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; empty for any other file, or a damaged one."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except safetensors.SafetensorError:
        return {}


class PretrainedRun:
    """An earlier run whose weights another model starts from: all whose names and shapes fit, whatever model it was.

    Args:
        pretrained: a run's folder, of which it is the best checkpoint, or the checkpoint itself, or a file of
            safetensors that scripts/export.py wrote.

    Raises:
        UsageError: there is none, or it is damaged.
    """

    def __init__(self, pretrained: str) -> None:
        self.where = pretrained
        self.weights: dict[str, Tensor]
        self.recipe: str
        self.learned: Config  # the state of its datamodule
        self.architecture: Config | None  # of the encoder, where it has one that transformers builds
        if Path(pretrained).suffix == ".safetensors":
            self._read_export(Path(pretrained))
        else:
            self._read_checkpoint(find_checkpoint(Path(pretrained), "--model.pretrained"))
        if not isinstance(self.learned, dict):
            found = type(self.learned).__name__
            raise UsageError(f"--model.pretrained {pretrained}: the state of its data: expected dict, got {found}")

    def _read_export(self, path: Path) -> None:
        metadata = exported_metadata(path)
        try:
            self.recipe, self.learned = metadata["recipe"], json_value(metadata["learned"])
            self.architecture = json_value(metadata["settings"]).get("architecture")
            self.weights = safetensors.torch.load_file(path)
        except (LookupError, AttributeError, ValueError, safetensors.SafetensorError) as error:
            raise UsageError(
                f"--model.pretrained {path}: not as scripts/export.py writes it ({type(error).__name__}: {error})"
            ) from None

    def _read_checkpoint(self, path: Path) -> None:
        try:
            checkpoint = read_checkpoint(path, mapped=True)
        except CheckpointError as error:
            raise UsageError(f"--model.pretrained {path}: {error}{other_checkpoint(path)}") from None
        check_content(checkpoint, f"--model.pretrained {path}")
        config = checkpoint["config"]
        self.recipe = config["about"]["name"]
        self.learned = checkpoint.get(config["data"]["class_path"].rpartition(".")[2], {})
        self.architecture = checkpoint.get("rebuild", {}).get("architecture")
        self.weights = checkpoint["state_dict"]
        if config.get("lora"):
            self._merge(config["lora"])

    def _merge(self, lora: Config) -> None:
        """Merge the adapters into the weights."""
        from callbacks.lora import merged_weights

        try:
            self.weights = merged_weights(self.weights, int(lora["rank"]), lora.get("alpha"))
        except (KeyError, TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
            raise UsageError(
                f"--model.pretrained {self.where}: lora: not its settings ({type(error).__name__}: {error})"
            ) from None

    def arguments(self, accepted: Collection[str]) -> Config:
        """What the constructor of a model that starts from it is given, of the arguments that it accepts."""
        given = {"architecture": self.architecture} if self.architecture else {"pretrained": None}
        return given if {*given} <= {*accepted} else {"pretrained": None}

    def load_into(self, model: LightningModule, data: DataModule) -> str:
        """Give a model the weights that fit; what remains is fresh, and the head where the classes have other names.

        Args:
            model: newly built.
            data: that it is trained on.

        Returns:
            A line with their source and number, the layers that stay fresh, and the classes because of which.

        Raises:
            UsageError: none fits, or the model is several networks that learn from each other.
        """
        if not model.automatic_optimization:
            raise UsageError(
                f"--model.pretrained {self.where}: expected a model with one loss, which {type(model).__name__} has "
                f"not; --resume resumes a run of its own"
            )
        own, weights = model.state_dict(), self.weights
        fits = {name for name, value in own.items() if name in weights and weights[name].shape == value.shape}
        other_classes = self._other_classes(data)
        if other_classes:
            fits -= weights_of(head_of(model, getattr(model, "head_names", ())), model)
        sizes = {name: weight.numel() for name, weight in model.named_parameters()}
        taken = sum(size for name, size in sizes.items() if name in fits)
        if not taken:
            raise UsageError(
                f"--model.pretrained {self.where}: no weight of this {self.recipe} fits {type(model).__name__} in name "
                f"and shape; give a run of the same model with the same sizes"
            )
        load_weights(model, {name: weights[name] for name in fits}, strict=False)
        fresh = list(dict.fromkeys(name.rpartition(".")[0] for name in sizes if name not in fits))
        names = ", ".join([*fresh[:3], f"and {len(fresh) - 3} more layers"] if len(fresh) > 3 else fresh)
        line = f"from {self.where}: {taken:,} of {sum(sizes.values()):,} weights taken"
        return f"{line}, fresh: {names}{other_classes}" if fresh else line

    def _other_classes(self, data: DataModule) -> str:
        """Which classes the data has, and which the run had, in words; empty where they are the same."""
        for name in ("class_names", "entity_types"):
            before, now = self.learned.get(name), getattr(data, name, None)
            if before and now and [*map(str, before)] != [*map(str, now)]:
                return f" (its classes were {listed([*map(str, before)])}; here they are {listed([*map(str, now)])})"
        return ""


def weights_of(layers: Iterable[nn.Module], model: nn.Module) -> set[str]:
    """The names, in the model's state, of what layers hold."""
    names = {id(module): name for name, module in model.named_modules()}
    return {f"{names[id(layer)]}.{weight}" for layer in layers for weight in layer.state_dict()}

"""Weights to start from that an earlier run of this project has learned, rather than somebody else."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from callbacks.checkpoint_file import CheckpointError, read_checkpoint
from datamodules.base import DataModule
from scripts.cli.errors import UsageError
from scripts.cli.runs import find_checkpoint, other_checkpoint

Config = dict[str, Any]


def own_run(pretrained: str | None) -> str | None:
    """The full path of what `--model.pretrained` names, if that is a run's folder or one of our checkpoints."""
    path = Path(pretrained).expanduser() if pretrained else None
    if path is None or not path.exists():
        return None
    ours = path.suffix == ".ckpt" if path.is_file() else (path / "checkpoints").is_dir() or any(path.glob("*.ckpt"))
    return str(path.resolve()) if ours else None


class Start:
    """A checkpoint whose weights another model starts from: all whose names and shapes fit, whatever model it was.

    Args:
        pretrained: a run's folder, of which it is the best one, or the checkpoint itself.

    Raises:
        UsageError: there is none, or it is damaged.
    """

    def __init__(self, pretrained: str) -> None:
        self.where = pretrained
        path = find_checkpoint(Path(pretrained), "--model.pretrained")
        try:
            self.checkpoint = read_checkpoint(path)
        except CheckpointError as error:
            raise UsageError(f"--model.pretrained {path}: {error}{other_checkpoint(path)}") from None

    @property
    def architecture(self) -> Config | None:
        """Of the encoder, where it has one that transformers builds."""
        return self.checkpoint.get("rebuild", {}).get("architecture")

    def arguments(self, accepted: Collection[str]) -> Config:
        """What the constructor of a model that starts from it is given, of the arguments that it accepts."""
        given = {"architecture": self.architecture} if self.architecture else {"pretrained": None}
        return given if {*given} <= {*accepted} else {"pretrained": None}

    def hand_on(self, data: DataModule) -> None:
        """Let data that are texts be cut into the tokens whose embeddings were learned."""
        name = self.checkpoint["config"]["data"]["class_path"].rpartition(".")[2]
        learned: Config = self.checkpoint.get(name, {})
        data.take_tokenizers({key: value for key, value in learned.items() if "tokenizer" in key})

    def weights(self) -> dict[str, Tensor]:
        """The checkpoint's weights; what adapters had learned is a part of them."""
        weights: dict[str, Tensor] = self.checkpoint["state_dict"]
        lora = self.checkpoint["config"].get("lora")
        if lora is None:
            return weights
        from callbacks.lora import LoRA, merge  # these take seconds to import, and few runs need them
        from lightning_modules.encoders import bert

        encoder = bert(None, num_tokens=1, max_length=1, architecture=self.architecture)
        LoRA(**lora).adapt(encoder)
        own = [name for name in weights if name.startswith("encoder.")]
        encoder.load_state_dict({name.removeprefix("encoder."): weights[name] for name in own})
        merge(encoder)
        rest = {name: weight for name, weight in weights.items() if name not in own}
        return rest | {f"encoder.{name}": weight for name, weight in encoder.state_dict().items()}

    def give(self, model: LightningModule) -> str:
        """Give a model the weights that fit; what remains is fresh.

        Returns:
            Whose and how many they were, and what is fresh, in a line.

        Raises:
            UsageError: none fits, or the model is several networks that learn from each other.
        """
        if not model.automatic_optimization:
            raise UsageError(
                f"--model.pretrained {self.where}: expected a model with one loss, which {type(model).__name__} has "
                f"not; --resume goes on with a run of its own"
            )
        own, weights = model.state_dict(), self.weights()
        fits = {name for name, value in own.items() if name in weights and weights[name].shape == value.shape}
        sizes = {name: weight.numel() for name, weight in model.named_parameters()}
        taken = sum(size for name, size in sizes.items() if name in fits)
        if not taken:
            of = self.checkpoint["config"]["about"]["name"]
            raise UsageError(
                f"--model.pretrained {self.where}: no weight of this {of} fits {type(model).__name__} in name and "
                f"shape; give a run of the same model with the same sizes"
            )
        model.load_state_dict(own | {name: weights[name] for name in fits})
        fresh = list(dict.fromkeys(name.rpartition(".")[0] for name in sizes if name not in fits))
        said = ", ".join([*fresh[:3], f"and {len(fresh) - 3} more layers"] if len(fresh) > 3 else fresh)
        line = f"from {self.where}: {taken:,} of {sum(sizes.values()):,} weights taken"
        return f"{line}, fresh: {said}" if fresh else line

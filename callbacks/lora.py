"""Adapts a pretrained network by low-rank matrices; its own are frozen."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from callbacks.run.checkpoints import Checkpoints
from callbacks.run.processes import gather_full
from callbacks.technique import Technique
from datamodules.base import DataModule
from datamodules.storage.atomic_file import atomic_write
from lightning_modules.layers.later_weights import HasLaterWeights, LaterWeight, settle_weights

ENCODER = "encoder"  # attribute of the BERT models; others say what is adapted in `adapts`
Config = Any  # LoraConfig; peft takes a second to import, and is imported only where it is used


class LoRA(Technique):
    """Low-rank adaptation of BERT and of language models: `W x + (alpha / rank) B A x`; only A and B are trained.

    Hu et al. 2022, https://arxiv.org/abs/2106.09685, through peft. Checkpoints contain all weights; when
    the run ends, the best weights' adapter is saved in `adapter/`, in peft's format, and all weights outside the
    adapted network in `head.safetensors` there.

    Args:
        rank: of A and B; by default nothing is adapted.
        alpha: scale of the adapters; by default twice the rank.
        dropout: dropout probability of the adapters' inputs.
        targets: suffixes of the names of the layers to adapt, such as `[query, value]`; by default all linear ones.

    Raises:
        ValueError: a value is out of its range.
    """

    def __init__(
        self, rank: int | None = None, alpha: int | None = None, dropout: float = 0.0, targets: list[str] | None = None
    ) -> None:
        if rank is not None and rank < 1:
            raise ValueError(f"--lora.rank: expected at least 1, got {rank}")
        if alpha is not None and alpha < 1:
            raise ValueError(f"--lora.alpha: expected at least 1, got {alpha}")
        if not 0 <= dropout < 1:
            raise ValueError(f"--lora.dropout: expected a probability from 0 to below 1, got {dropout}")
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = targets

    @property
    def enabled(self) -> bool:
        """If a rank is set."""
        return self.rank is not None

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Freeze the network and insert the adapters, which are initialised to change nothing.

        Raises:
            ValueError: there is no such network, or no such layers in it.
        """
        if not (name := adapted_by(model)):
            raise ValueError(
                f"--lora.rank: adapts BERT's encoder and language models, and {type(model).__name__} is neither"
            )
        from peft import inject_adapter_in_model

        network = model.get_submodule(name)
        linear = {each.rpartition(".")[2] for each, part in network.named_modules() if isinstance(part, nn.Linear)}
        try:
            inject_adapter_in_model(self._config(target_modules=self.targets or sorted(linear)), network)
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"--lora.targets {self.targets}: cannot be adapted ({reason})") from None
        if isinstance(model, HasLaterWeights):
            self._leave(model, network)

    def _leave(self, model: HasLaterWeights, network: nn.Module) -> None:
        """Have the adapters made when the weights are that they adapt, with what peft gives them at first."""
        random = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        for name, module in network.named_modules():
            if isinstance(module, nn.Linear) and ".lora_" in name:
                module.to("meta")
                make = partial(_first, module.weight.shape, random if ".lora_A." in name else None)
                model.later.append(LaterWeight([(module, "weight")], make))
        settle_weights(model)

    def _config(self, **further: Any) -> Config:
        from peft import LoraConfig

        assert self.rank is not None, "not enabled"
        return LoraConfig(r=self.rank, lora_alpha=self.alpha or 2 * self.rank, lora_dropout=self.dropout, **further)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the adapter of the best weights, which are those tested."""
        own = f"{adapted_by(pl_module)}."
        saved = {
            name: weight
            for name, weight in pl_module.state_dict().items()
            if "lora_" in name or not name.startswith(own)
        }
        weights = gather_full(saved, trainer.global_rank)
        checkpoints = trainer.checkpoint_callback
        if trainer.is_global_zero and isinstance(checkpoints, Checkpoints):
            self.save(pl_module, weights, checkpoints.run.path / "adapter")

    def save(self, model: LightningModule, weights: dict[str, Tensor], folder: Path) -> None:
        """Write the adapter as peft does, and all weights outside the adapted network.

        Args:
            model: with adapters.
            weights: of the model's full state at least those of its adapters and outside the adapted network.
            folder: created if it does not exist.
        """
        from peft import get_peft_model_state_dict
        from safetensors.torch import save

        name = adapted_by(model)
        network = model.get_submodule(name)
        # In full: a suffix may match one more layer in the model that the adapter is applied to.
        names = [each.removesuffix(".lora_A") for each, _ in network.named_modules() if each.endswith(".lora_A")]
        source = model.hparams.get("pretrained")
        folder.mkdir(exist_ok=True)
        self._config(target_modules=names, base_model_name_or_path=source, inference_mode=True).save_pretrained(folder)
        own = f"{name}."
        adapter = get_peft_model_state_dict(
            network, {each.removeprefix(own): weight for each, weight in weights.items() if each.startswith(own)}
        )
        whole = "" if name == ENCODER else own  # peft adapts transformers' encoder alone, or a model with its head
        named = {f"base_model.model.{whole}{each}": weight for each, weight in adapter.items()}
        rest = {each: weight for each, weight in weights.items() if not each.startswith(own)}
        for stem, content in (("adapter_model", named), ("head", rest)):
            with atomic_write(folder / f"{stem}.safetensors") as file:
                file.write(save({name: weight.contiguous() for name, weight in content.items()}, {"format": "pt"}))


def _first(shape: torch.Size, random: torch.Generator | None) -> Tensor:
    """The first value of an adapter's A, or of its B, which has no generator."""
    if random is None:
        return torch.zeros(shape)
    bound = shape[1] ** -0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=random)


def adapted_by(model: nn.Module) -> str:
    """The name of the network in a model that adapters are for; empty where there is none."""
    if isinstance(named := getattr(model, "adapts", None), str):
        return named
    from transformers import PreTrainedModel

    return ENCODER if isinstance(getattr(model, ENCODER, None), PreTrainedModel) else ""


def merged(model: LightningModule) -> LightningModule:
    """A copy of a model with its adapters, if any, merged into the weights.

    Its outputs are the same, it does not depend on peft, and its weights have their names without adapters.
    """
    plain = copy.deepcopy(model)
    adapted = [name.removesuffix(".lora_A") for name, _ in plain.named_modules() if name.endswith(".lora_A")]
    for name in adapted:
        layer: Any = plain.get_submodule(name)
        layer.merge(safe_merge=True)
        parent, _, own = name.rpartition(".")
        setattr(plain.get_submodule(parent), own, layer.get_base_layer())
    if adapted:
        plain.get_submodule(adapted_by(plain)).requires_grad_(True)
    return plain


def merged_weights(weights: dict[str, Tensor], rank: int, alpha: int | None) -> dict[str, Tensor]:
    """The weights of a model's state with its adapters merged, under their names without adapters.

    Raises:
        KeyError: an adapter is not complete.
    """
    scale = (alpha or 2 * rank) / rank
    found = {}
    for name, weight in weights.items():
        if ".lora_" in name:
            continue
        layer, base, own = name.rpartition(".base_layer.")
        if not base:
            found[name] = weight
            continue
        if own == "weight":
            down, up = (weights[f"{layer}.lora_{part}.default.weight"].float() for part in "AB")
            weight = (weight.float() + scale * up @ down).to(weight.dtype)
        found[f"{layer}.{own}"] = weight
    return found

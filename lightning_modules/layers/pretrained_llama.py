"""Pretrained language models as transformers writes them: their settings and weights, from a folder or by name."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from datamodules.files.paths import user_path

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
FILES = ("*.json", "*.safetensors", "*.jinja")
NOT_NEEDED = ("rotary_emb.inv_freq",)  # what older versions saved besides the weights


def folder_of(pretrained: str) -> Path:
    """The folder of a pretrained model, which is downloaded if it is the name of one.

    Raises:
        ValueError: there is none.
    """
    path = user_path(pretrained, "--model.pretrained")
    if path.is_dir():
        return path
    from huggingface_hub import snapshot_download  # takes a while to import, and only names need it

    try:
        return Path(snapshot_download(pretrained, allow_patterns=[*FILES]))
    except Exception as error:  # it raises errors of many types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"--model.pretrained {pretrained}: no model there ({reason}); give a model's folder, "
            f"or a name that can be downloaded"
        ) from None


def config_of(pretrained: str) -> dict[str, Any]:
    """The content of a pretrained model's `config.json`.

    Raises:
        ValueError: it has none.
    """
    file = folder_of(pretrained) / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"--model.pretrained {pretrained}: has no config.json, which a model's folder has") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"--model.pretrained {pretrained}: config.json: not readable as JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError(f"--model.pretrained {pretrained}: config.json: expected an object, got {found!r:.40}")
    return found


def readers_of(pretrained: str, model: nn.Module) -> dict[str, Callable[[], Tensor]]:
    """By name, what reads each of a pretrained model's weights, in 32 bits; one at a time is in memory.

    Args:
        pretrained: its folder or name.
        model: that they are for.

    Raises:
        ValueError: they are no safetensors, some are missing, or one has another shape.
    """
    folder = folder_of(pretrained)
    own = dict(model.named_parameters())  # one name for what is shared
    found: dict[str, Callable[[], Tensor]] = {}
    for file in _files(folder, pretrained):
        try:
            weights = safe_open(file, "pt")
            shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys() if name in own}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(f"--model.pretrained {pretrained}: {file.name}: damaged ({error})") from None
        for name, shape in shapes.items():
            if shape != own[name].shape:
                raise ValueError(
                    f"--model.pretrained {pretrained}: {name}: expected the shape {tuple(own[name].shape)} that its "
                    f"config.json gives, got {shape}"
                )
            found[name] = partial(_read, weights, name)
    if missing := [name for name in own if name not in found]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"--model.pretrained {pretrained}: its weights lack {missing[0]}{more}")
    return found


def _read(weights: Any, name: str) -> Tensor:
    return weights.get_tensor(name).to(torch.float32, copy=True)  # which no longer depends on the file


def _files(folder: Path, pretrained: str) -> list[Path]:
    """The files of weights in a folder.

    Raises:
        ValueError: there are none, or only pickled ones.
    """
    if (folder / INDEX).is_file():
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, LookupError, AttributeError) as error:
            raise ValueError(f"--model.pretrained {pretrained}: {INDEX}: not readable ({error})") from None
        if absent := [name for name in names if Path(name).name != name or not (folder / name).is_file()]:
            raise ValueError(f"--model.pretrained {pretrained}: {absent[0]} is missing, which {INDEX} names")
        return [folder / name for name in names]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    pickled = [path.name for path in folder.glob("*.bin")] + [path.name for path in folder.glob("*.pt*")]
    if pickled:
        raise ValueError(
            f"--model.pretrained {pretrained}: {pickled[0]} is a pickle, which can run code; expected {SINGLE}"
        )
    raise ValueError(f"--model.pretrained {pretrained}: has no {SINGLE}")

"""From parsed options to a datamodule and a model of the sizes that it states."""

import re
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch import LightningModule

from callbacks.technique import Technique
from datamodules.base import DataModule
from lightning_modules.layers.later_weights import weights_left
from scripts.cli.command_line.classes import constructor_arguments, linked
from scripts.cli.command_line.options import AUTO
from scripts.cli.command_line.recipes import Config
from scripts.cli.command_line.techniques import techniques
from scripts.cli.errors import UsageError
from scripts.cli.run.foreign_data import ForeignData
from scripts.cli.run.memory import forget_shapes
from scripts.cli.run.pretrained import PretrainedRun, own_run


def build_data(data_class: type, arguments: Config) -> DataModule:
    """The datamodule, not yet set up.

    Raises:
        ValueError: an option is out of its range.
    """
    if arguments.get("batch_size") == AUTO:
        raise ValueError(f"--data.batch_size {AUTO}: only scripts/fit.py finds it; give a number")
    data = data_class(**arguments)
    if not isinstance(data, DataModule):
        data = ForeignData(data)
    if not data.shapes_return:
        forget_shapes()
    # cuDNN's attention prepares 100 to 300 ms for each new shape: on an H100 a step of 56 ms took 200 to 450
    torch.backends.cuda.enable_cudnn_sdp(not data.shapes_vary)
    return data


def build_model(model_class: type, arguments: Config, data: DataModule) -> LightningModule:
    """The model, with the sizes that the data states.

    Raises:
        ValueError: the model has no use for an option of the data, or an option is out of its range.
    """
    if "pretrained" not in constructor_arguments(model_class):  # it means an earlier run, which `pretrained_run` reads
        arguments = {name: value for name, value in arguments.items() if name != "pretrained"}
    sizes = {name: getattr(data, name) for name in linked(model_class, type(data))}
    if getattr(data, "class_weights", None) is not None and "class_weights" not in sizes:
        raise ValueError(
            f"--data.balance weights: {model_class.__name__} has no loss of classes; expected over or under"
        )
    if getattr(data, "multilabel", False) and "multilabel" not in sizes:
        raise ValueError(
            f"--data.multilabel true: {model_class.__name__} takes no multilabel, so has no loss of labels"
        )
    try:
        model = model_class(**arguments, **sizes)
    except ValueError as error:
        if str(error).startswith("--"):
            raise
        named = next((f".{name}" for name in arguments if re.search(rf"\b{name}\b", str(error))), "")
        raise ValueError(f"--model{named}: {error}") from error  # of a library, which does not know the options
    assert isinstance(model, LightningModule)
    if (numbers := getattr(data, "num_neighbors", None)) is not None:
        check_num_hops(model, numbers)
    return model


def check_num_hops(model: LightningModule, num_neighbors: list[int]) -> None:
    """Refuse to sample the neighbours of fewer or more steps than a model reads: it would learn from what is not there.

    Raises:
        ValueError: the model has another number of layers, or does not say how many.
    """
    option = f"--data.num_neighbors {' '.join(map(str, num_neighbors))}"
    hops, count = getattr(model, "num_hops", None), len(num_neighbors)
    if hops is None:
        raise ValueError(f"{option}: {type(model).__name__} does not say how many edges away it reads, by num_hops")
    if hops != count:
        raise ValueError(
            f"{option}: {count} {'number' if count == 1 else 'numbers'}, but the model reads {hops} edges away; "
            f"expected one number for each layer"
        )


def pretrained_run(model_class: type, pretrained: str | None) -> PretrainedRun | None:
    """The earlier run that `--model.pretrained` names; None where it names other weights, or none.

    Raises:
        UsageError: it has no valid checkpoint, or the model takes no weights but those of runs.
    """
    if own := own_run(pretrained):
        return PretrainedRun(own)
    if pretrained is not None and "pretrained" not in constructor_arguments(model_class):
        raise UsageError(
            f"--model.pretrained {pretrained}: no run of this project; expected the folder of one, such as "
            f"lightning_logs/cnn/version_0, a checkpoint in it, or safetensors that scripts/export.py exported from it"
        )
    return None


def prepared(options: Namespace, model: LightningModule, data: DataModule) -> dict[str, Technique]:
    """The techniques that the options enable, after they have prepared the model.

    Raises:
        ValueError: one makes no sense for this model or this data.
    """
    used = techniques(options)
    for technique in used.values():
        technique.prepare(model, data)
    return used


def read_data(
    data_class: type, arguments: Config, start: PretrainedRun | None, least_batch: int | None = None
) -> DataModule:
    """The datamodule, read and split.

    Args:
        data_class: of it.
        arguments: of its constructor.
        start: the earlier run whose tokenizers it uses.
        least_batch: to which its batch size may shrink where the data is small; None where the user has chosen it.

    Raises:
        ValueError: the data or an option is not what it has to be.
    """
    data = build_data(data_class, arguments)
    if start is not None:
        data.take_tokenizers(start.learned)
    data.least_batch = least_batch
    data.prepare_data()
    data.setup("fit")
    return data


def build(
    model_class: type, data_class: type, instantiated: Any, least_batch: int | None = None
) -> tuple[DataModule, LightningModule, dict[str, Technique], str]:
    """Data, read and split, a model of its sizes, and the techniques that have prepared it.

    Args:
        model_class: of the model.
        data_class: of the datamodule.
        instantiated: the parsed options, with the objects that they describe.
        least_batch: as for `read_data`.

    Returns:
        These, and a line that says which weights an earlier run gave; empty where the weights are fresh.

    Raises:
        ValueError: the data or an option is not what it has to be.
    """
    arguments = dict(instantiated.model)
    start = pretrained_run(model_class, arguments["pretrained"])
    if start is not None:
        arguments |= start.arguments(constructor_arguments(model_class))
    data = read_data(data_class, dict(instantiated.data), start, least_batch)
    # Where weights are to be sharded, they are made shard by shard: they may fit into no process.
    sharded = instantiated.trainer["strategy"] == "fsdp" and instantiated.data.get("batch_size") != AUTO
    with weights_left(sharded):
        model = build_model(model_class, arguments, data)
        loaded = start.load_into(model, data) if start is not None else ""
        return data, model, prepared(instantiated, model, data), loaded

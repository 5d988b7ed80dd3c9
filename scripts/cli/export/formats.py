"""Write a trained model to a file for others, once what was written has given the model's own predictions."""

import copy
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from callbacks.lora import merged
from datamodules.export.exportable import ExportableModule
from datamodules.files.paths import printable, user_path
from datamodules.storage.atomic_file import whole_file
from lightning_modules.seq2seq import Seq2Seq
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.options import class_at, linked
from scripts.cli.errors import UsageError, did_you_mean, user_errors
from scripts.cli.run.experiment import Experiment

TOLERANCE = 1e-4  # of the greatest number that the model gives, or of 1
NEEDED = ("onnx", "onnxscript", "onnxruntime")  # besides, for ONNX
METADATA = "metadata.json"  # within a file of torch.export

# Of the recipes' models those whose computation cannot be written down as one graph; their weights can be exported.
NO_GRAPH = {
    Seq2Seq: "its encoder packs each sentence by its own length, and its decoder takes a step for each token of the "
    "translation: torch can write down neither for any number of them",
}

Metadata = dict[str, str]
Function = Callable[..., Tensor]


class Format(NamedTuple):
    """A kind of file.

    Args:
        ending: of its name.
        has_graph: whether it holds the computation, and not the weights alone.
        write: gives its content.
        read: gives the function that the content is.
    """

    ending: str
    has_graph: bool
    write: Callable[[ExportableModule, Metadata], bytes]
    read: Callable[[bytes, ExportableModule], Function]


def export(words: list[str], checkpoint: str, format: list[str], output: str, data: str | None) -> None:
    """Write a checkpoint's model in one or several formats; in all that are asked for, or in none.

    Args:
        words: options that differ from training, such as `--data.root`.
        checkpoint: a checkpoint, or a run's folder.
        format: names of FORMATS; several may be in one, with commas.
        output: the file; of several formats each gets its own ending.
        data: other data to compare on than the model was trained on.

    Raises:
        UserError: the checkpoint, the data or an option is not what it has to be, or a file cannot be written.
    """
    with user_errors():
        files = {name: named(name, output) for name in checked([name for names in format for name in names.split(",")])}
        trained = Experiment.load(checkpoint, data, words)
        trained.data.prepare_data()
        if data is None:
            trained.data.setup("test")
        else:
            trained.data.setup_test()
        model = merged(trained.model)
        network = model.export_inputs(trained.data) if isinstance(model, Task) else trained.data.export_inputs(model)
        metadata = described(trained, network)
        written = {name: verified(name, network, metadata) for name in files}
        for name, (content, found) in written.items():
            with whole_file(files[name]) as file:
                file.write(content)
            print(f"{files[name]}: {name}, {len(content) / 1e6:.2f} MB, {found} of {printable(trained.data.dataset)}")


def checked(formats: list[str]) -> list[str]:
    """The formats, each once.

    Raises:
        UsageError: one is unknown, or needs what is not installed.
    """
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"--format {name}: expected {', '.join(FORMATS)}{did_you_mean(name, FORMATS)}")
    missing = [package for package in NEEDED if find_spec(package) is None] if "onnx" in formats else []
    if missing:
        raise UsageError(f'--format onnx: needs {" and ".join(missing)}, not installed: pip install -e ".[export]"')
    return list(dict.fromkeys(formats))


def named(name: str, output: str) -> Path:
    """The file of a format.

    Raises:
        UsageError: the output has no name, or is a folder.
    """
    path = user_path(output, "--output")
    endings = [kind.ending for kind in FORMATS.values()]
    path = (
        path.with_suffix(FORMATS[name].ending)
        if path.suffix in endings
        else path.parent / (path.name + FORMATS[name].ending)
    )
    if path.name in endings or path.is_dir():
        raise UsageError(f"--output {output}: expected the name of a file, such as model{FORMATS[name].ending}")
    return path


def verified(name: str, network: ExportableModule, metadata: Metadata) -> tuple[bytes, str]:
    """The content of a file, and how far what it gives lies from the model's own predictions, in words.

    Raises:
        UsageError: it cannot be written in this format, or gives other predictions.
    """
    kind = FORMATS[name]
    reason = next((why for model, why in NO_GRAPH.items() if isinstance(network.network, model)), None)
    if kind.has_graph and reason is not None:
        raise UsageError(
            f"--format {name}: {type(network.network).__name__} cannot be exported: {reason}; safetensors can"
        )
    try:
        content = kind.write(network, metadata)
        function = kind.read(content, network)
        batches = [*network.batches()]
        greatest = max(difference(function(*network.tensors(batch)), network.expected(batch)) for batch in batches)
    except Exception as error:  # torch and the runtimes have no kind of their own for what they cannot do
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UsageError(f"--format {name}: {type(network.network).__name__} cannot be exported ({first})") from error
    if not greatest <= TOLERANCE:
        raise UsageError(
            f"--format {name}: what was written gives other predictions than the model: they differ by {greatest:.2g} "
            f"of the greatest, more than {TOLERANCE:g}; nothing is kept"
        )
    sizes = ", ".join(str(size) for size in network.sizes)
    return (
        content,
        f"differs from the model by {greatest:.2g} at most ({TOLERANCE:g} tolerated) on {sizes} {network.unit}",
    )


@torch.no_grad()
def difference(found: Tensor, expected: Tensor) -> float:
    """The greatest difference, as a share of the greatest number expected, or of 1 if that is less."""
    if found.shape != expected.shape:
        raise ValueError(f"the result has shape {list(found.shape)}, expected {list(expected.shape)}")
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


def described(trained: Experiment, network: ExportableModule) -> Metadata:
    """What a file says of itself: plain strings, JSON where they hold more than a name.

    `recipe`, `model` (class path) and `settings` (what its constructor takes: with them and the weights the model is
    built again), `classes`, `inputs` (type and sizes of each) and `output`, and `learned`, what the data learned from
    its training split: scaling, categories, tokenizer.
    """
    config, model, data = trained.trained_config, trained.model, trained.data
    model_class = config["model"]["class_path"]
    sizes = {name: getattr(data, name) for name in linked(class_at(model_class), type(data))}
    settings = {**config["model"]["init_args"], **sizes, **(getattr(model, "rebuild", None) or {})}
    first = next(network.batches())
    inputs = {
        name: [str(tensor.dtype).removeprefix("torch."), *axes]
        for (name, axes), tensor in zip(network.inputs.items(), network.tensors(first), strict=True)
    }
    classes = getattr(model, "class_names", None) or getattr(model, "tag_names", None)
    facts = {
        "inputs": inputs,
        "settings": _plain({name: value for name, value in settings.items() if name != "optimizer"}),
        "learned": _plain(data.state_dict()),
        **({"classes": list(classes)} if classes else {}),
    }
    names = {"recipe": config["about"]["name"], "model": model_class, "output": network.output}
    return names | {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Those that JSON can hold."""
    kept = {}
    for name, value in values.items():
        try:
            kept[name] = json.loads(json.dumps(value))
        except TypeError:
            continue
    return kept


def weights_written(network: ExportableModule, metadata: Metadata) -> bytes:
    """The weights under the model's own names, in safetensors."""
    weights = {name: weight.detach().clone() for name, weight in network.network.state_dict().items()}
    contiguous = {name: weight.contiguous() for name, weight in weights.items()}  # shared ones stand there twice
    return safetensors.torch.save(contiguous, {"format": "pt"} | metadata)


def weights_read(content: bytes, network: ExportableModule) -> Function:
    """The network with weights from the file and no other."""
    other = type(network)(copy.deepcopy(network.network), network.data)
    with torch.no_grad():
        for weight in other.network.state_dict().values():
            weight.fill_(float("nan") if weight.is_floating_point() else 0)
    other.network.load_state_dict(safetensors.torch.load(content))
    return torch.no_grad()(other)


@contextmanager
def hushed() -> Iterator[None]:
    """Keep off the screen what the exporters tell their own developers, such as the whole graph that they cannot do."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            # A recurrent layer lists its own weights anew when it is traced; what is written is compared all the same.
            warnings.filterwarnings("ignore", message="The tensor attributes .*_flat_weights")
            yield
    finally:
        logging.disable(before)


def exported(network: ExportableModule) -> ExportedProgram:
    """The computation as a graph, for batches of any size."""
    first = dict(zip(network.inputs, network.tensors(next(network.batches())), strict=True))
    free = {
        name: {place: Dim.DYNAMIC for place, axis in enumerate(axes) if isinstance(axis, str)}
        for name, axes in network.inputs.items()
    }
    with hushed(), torch.no_grad():
        return torch.export.export(network, (), first, dynamic_shapes=free, strict=False)


def torch_written(network: ExportableModule, metadata: Metadata) -> bytes:
    """The graph, as torch.export saves it, with the metadata as JSON."""
    file = io.BytesIO()
    extra = {METADATA: json.dumps(metadata, ensure_ascii=False)}
    torch.export.save(exported(network), file, extra_files=extra)
    return file.getvalue()


def torch_read(content: bytes, network: ExportableModule) -> Function:
    """The graph, run by torch."""
    graph = torch.export.load(io.BytesIO(content)).module()

    @torch.no_grad()
    def function(*tensors: Tensor) -> Tensor:
        return graph(**dict(zip(network.inputs, tensors, strict=True)))

    return function


def onnx_written(network: ExportableModule, metadata: Metadata) -> bytes:
    """The graph in ONNX, its axes named, with the metadata among the model's own."""
    import onnx

    graph = exported(network)
    with hushed():
        program = torch.onnx.export(
            graph, input_names=list(network.inputs), output_names=[network.output], dynamo=True, verbose=False
        )
    assert program is not None
    model = program.model_proto
    name_axes(model.graph, network)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def name_axes(graph: Any, network: ExportableModule) -> None:
    """Call the axes of a graph of ONNX what the network's inputs call them, instead of s0 and s1."""
    names: dict[str, str] = {}
    for value, axes in zip(graph.input, network.inputs.values(), strict=True):
        for dim, axis in zip(value.type.tensor_type.shape.dim, axes, strict=True):
            if isinstance(axis, str):
                names[dim.dim_param] = axis
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda symbol: names.get(symbol[0], symbol[0]), dim.dim_param)


def onnx_read(content: bytes, network: ExportableModule) -> Function:
    """The graph, run by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def function(*tensors: Tensor) -> Tensor:
        given = {name: tensor.numpy() for name, tensor in zip(network.inputs, tensors, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return function


FORMATS = {
    "safetensors": Format(".safetensors", False, weights_written, weights_read),
    "onnx": Format(".onnx", True, onnx_written, onnx_read),
    "torch": Format(".pt2", True, torch_written, torch_read),
}

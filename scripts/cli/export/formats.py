"""Export a trained model to a file that others can read, after the file has given the model's own predictions."""

import copy
import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.export import Dim, ExportedProgram

from callbacks.lora import merged
from datamodules.base import DataModule
from datamodules.export.exportable import ExportableModule
from datamodules.files.paths import printable, user_path
from datamodules.storage.atomic_file import atomic_write
from datamodules.tokenizing.packed import Packed
from lightning_modules.llm import LLM
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.classes import class_at, linked
from scripts.cli.errors import UsageError, did_you_mean, user_errors
from scripts.cli.export.script import SCRIPT, files_beside
from scripts.cli.run.experiment import Experiment

TOLERANCE = 1e-4  # relative to the maximum absolute output of the model, or to 1
METADATA = "metadata.json"  # within a file of torch.export
FOLDER = "huggingface"  # a format that is a folder, of language models


Metadata = dict[str, str]
Function = Callable[..., Tensor]


class Format(NamedTuple):
    """A file format.

    Args:
        suffix: of a file's name.
        write: returns the content of a file.
        read: returns the content as a function.
        requires: packages that it needs besides the project's own.
    """

    suffix: str
    write: Callable[[ExportableModule, Metadata], bytes]
    read: Callable[[bytes, ExportableModule], Function]
    requires: tuple[str, ...] = ()


def export(words: list[str], checkpoint: str, format: list[str], output: str, data: str | None) -> None:
    """Export a checkpoint's model in one or several formats; in all that are requested, or in none.

    Args:
        words: options that differ from training, such as `--data.root`.
        checkpoint: a checkpoint, or a run's folder.
        format: names of FORMATS; several may be in one, with commas.
        output: the file; of several formats each gets its own suffix.
        data: data to compare on; None for what the model was trained on.

    Raises:
        UserError: the checkpoint, the data or an option is not what it has to be, or a file cannot be written.
    """
    with user_errors():
        formats = check_formats([name for names in format for name in names.split(",")])
        files = {name: output_file(name, output) for name in formats}
        trained = Experiment.load(checkpoint, data, words)
        trained.data.prepare_data()
        if data is None:
            trained.data.setup("test")
        else:
            trained.data.setup_test()
        model = merged(trained.model)
        if FOLDER in files:
            if len(files) > 1:
                raise UsageError(f"--format {FOLDER}: a language model's only format; expected it alone")
            print(export_folder(model, files[FOLDER], trained.data))
            return
        network = model.export_inputs(trained.data) if isinstance(model, Task) else trained.data.export_inputs(model)
        metadata = metadata_of(trained, network)
        written = {name: verify(name, network, metadata) for name in files}
        for name, (content, result) in written.items():
            with atomic_write(files[name]) as file:
                file.write(content)
            print(f"{files[name]}: {name}, {len(content) / 1e6:.2f} MB, {result} of {printable(trained.data.dataset)}")
            if name == "onnx":
                write_beside(files[name], metadata, network)


def write_beside(file: Path, metadata: Metadata, network: ExportableModule) -> None:
    """Write what lets an ONNX file be used without this project."""
    beside = files_beside(file, metadata, network)
    for path, text in beside.items():
        with atomic_write(path) as opened:
            opened.write(text.encode())
    names = " and ".join(path.name for path in beside)
    lacking = "" if len(beside) > 1 else f"; no {SCRIPT}: {type(network).__name__} does not say how files are read"
    print(f"{file.parent}: {names}, which need neither torch nor this project{lacking}")


def export_folder(model: LightningModule, output: Path, data: DataModule) -> str:
    """Write a language model as transformers does; how its predictions compare, in words.

    Raises:
        UsageError: it is another model, or cannot be written so.
    """
    from scripts.cli.export.huggingface import write_folder  # transformers takes seconds to import

    if not isinstance(model, LLM):
        raise UsageError(f"--format {FOLDER}: expected a language model, found {type(model).__name__}")
    batch = data.examples(data.splits.test[:2])[torch.arange(min(2, len(data.splits.test)))]
    rows = batch if isinstance(batch, Packed) else batch[0]
    result = write_folder(model.cpu().eval(), output, rows.ids)
    size = sum(file.stat().st_size for file in output.iterdir())
    return f"{output}: {FOLDER}, {size / 1e6:.2f} MB, {result}"


def check_formats(formats: list[str]) -> list[str]:
    """The formats without duplicates.

    Raises:
        UsageError: one is unknown, or needs what is not installed.
    """
    for name in formats:
        if name == FOLDER:
            continue
        if name not in FORMATS:
            names = [*FORMATS, FOLDER]
            raise UsageError(f"--format {name}: expected {', '.join(names)}{did_you_mean(name, names)}")
        missing = [package for package in FORMATS[name].requires if find_spec(package) is None]
        if missing:
            needs = " and ".join(missing)
            raise UsageError(f'--format {name}: needs {needs}, not installed: pip install -e ".[export]"')
    return list(dict.fromkeys(formats))


def output_file(name: str, output: str) -> Path:
    """The file of a format, with its suffix.

    Raises:
        UsageError: the output has no name, or is a folder.
    """
    path = user_path(output, "--output")
    if name == FOLDER:
        return path
    suffix, suffixes = FORMATS[name].suffix, [each.suffix for each in FORMATS.values()]
    path = path.with_suffix(suffix) if path.suffix in suffixes else path.parent / (path.name + suffix)
    if path.name in suffixes or path.is_dir():
        raise UsageError(f"--output {output}: expected the name of a file, such as model{suffix}")
    return path


def verify(name: str, network: ExportableModule, metadata: Metadata) -> tuple[bytes, str]:
    """The content of a file, and the difference of its predictions from the model's own as a text.

    Raises:
        UsageError: it cannot be written in this format, or gives other predictions.
    """
    file_format = FORMATS[name]
    try:
        content = file_format.write(network, metadata)
        function = file_format.read(content, network)
        batches = [*network.batches()]
        max_error = max(difference(function(*network.tensors(batch)), network.expected(batch)) for batch in batches)
    except Exception as error:  # torch and the runtimes have no type of their own for what they cannot do
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UsageError(f"--format {name}: {type(network.network).__name__} cannot be exported ({first})") from error
    if not max_error <= TOLERANCE:
        raise UsageError(
            f"--format {name}: what was written gives other predictions than the model: they differ by {max_error:.2g} "
            f"of the maximum, more than {TOLERANCE:g}; nothing is written"
        )
    sizes = ", ".join(str(size) for size in network.sizes)
    return (
        content,
        f"differs from the model by {max_error:.2g} at most ({TOLERANCE:g} tolerated) on {sizes} {network.unit}",
    )


@torch.no_grad()
def difference(output: Tensor, expected: Tensor) -> float:
    """The maximum absolute difference, relative to the maximum expected, or to 1 if that is less."""
    if output.shape != expected.shape:
        raise ValueError(f"the result has shape {list(output.shape)}, expected {list(expected.shape)}")
    return float((output - expected).abs().max() / expected.abs().max().clamp(min=1))


def metadata_of(trained: Experiment, network: ExportableModule) -> Metadata:
    """The metadata of a file: plain strings, JSON where they contain more than a name.

    `recipe`, `model` (class path) and `settings` (its constructor's arguments: with them and the weights the model is
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
    """The values that JSON can represent."""
    kept = {}
    for name, value in values.items():
        try:
            kept[name] = json.loads(json.dumps(value))
        except TypeError:
            continue
    return kept


def write_weights(network: ExportableModule, metadata: Metadata) -> bytes:
    """The weights under the model's own names, in safetensors."""
    weights = {name: weight.detach().clone() for name, weight in network.network.state_dict().items()}
    contiguous = {name: weight.contiguous() for name, weight in weights.items()}  # shared ones are written twice
    return safetensors.torch.save(contiguous, {"format": "pt"} | metadata)


def read_weights(content: bytes, network: ExportableModule) -> Function:
    """The network with the weights of the file alone."""
    other = type(network)(copy.deepcopy(network.network), network.data)
    with torch.no_grad():
        for weight in other.network.state_dict().values():
            weight.fill_(float("nan") if weight.is_floating_point() else 0)
    other.network.load_state_dict(safetensors.torch.load(content))
    return torch.no_grad()(other)


@contextmanager
def without_output() -> Iterator[None]:
    """Suppress what the exporters print for their developers, such as a complete graph that they cannot export."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            # A recurrent layer lists its weights again when it is traced; the file is compared all the same.
            warnings.filterwarnings("ignore", message="The tensor attributes .*_flat_weights")
            yield
    finally:
        logging.disable(before)


@lru_cache(maxsize=1)  # of several formats for all of them: tracing is most of the work
def export_graph(network: ExportableModule) -> ExportedProgram:
    """The computation as a graph, for batches of any size."""
    first = dict(zip(network.inputs, network.tensors(next(network.batches())), strict=True))
    dynamic = {
        name: {index: Dim.DYNAMIC for index, axis in enumerate(axes) if isinstance(axis, str)}
        for name, axes in network.inputs.items()
    }
    with without_output(), torch.no_grad():
        return torch.export.export(network, (), first, dynamic_shapes=dynamic, strict=False)


def write_torch(network: ExportableModule, metadata: Metadata) -> bytes:
    """The graph, as torch.export saves it, with the metadata as JSON."""
    file = io.BytesIO()
    extra = {METADATA: json.dumps(metadata, ensure_ascii=False)}
    torch.export.save(export_graph(network), file, extra_files=extra)
    return file.getvalue()


def read_torch(content: bytes, network: ExportableModule) -> Function:
    """The graph, run by torch."""
    graph = torch.export.load(io.BytesIO(content)).module()

    @torch.no_grad()
    def function(*tensors: Tensor) -> Tensor:
        return graph(**dict(zip(network.inputs, tensors, strict=True)))

    return function


def write_onnx(network: ExportableModule, metadata: Metadata) -> bytes:
    """The graph in ONNX, its axes named, with the metadata as properties of the model."""
    import onnx

    graph = export_graph(network)
    with without_output():
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
    """Name the axes of an ONNX graph as the network's inputs do, instead of s0 and s1."""
    names: dict[str, str] = {}
    for value, axes in zip(graph.input, network.inputs.values(), strict=True):
        for dim, axis in zip(value.type.tensor_type.shape.dim, axes, strict=True):
            if isinstance(axis, str):
                names[dim.dim_param] = axis
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda symbol: names.get(symbol[0], symbol[0]), dim.dim_param)


def read_onnx(content: bytes, network: ExportableModule) -> Function:
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
    "safetensors": Format(".safetensors", write_weights, read_weights),
    "onnx": Format(".onnx", write_onnx, read_onnx, ("onnx", "onnxscript", "onnxruntime")),
    "torch": Format(".pt2", write_torch, read_torch),
}

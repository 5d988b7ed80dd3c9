"""What a trained model is written to: read back by those whom the file is for, it gives the model's own predictions."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import safetensors
import safetensors.torch
import torch
from PIL import Image

from scripts.cli.command_line.recipes import recipe_names, resolve
from scripts.cli.evaluate import prediction
from scripts.cli.export import formats as exporting
from scripts.cli.run.experiment import Experiment
from scripts.export import main as export
from tests.helpers.stopping import FURTHER, SHORT

NO_GRAPH = {"seq2seq": "packs each sentence by its own length"}  # the recipes of which only the weights are written


def run_of(name: str, folder: Path, *words: str) -> Path:
    """The folder of a run over a few batches."""
    Experiment(resolve(["--model", name, *SHORT, *FURTHER.get(name, []), *words, "--logs", str(folder)])).fit()
    return folder / name / "version_0"


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_of("cnn", tmp_path_factory.mktemp("logs"))


def exported(run: Path, name: str, file: Path) -> Path:
    export(["--checkpoint", str(run), "--format", name, "--output", str(file)])
    return file


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        export(list(words))
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.long
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_written_in_every_format_or_says_why_not(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(name, tmp_path)
    capsys.readouterr()
    words = ["--checkpoint", str(run), "--output", str(tmp_path / "model")]
    if name in NO_GRAPH:
        for kind in ("onnx", "torch"):
            line = refused(capsys, *words, "--format", kind)
            assert line.startswith(f"error: --format {kind}: ")
            assert NO_GRAPH[name] in line
        export([*words, "--format", "safetensors"])
        assert {path.name for path in tmp_path.glob("model*")} == {"model.safetensors"}
        return
    export([*words, "--format", "safetensors,onnx,torch"])
    assert {path.name for path in tmp_path.glob("model*")} == {"model.safetensors", "model.onnx", "model.pt2"}
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("differs from the model by" in line for line in lines)
    graph = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    facts = graph.get_modelmeta().custom_metadata_map
    assert facts["recipe"] == name
    for value, (names, (_, *axes)) in zip(graph.get_inputs(), json.loads(facts["inputs"]).items(), strict=True):
        assert value.name == names
        assert value.shape == axes  # those of any size have names


def test_pixels_go_into_the_file_as_they_are_in_a_picture(cnn: Path, tmp_path: Path) -> None:
    file = exported(cnn, "onnx", tmp_path / "cnn.onnx")
    pictures = [np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8) for seed in range(5)]
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    prediction.predict([], [str(cnn)], [str(tmp_path)], None, str(tmp_path / "rows.jsonl"))
    session = onnxruntime.InferenceSession(file)
    (logits,) = session.run(None, {"pixels": np.stack(pictures)[:, None]})
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    probabilities = torch.from_numpy(logits).softmax(-1)
    for row, ours in zip(rows, probabilities.tolist(), strict=True):
        assert list(row["probabilities"]) == classes
        assert ours == pytest.approx(list(row["probabilities"].values()), abs=1e-2)  # which may have been in bf16


def test_the_weights_and_what_stands_beside_them_are_enough_to_build_the_model_again(cnn: Path, tmp_path: Path) -> None:
    file = exported(cnn, "safetensors", tmp_path / "cnn.safetensors")
    with safetensors.safe_open(file, "pt") as content:
        facts = content.metadata()
    module, _, kind = facts["model"].rpartition(".")
    model = getattr(importlib.import_module(module), kind)(**json.loads(facts["settings"])).eval()
    model.load_state_dict(safetensors.torch.load_file(file))
    learned = json.loads(facts["learned"])
    images = torch.arange(3 * 64).view(3, 1, 8, 8)
    mean, std = (torch.tensor(learned[name]).view(-1, 1, 1) for name in ("mean", "std"))
    first: Any = Experiment.load(str(cnn))
    with torch.no_grad():
        expected = first.model.eval()(first.data.normalise(images.to(torch.uint8)))
        torch.testing.assert_close(model((images / 255 - mean) / std), expected)


@pytest.mark.long
def test_adapters_are_a_part_of_the_weights_that_are_written(tmp_path: Path) -> None:
    run = run_of("bert_classifier", tmp_path, "--lora.rank", "2", "--model.optimizer.lr", "0.1")
    weights = safetensors.torch.load_file(exported(run, "safetensors", tmp_path / "bert.safetensors"))
    assert not [name for name in weights if "lora" in name or "base_layer" in name]
    adapted: Any = Experiment.load(str(run))
    adapted.data.setup("test")
    plain: Any = Experiment.load(str(run_of("bert_classifier", tmp_path / "plain"))).model
    plain.load_state_dict(weights)
    text, _ = next(iter(adapted.data.test_dataloader()))
    with torch.no_grad():
        torch.testing.assert_close(plain.eval()(text), adapted.model.eval()(text), atol=1e-5, rtol=1e-4)
        adapted.model.encoder.load_state_dict(
            {
                name: 0 * weight if "lora_B" in name else weight
                for name, weight in adapted.model.encoder.state_dict().items()
            }
        )
        assert not torch.allclose(plain(text), adapted.model(text), atol=1e-3)  # they do count


def test_a_file_of_torch_export_is_run_without_any_of_this_projects_code(cnn: Path, tmp_path: Path) -> None:
    file = exported(cnn, "torch", tmp_path / "cnn.pt2")
    extra = {"metadata.json": ""}
    program = torch.export.load(file, extra_files=extra)
    assert json.loads(extra["metadata.json"])["recipe"] == "cnn"
    assert program.module()(pixels=torch.zeros(11, 1, 8, 8, dtype=torch.uint8)).shape == (11, 10)


@pytest.mark.parametrize(
    ("size", "name"), [(7, "safetensors"), (3, "safetensors"), (1, "safetensors"), (1, "onnx"), (3, "torch")]
)
def test_what_gives_other_predictions_on_a_batch_of_any_size_is_not_kept(
    size: int, name: str, cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = exporting.FORMATS[name]

    def wrong(content: Any, network: Any) -> Any:
        function = kind.read(content, network)
        return lambda *tensors: function(*tensors) + (0.01 if len(tensors[0]) == size else 0)

    monkeypatch.setitem(exporting.FORMATS, name, kind._replace(read=wrong))
    line = refused(capsys, "--checkpoint", str(cnn), "--format", name, "--output", str(tmp_path / "cnn"))
    assert line.startswith(f"error: --format {name}: what was written gives other predictions than the model")
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_no_number_is_another_prediction(
    cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(network: Any, metadata: Any) -> Any:
        weights = safetensors.torch.load(exporting.write_weights(network, metadata))
        weights["head.3.bias"].fill_(float("nan"))
        return safetensors.torch.save(weights)

    kind = exporting.FORMATS["safetensors"]
    monkeypatch.setitem(exporting.FORMATS, "safetensors", kind._replace(write=lost))
    line = refused(capsys, "--checkpoint", str(cnn), "--format", "safetensors", "--output", str(tmp_path / "cnn"))
    assert "differ by nan" in line
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_said_in_one_line_and_leaves_nothing(
    cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning_modules.cnn import CNN

    def fixed(self: Any, images: Any) -> Any:
        return self.head(self.blocks(images)) * float(images.sum() > len(images))

    monkeypatch.setattr(CNN, "forward", fixed)
    words = ["--checkpoint", str(cnn), "--format", "safetensors,onnx", "--output", str(tmp_path / "cnn")]
    assert refused(capsys, *words).startswith("error: --format onnx: CNN cannot be exported (")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--format", "onxx", "--output", "x"], "--format onxx: expected safetensors, onnx, torch; did you mean onnx?"),
        (["--format", "onnx"], "where to? Give --output, a file"),
        (["--output", "x"], "as what? Give --format safetensors, onnx or torch"),
        (["--format", "onnx", "--output", "."], "--output .: expected the name of a file, such as model.onnx"),
    ],
)
def test_refuses_in_one_line(words: list[str], expected: str, cnn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--checkpoint", str(cnn), *words) == f"error: {expected}"


def test_without_the_packages_says_how_to_install_them(
    cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = exporting.FORMATS["onnx"]._replace(requires=("onnx", "no_such_package"))
    monkeypatch.setitem(exporting.FORMATS, "onnx", onnx)
    line = refused(capsys, "--checkpoint", str(cnn), "--format", "onnx", "--output", str(tmp_path / "cnn.onnx"))
    assert line == 'error: --format onnx: needs no_such_package, not installed: pip install -e ".[export]"'

"""What a trained model is written to: read back by those whom the file is for, it gives the model's own predictions."""

import importlib
import json
import subprocess
import sys
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
from scripts.predict import main as predict
from tests.helpers.example_inputs import example_input
from tests.helpers.stopping import FURTHER, SHORT


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


ALONE = """
import runpy, sys
ours = ["datamodules", "lightning_modules", "callbacks", "scripts"]
for name in ["torch", "lightning", "transformers", "pyarrow", *ours]:
    sys.modules[name] = None
sys.path.pop(0)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def predicted_alone(folder: Path, path: Path, script: str = "predict_onnx.py") -> list[dict[str, Any]]:
    """What the script prints, without torch and this project."""
    command = [sys.executable, "-c", ALONE, script, str(path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def same_predictions(run: Path, folder: Path, path: Path, *words: str) -> None:
    """Check that the exported script predicts what predict.py does."""
    predict(["--checkpoint", str(run), "--input", str(path), "--output", str(folder / "ours.jsonl"), *words])
    ours = [json.loads(line) for line in (folder / "ours.jsonl").read_text(encoding="utf-8").splitlines()]
    theirs = predicted_alone(folder, path)
    assert len(ours) == len(theirs) > 0
    for row, other in zip(ours, theirs, strict=True):
        if "image" in row:
            pixels = [np.asarray(Image.open(folder / each["image"]), float) for each in (row, other)]
            assert np.abs(pixels[0] - pixels[1]).max() <= 1
            continue
        assert other.keys() == row.keys() - {"attention"}
        for key, value in other.items():
            numeric = isinstance(value, float) or key == "probabilities"
            assert value == (pytest.approx(row[key], rel=1e-4, abs=1e-5) if numeric else row[key]), key


# A graph has each step of a recurrent layer by itself: few are enough.
FEW_STEPS = {
    "lstm": ["--data.window", "12"],
    "rnn": ["--data.window", "12"],
    "attention_rnn": ["--data.max_length", "8"],
}


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in recipe_names() if not name.startswith("llm")])
def test_every_recipe_is_written_in_every_format_or_says_why_not(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(name, tmp_path, *FEW_STEPS.get(name, []))
    capsys.readouterr()
    words = ["--checkpoint", str(run), "--output", str(tmp_path / "model")]
    export([*words, "--format", "safetensors,onnx,torch"])
    written = {"model.safetensors", "model.onnx", "model.pt2", "model.json"}
    assert {path.name for path in tmp_path.glob("model*")} == written
    lines = capsys.readouterr().out.splitlines()
    assert sum("differs from the model by" in line for line in lines) == 3
    graph = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    facts = graph.get_modelmeta().custom_metadata_map
    assert facts["recipe"] == name
    for value, (names, (_, *axes)) in zip(graph.get_inputs(), json.loads(facts["inputs"]).items(), strict=True):
        assert value.name == names
        assert value.shape == axes  # those of any size have names
    same_predictions(run, tmp_path, example_input(name), "--trainer.precision", "32-true")


def test_a_language_model_is_a_folder_and_nothing_else(tmp_path: Path, refused: Any) -> None:
    run = run_of("llm", tmp_path)
    words = ["--checkpoint", str(run), "--output", str(tmp_path / "model"), "--format"]
    assert "of language models expected huggingface, a folder" in refused(export, *words, "onnx")
    assert "a language model's only format; expected it alone" in refused(export, *words, "huggingface,onnx")
    assert not [*tmp_path.glob("model*")]


def test_a_second_model_in_a_folder_leaves_the_first_one_s_description(cnn: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "two"):
        exported(cnn, "onnx", tmp_path / f"{name}.onnx")
    names = {"one.onnx", "two.onnx", "model.json", "predict_onnx.py", "two_model.json", "two_predict_onnx.py"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert json.loads((tmp_path / "two_model.json").read_text(encoding="utf-8"))["file"] == "two.onnx"
    rows = [
        predicted_alone(tmp_path, example_input("cnn"), name) for name in ("predict_onnx.py", "two_predict_onnx.py")
    ]
    assert rows[0] == rows[1]
    command = [sys.executable, "predict_onnx.py", "nowhere.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "error: nowhere.png: there is no such file or folder")


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
        (
            ["--format", "onxx", "--output", "x"],
            "--format onxx: expected safetensors, onnx, torch, huggingface; did you mean onnx?",
        ),
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

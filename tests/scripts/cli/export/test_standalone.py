"""What the scripts beside an exported model read is what the model was trained on, or an error of one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.export.exportable_rows import ExportableRows
from datamodules.files.pixels import WHITISH, decode
from datamodules.tabular import TabularClassification
from lightning_modules.mlp import MLP
from scripts.cli.export.script import ANSWERS, script_of, source_of
from scripts.cli.export.standalone import images, seeds, series, tables, texts

LEVELS = {"I": [0, 65535], "F": [0, 1]}


def pictures() -> dict[str, Callable[[Path], None]]:
    """Images of every kind, each by what writes it."""
    noise = np.random.default_rng(0).integers(0, 256, (37, 23, 4), np.uint8)
    colour, grey = Image.fromarray(noise[..., :3]), Image.fromarray(noise[..., 0])
    turned = Image.Exif()
    turned[0x0112] = 6
    cut = noise.copy()
    cut[:20, :, 3], cut[20:, :, 3] = 0, 255
    white = cut.copy()
    white[20:, :, :3] = 250
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    return {
        "colour.jpg": lambda path: colour.resize((230, 370)).save(path, quality=90),
        "turned.jpg": lambda path: colour.resize((230, 370)).save(path, exif=turned),
        "grey.png": grey.save,
        "palette.png": colour.quantize(16).save,
        "one bit.png": grey.convert("1").save,
        "deep.png": deep.save,
        "deep.tiff": deep.save,
        "floats.tiff": Image.fromarray(noise[..., 0].astype(np.float32) / 255).save,
        "transparent.png": Image.fromarray(cut).save,
        "white.png": Image.fromarray(white).save,
        "cmyk.jpg": colour.convert("CMYK").save,
        "数字.gif": colour.quantize(8).save,
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [None, 16, 40])
@pytest.mark.parametrize("name", pictures())
def test_pixels_are_those_of_training(name: str, size: int | None, channels: int, tmp_path: Path) -> None:
    file = tmp_path / name
    pictures()[name](file)
    expected = decode(file, channels, size, LEVELS)
    _, height, width = expected.shape
    sizes = {"channels": channels, "shorter_side": size, "height": height, "width": width}
    facts = {"files": [file.suffix], "levels": LEVELS, "whitish": WHITISH}
    ((names, tensors, _),) = images.examples(tmp_path, facts | sizes)
    assert names == [file]
    np.testing.assert_array_equal(tensors["pixels"][0], expected)


@pytest.mark.parametrize("dates", ["elapsed", "parts", "none"])
def test_features_are_those_of_training(dates: Any, tmp_path: Path) -> None:
    dice = np.random.default_rng(1)
    kinds = ["red", "'blue'", " green ", "", "NA", "?"]
    rows = [
        f"{dice.choice(['yes', 'no'])},{dice.choice(kinds)},{dice.choice(['1.5', '-2e3', 'NA', '', ' 7 '])},"
        f"{dice.choice(['true', 'false'])},2021-0{dice.integers(1, 9)}-1{dice.integers(9)} 0{dice.integers(9)}:30:00"
        for _ in range(120)
    ]
    file = tmp_path / "行.csv"
    file.write_text("\n".join(["kind,colour,a number,flag,when", *rows]) + "\n", encoding="utf-8")
    data = TabularClassification(str(file), target="kind", dates=dates)
    data.prepare_data()
    data.setup("fit")
    model = MLP(num_features=data.num_features, num_classes=2)
    read = [*tables.examples(file, json.loads(json.dumps(ExportableRows(model, data).preprocessing())))]
    features = torch.from_numpy(np.concatenate([tensors["features"] for _, tensors, _ in read]))
    data.set_input(file)
    assert data.predicted is not None
    torch.testing.assert_close(features, data.predicted[torch.arange(120)], rtol=1e-5, atol=1e-6)


TABLE = {
    "inputs": ["a", "b"],
    "header": True,
    "missing": [""],
    "missing_numbers": ["-"],
    "decimal": ".",
    "dates": {"columns": [], "parts": []},
    "columns": [
        {"name": "a", "kind": "number", "mean": 1.0, "std": 2.0, "missing": False},
        {"name": "b", "kind": "category", "values": ["x"]},
    ],
}
SERIES = {"columns": ["y"], "series": None, "window": 3, "horizon": 2, "decimal": "."}


@pytest.mark.parametrize(
    ("read", "settings", "text", "expected"),
    [
        (tables.examples, TABLE, "a,b\n1,x\ntwo,x\n", "row 2: could not convert string to float: 'two'"),
        (tables.examples, TABLE, "a,b\n1,5,x\n", "row 1: has more or fewer cells than the header"),
        (tables.examples, TABLE, "a,b\n1\n", "row 1: has more or fewer cells than the header"),
        (tables.examples, TABLE, "a\n1\n", "row 1: 'b'; expected columns a, b"),
        (tables.examples, TABLE, "a,b\n1e999,x\n", "row 1: 1e999 is not a finite number"),
        (texts.lines, "text", "label,text\n1,good\n2\n", "row 2 has fewer cells than the header"),
        (texts.lines, "text", "label,words\n1,good\n", "has no column text; it has label, words"),
        (series.examples, SERIES, "y\n1\n2\n", "has 2 rows, expected at least 3"),
        (series.examples, SERIES, "y\n1\n\n2\nx\n3\n", "could not convert string to float: 'x'; expected columns y"),
        (series.examples, SERIES, "x,y\n1,1\n2,2\n3,inf\n", "a value is missing or infinite"),
        (series.examples, SERIES, "x\n1\n2\n3\n", "'y'; expected columns y of numbers"),
        (
            series.examples,
            SERIES,
            "when,y\n2021-01-02,1\n2021-01-01,2\n2021-01-03,3\n",
            "the rows are not in the order of column when",
        ),
    ],
)
def test_what_is_not_as_in_training_is_refused_in_one_line(
    read: Any, settings: Any, text: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        list(read(tmp_path / "x.csv", settings))
    assert str(stop.value).startswith("error: ")
    assert expected in str(stop.value)
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 20, 64, 100])
@pytest.mark.parametrize("seed", [0, 12345, 2**32 - 1, 2**40 + 5])
def test_the_noise_of_a_seed_is_torch_s(seed: int, size: int) -> None:
    expected = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(torch.from_numpy(seeds.normal(seed, size)), expected, rtol=1e-5, atol=2e-6)


MODULES = [path.stem for path in Path(images.__file__).parent.glob("[a-z]*.py")]


@pytest.mark.parametrize("reads", [name for name in MODULES if "def examples(" in source_of(name)])
def test_every_script_is_whole_and_needs_none_of_this_project(reads: str) -> None:
    for answers in [reads] if "def answers(" in source_of(reads) else set(ANSWERS.values()):
        script = script_of(reads, answers)
        assert "scripts." not in script
        assert "def main(" in script
        compile(script, "predict_onnx.py", "exec")


def test_a_package_that_is_missing_is_a_line_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "predict_onnx.py").write_text(script_of("texts", "classes"), encoding="utf-8")
    code = "import runpy, sys; sys.modules['tokenizers'] = None; runpy.run_path('predict_onnx.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: import of tokenizers")
    assert line.endswith("; pip install numpy onnxruntime tokenizers")

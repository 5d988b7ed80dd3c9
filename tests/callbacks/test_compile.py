"""A compiled model is trained to the same weights, and its checkpoints do not depend on it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from callbacks.compile import Compile
from callbacks.run.checkpoint_file import read_checkpoint
from datamodules.graphs import GraphClasses
from datamodules.nodes import Nodes
from datamodules.tabular import Tabular
from datamodules.text import TextClassification
from scripts.cli.evaluate import testing
from scripts.fit import main as fit
from tests.helpers.stopping import FURTHER, SHORT, train

COMPILED = ["--compile.mode", "default"]


@pytest.fixture
def fresh() -> None:
    """As if nothing had been compiled yet."""
    torch.compiler.reset()
    counters.clear()


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are captured with their gradients, and not translated: a C++ compiler takes minutes for them."""
    compiled = torch.compile
    captured = lambda function, options, dynamic: compiled(function, backend="aot_eager", dynamic=dynamic)  # noqa: E731
    monkeypatch.setattr(torch, "compile", captured)


def run(folder: Path, name: str, *words: str) -> Path:
    assert train(["--model", name, *SHORT, *FURTHER.get(name, []), *words, "--logs", str(folder)]) == 0
    return folder / name / "version_0"


def assert_trained_alike(folder: Path, name: str) -> None:
    words = ["--model.optimizer.class_path", "torch.optim.SGD", "--model.optimizer.init_args.lr", "0.01"]
    words += [] if name == "gan" else ["--model.dropout", "0"]  # which is sampled differently
    plain, compiled = run(folder / "plain", name, *words), run(folder / "compiled", name, *words, *COMPILED)
    assert counters["stats"]["calls_captured"] > 0
    expected, found = (read_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"] for path in (plain, compiled))
    assert found.keys() == expected.keys()
    for weight, value in expected.items():
        torch.testing.assert_close(found[weight], value, rtol=1e-3, atol=1e-4)


@pytest.mark.long
def test_a_compiled_model_is_trained_to_the_same_weights(fresh: None, tmp_path: Path) -> None:
    assert_trained_alike(tmp_path, "mlp")


@pytest.mark.long
@pytest.mark.parametrize("name", ["cnn", "gan", "gat", "attention_rnn"])
def test_what_is_captured_is_trained_to_the_same_weights(
    name: str, fresh: None, no_kernels: None, tmp_path: Path
) -> None:
    assert_trained_alike(tmp_path, name)


@pytest.mark.long
def test_the_test_is_that_of_the_checkpoint_as_it_is(fresh: None, tmp_path: Path) -> None:
    path = run(tmp_path, "mlp", *COMPILED)
    assert counters["stats"]["calls_captured"] > 0
    captured = counters["stats"]["calls_captured"]
    tested = testing.test(["--trainer.limit_test_batches", "2"], [str(path)], None, None)
    assert tested == json.loads((path / "results.json").read_text())["test"]
    assert counters["stats"]["calls_captured"] == captured


@pytest.mark.parametrize(
    ("data", "varies"), [(Tabular, False), (TextClassification, True), (GraphClasses, True), (Nodes, False)]
)
def test_shapes_that_vary_are_compiled_at_once(data: type[Any], varies: bool) -> None:
    technique = Compile("default")
    technique.prepare(None, data)  # type: ignore[arg-type]
    assert technique.dynamic is varies


def test_no_compiler_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SystemExit) as stop:
        fit(["--model", "mlp", *COMPILED, "--logs", str(tmp_path / "logs")])
    assert stop.value.code == 2
    expected = "error: --compile.mode default: needs a C++ compiler, and no-such-compiler is not found"
    assert capsys.readouterr().err.splitlines() == [expected]
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("problem", ["another user's", "below a file"])
def test_without_a_folder_for_what_is_compiled_nothing_is_begun(
    problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache" if problem == "below a file" else tmp_path
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)
    message = rf"--compile.mode default: needs a folder.*{re.escape(str(folder))}.*set \$TORCHINDUCTOR_CACHE_DIR to one"
    with pytest.raises(ValueError, match=message):
        Compile("default").prepare(None, Tabular)  # type: ignore[arg-type]

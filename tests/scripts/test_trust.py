"""A configuration names no class but those of this project, of its libraries, and those that the user allowed."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from callbacks.checkpoint_file import write_checkpoint
from scripts import test as testing
from scripts.cli import trust
from scripts.cli.recipes import RECIPES
from scripts.fit import main as fit
from scripts.predict import main as predict

ROOT = RECIPES.parents[1]
MODULE = """
import pathlib
from torch.optim import SGD
from lightning.pytorch import Callback
from lightning_modules.mlp import MLP

pathlib.Path(__file__).with_name("it ran").touch()

class Mine(SGD):
    pass

class Watch(Callback):
    pass

class MyMLP(MLP):
    pass

def build(params) -> SGD:
    return SGD(params)
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path with a module that leaves a trace when it is imported."""
    (tmp_path / "theirs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(trust.sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    return tmp_path


def refused(capsys: Any, *words: str, script: Any = fit) -> str:
    with pytest.raises(SystemExit) as stop:
        script(list(words))
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("error: ")
    return err


def shown(capsys: Any, *words: str) -> dict[str, Any]:
    fit([*words, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def callback(name: str, **settings: Any) -> str:
    return yaml.safe_dump({"class_path": name, "init_args": settings}, default_flow_style=True, width=1000).strip()


LAMBDA = "lightning.pytorch.callbacks.LambdaCallback"


@pytest.mark.parametrize(
    "words",
    [
        ["--model.optimizer", "theirs.Mine"],
        ["--model.optimizer=theirs.Mine"],
        ["--model.optimizer", "theirs.build"],
        ["--model.optimizer.class_path", "theirs.Mine"],
        ["--model.optimizer", "{class_path: theirs.Mine, init_args: {lr: 1}}"],
        ["--model.optimizer.help", "theirs.Mine"],
        ["--model.optimizer.help=theirs.Mine"],
        ["--trainer.callbacks", "theirs.Watch"],
        ["--trainer.callbacks+=theirs.Watch"],
        ["--trainer.callbacks+", "theirs.Watch"],
        ["--trainer.callbacks", "[{class_path: theirs.Watch}]"],
        ["--trainer.callbacks", callback(LAMBDA, on_fit_start={"class_path": "theirs.Mine"})],
        ["--trainer.strategy", "{class_path: theirs.Mine}"],
        ["--trainer.profiler", "{class_path: theirs.Mine}"],
        ["--trainer.accelerator.class_path", "theirs.Mine"],
        ["--trainer", "theirs.yaml"],
    ],
)
def test_an_option_imports_nothing_that_was_not_allowed(
    words: list[str], theirs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (theirs / "theirs.yaml").write_text("callbacks: {class_path: theirs.Watch}\n")
    monkeypatch.chdir(theirs)
    line = refused(capsys, "--model", "mlp", *words)
    assert not (theirs / "it ran").exists()
    option = words[0].split("=")[0].removesuffix("+").removesuffix(".class_path")
    assert option in line
    assert re.search(r"theirs\.\w+ is neither of this project nor .*add --allow theirs\.\w+$", line.strip())


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("model: {optimizer: {class_path: theirs.Mine}}", "model.optimizer"),
        ("model: {optimizer: theirs.Mine}", "model.optimizer"),
        ("trainer: {callbacks: [{class_path: theirs.Watch}]}", "trainer.callbacks"),
        ("trainer: {callbacks: {class_path: theirs.Watch}}", "trainer.callbacks"),
        ("trainer: {profiler: {class_path: theirs.Mine}}", "trainer.profiler"),
        (f"trainer: {{callbacks: {callback(LAMBDA, on_fit_start={'class_path': 'theirs.Mine'})}}}", "on_fit_start"),
        ("data: {root: {class_path: theirs.Mine}}", "data.root"),
    ],
)
def test_a_configuration_file_imports_nothing_that_was_not_allowed(
    content: str, place: str, theirs: Path, capsys: Any
) -> None:
    (theirs / "mine.yaml").write_text(content + "\n")
    line = refused(capsys, "--model", "mlp", "--config", str(theirs / "mine.yaml"))
    assert not (theirs / "it ran").exists()
    assert place in line
    assert "--allow theirs." in line


OWN_MODEL = """
about: {{name: mine}}
model:
  class_path: {model}
  init_args: {{optimizer: {{class_path: {optimizer}, init_args: {{lr: 0.1}}}}}}
data:
  class_path: {data}
"""


def own(folder: Path, **changed: str) -> str:
    names = {"model": "theirs.MyMLP", "data": "datamodules.tabular.TabularClassification"}
    names["optimizer"] = "torch.optim.SGD"
    (folder / "mine.yaml").write_text(OWN_MODEL.format(**names | changed))
    return str(folder / "mine.yaml")


def test_a_model_of_ones_own_is_refused_with_the_word_that_allows_it_and_then_runs(theirs: Path, capsys: Any) -> None:
    line = refused(capsys, "--config", own(theirs))
    assert line.startswith("error: model: theirs.MyMLP is neither")
    assert not (theirs / "it ran").exists()
    word = re.search(r"--allow (\S+)$", line.strip())
    assert word is not None
    content = shown(capsys, "--config", own(theirs), "--allow", word[1])
    assert content["model"]["class_path"] == "theirs.MyMLP"
    assert (theirs / "it ran").exists()
    assert "allow" not in content  # a configuration that is passed on allows nothing at the next one's
    line = refused(capsys, "--config", own(theirs, optimizer="theirs.Mine"), "--allow", "theirs.MyMLP")
    assert line.startswith("error: model.optimizer: theirs.Mine is neither")


@pytest.mark.parametrize("words", [["--allow", "theirs"], ["--allow=theirs.Mine", "--allow", "theirs.MyMLP"]])
def test_a_module_or_several_classes_may_be_allowed(words: list[str], theirs: Path, capsys: Any) -> None:
    content = shown(capsys, "--config", own(theirs, optimizer="theirs.Mine"), *words)
    assert content["model"]["init_args"]["optimizer"]["class_path"] == "theirs.Mine"


def test_what_one_request_allows_the_next_does_not(theirs: Path, capsys: Any) -> None:
    shown(capsys, "--model", "mlp", "--model.optimizer", "theirs.Mine", "--allow", "theirs")
    assert "--allow theirs.Mine" in refused(capsys, "--model", "mlp", "--model.optimizer", "theirs.Mine")


def test_a_configuration_cannot_allow_itself(theirs: Path, capsys: Any) -> None:
    (theirs / "mine.yaml").write_text("allow: theirs\nmodel: {optimizer: {class_path: theirs.Mine}}\n")
    line = refused(capsys, "--model", "mlp", "--config", str(theirs / "mine.yaml"))
    assert "allow: a configuration cannot allow what it names" in line
    assert not (theirs / "it ran").exists()


def test_what_is_allowed_is_found_in_the_working_folder(theirs: Path, capsys: Any) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--config", own(theirs), "--print_config"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words, status in (([], 2), (["--allow", "theirs"], 0)):
        done = subprocess.run(
            [*command, *words], cwd=theirs, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stderr
        assert (theirs / "it ran").exists() == (status == 0)


@pytest.mark.parametrize(
    "name",
    [
        *["os.system", "subprocess.Popen", "builtins.exec", "builtins.eval", "runpy.run_path", "pickle.load"],
        *["torch.hub.load", "torch.load", "torch.utils.cpp_extension.load", "torch.os.system"],
        "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler",
        "lightning.pytorch.trainer.Trainer",
    ],
)
def test_nothing_is_called_that_is_no_optimizer_and_no_callback(name: str, capsys: Any, tmp_path: Path) -> None:
    if name.startswith("torch.utils"):
        importlib.import_module("torch.utils.cpp_extension")  # it may have something to say of CUDA when it is imported
        capsys.readouterr()
    assert "--model.optimizer" in refused(capsys, "--model", "mlp", "--model.optimizer", name)
    assert "--trainer.callbacks" in refused(capsys, "--model", "mlp", "--trainer.callbacks", name)
    refused(capsys, "--model", "mlp", "--trainer.callbacks", callback(LAMBDA, on_fit_start=name))
    line = refused(capsys, "--config", own(tmp_path, model=name))
    assert name in line
    line = refused(capsys, "--config", own(tmp_path, model="lightning_modules.mlp.MLP", data=name))
    assert name in line


def test_a_function_is_no_class_even_where_a_library_has_it(capsys: Any) -> None:
    words = ["--trainer.callbacks", callback(LAMBDA, on_fit_start="torch.hub.load")]
    line = refused(capsys, "--model", "mlp", *words)
    assert "expected the name of a class, got the function torch.hub.load" in line


def test_the_libraries_own_classes_need_no_leave(capsys: Any) -> None:
    words = [
        "--model.optimizer",
        "torch.optim.RMSprop",
        "--trainer.profiler",
        "lightning.pytorch.profilers.SimpleProfiler",
    ]
    content = shown(
        capsys, "--model", "mlp", *words, "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"
    )
    assert content["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.RMSprop"
    assert content["trainer"]["callbacks"][0]["class_path"] == "lightning.pytorch.callbacks.EarlyStopping"


@pytest.mark.parametrize("name", ["theirs/../mine", "", "a b", "jsonargparse", "jsonargparse.set_parsing_settings"])
def test_only_a_name_can_be_allowed(name: str, capsys: Any) -> None:
    assert f"--allow {name}: expected" in refused(capsys, "--model", "mlp", f"--allow={name}")


@pytest.mark.parametrize(
    ("name", "trusted"),
    [
        ("torch.optim.SGD", True),
        ("torches.optim.SGD", False),
        ("my.one", True),
        ("my.one.Two", True),
        ("my.ones", False),
    ],
)
def test_a_name_is_compared_part_by_part(name: str, trusted: bool) -> None:
    assert trust.is_trusted(name, ["my.one"]) == trusted


def test_trusted_libraries_are_declared_and_the_packages_are_our_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {re.split(r"[\[<>= ]", entry)[0].replace("-", "_") for entry in project["project"]["dependencies"]}
    assert set(trust.LIBRARIES) <= declared
    assert set(trust.OWN) <= set(project["tool"]["setuptools"]["packages"])


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!!python/name:os.mkdir"]
)
def test_yaml_makes_no_objects(tag: str, capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(f'model: {{dropout: {tag} ["it ran"]}}\n')
    assert "mine.yaml:1: not valid YAML" in refused(capsys, "--model", "mlp", "--config", "mine.yaml")
    refused(capsys, "--model", "mlp", "--model.dropout", f'{tag} ["it ran"]')
    assert not (tmp_path / "it ran").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The content of a checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    words = ["--model", "linear_regression", "--logs", str(folder), "--trainer.max_epochs", "1"]
    fit(words)
    file = next(folder.rglob("best*.ckpt"))
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("part", ["model", "data", "optimizer", "callbacks"])
def test_a_checkpoint_imports_nothing_that_was_not_allowed(
    part: str, trained: dict[str, Any], theirs: Path, capsys: Any
) -> None:
    content = yaml.safe_load(yaml.safe_dump(trained["config"]))
    if part in ("model", "data"):
        content[part]["class_path"] = "theirs.MyMLP"
    elif part == "optimizer":
        content["model"]["init_args"]["optimizer"] = {"class_path": "theirs.Mine", "init_args": {"lr": 1.0}}
    else:
        content["trainer"]["callbacks"] = [{"class_path": "theirs.Watch"}]
    write_checkpoint(trained | {"config": content}, theirs / "x.ckpt")
    for script, more in ((testing.main, []), (predict, ["--input", str(theirs)])):
        line = refused(capsys, "--checkpoint", str(theirs / "x.ckpt"), *more, script=script)
        assert re.search(r"add --allow theirs\.\w+$", line.strip())
        assert not (theirs / "it ran").exists()


@pytest.mark.parametrize("name", ["torch.hub.load", "os.system", "subprocess.Popen", "torch.nn.Linear"])
@pytest.mark.parametrize("part", ["model", "data"])
def test_a_checkpoint_calls_nothing_that_is_no_model(
    part: str, name: str, trained: dict[str, Any], capsys: Any, tmp_path: Path
) -> None:
    content = yaml.safe_load(yaml.safe_dump(trained["config"]))
    content[part] = {"class_path": name, "init_args": {}}
    write_checkpoint(trained | {"config": content}, tmp_path / "x.ckpt")
    assert name in refused(capsys, "--checkpoint", str(tmp_path / "x.ckpt"), script=testing.main)


class Malicious:
    """Makes a folder as soon as it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("forced", [False, True])
def test_a_malicious_checkpoint_is_refused_and_has_not_run(
    forced: bool, trained: dict[str, Any], capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    file = tmp_path / "best.ckpt"
    write_checkpoint(trained | {"more": Malicious(tmp_path / "it ran")}, file)
    for script, more in ((testing.main, []), (predict, ["--input", str(tmp_path)])):
        line = refused(capsys, "--checkpoint", str(file), *more, script=script)
        assert line.startswith(f"error: --checkpoint {file}: ")
        assert not (tmp_path / "it ran").exists()
    torch.load(file, weights_only=False)
    assert (tmp_path / "it ran").exists(), "the file is malicious indeed"

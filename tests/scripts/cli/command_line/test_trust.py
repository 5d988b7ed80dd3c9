"""A file names only classes of the type that its place wants, of modules that were looked at."""

import gc
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch_geometric
import yaml
from lightning.pytorch import Callback

import lightning_modules
from callbacks.run.checkpoint_file import write_checkpoint
from lightning_modules.layers import bert, vision
from scripts import test as testing
from scripts.cli.command_line import trust
from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import RECIPES, resolve
from scripts.cli.errors import UsageError
from scripts.cli.evaluate.load import request_of
from scripts.cli.run.experiment import Experiment
from scripts.export import main as export
from scripts.fit import main as fit
from scripts.predict import main as predict
from tests.helpers.fuzzing import Leaves

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
    monkeypatch.setattr(sys, "path", list(sys.path))
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
SWA = "lightning.pytorch.callbacks.StochasticWeightAveraging"  # may be named, and has a function among its arguments


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
        ["--trainer.callbacks", callback(SWA, swa_lrs=0.1, avg_fn={"class_path": "theirs.Mine"})],
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
    option = re.sub(r"\+|\.class_path|\.help", "", words[0].split("=")[0])
    assert option in line
    assert re.search(r"expected an? .+, got the class (theirs\.\w+); .*add --allow \1$", line.strip())


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("model: {optimizer: {class_path: theirs.Mine}}", "model.optimizer"),
        ("model: {optimizer: theirs.Mine}", "model.optimizer"),
        ("trainer: {callbacks: [{class_path: theirs.Watch}]}", "trainer.callbacks"),
        ("trainer: {callbacks: {class_path: theirs.Watch}}", "trainer.callbacks"),
        ("trainer: {profiler: {class_path: theirs.Mine}}", "trainer.profiler"),
        (f"trainer: {{callbacks: {callback(SWA, swa_lrs=0.1, avg_fn={'class_path': 'theirs.Mine'})}}}", "avg_fn"),
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
    assert line.startswith("error: model: expected a LightningModule of lightning_modules, got the class theirs.MyMLP")
    assert not (theirs / "it ran").exists()
    word = re.search(r"--allow (\S+)$", line.strip())
    assert word is not None
    content = shown(capsys, "--config", own(theirs), "--allow", word[1])
    assert content["model"]["class_path"] == "theirs.MyMLP"
    assert (theirs / "it ran").exists()
    assert "allow" not in content  # a configuration that is passed on allows nothing at the next one's
    line = refused(capsys, "--config", own(theirs, optimizer="theirs.Mine"), "--allow", "theirs.MyMLP")
    assert line.startswith("error: model.optimizer: expected an Optimizer of torch.optim, got the class theirs.Mine")


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


@pytest.mark.long
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


def test_the_admitted_classes_need_no_leave(capsys: Any) -> None:
    words = ["--model.optimizer", "torch.optim.RMSprop"]
    words += ["--trainer.profiler", "lightning.pytorch.profilers.SimpleProfiler"]
    words += ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
    content = shown(capsys, "--model", "mlp", *words)
    assert content["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.RMSprop"
    assert content["trainer"]["callbacks"][0]["class_path"] == "lightning.pytorch.callbacks.EarlyStopping"
    assert content["trainer"]["profiler"]["class_path"] == "lightning.pytorch.profilers.SimpleProfiler"


ARGUMENTS = {  # that have to be given
    "EarlyStopping": {"monitor": "val/loss"},
    "GradientAccumulationScheduler": {"scheduling": {2: 2}},
    "StochasticWeightAveraging": {"swa_lrs": 0.1},
}


def test_every_admitted_callback_is_found_under_both_of_its_names() -> None:
    full = [f"lightning.pytorch.callbacks.{module}.{name}" for name, module in trust.CALLBACKS.items()]
    short = [f"lightning.pytorch.callbacks.{name}" for name in trust.CALLBACKS]
    specs = [{"class_path": path, "init_args": ARGUMENTS.get(path.rpartition(".")[2], {})} for path in (*full, *short)]
    words = ["--model", "linear_regression", "--trainer.callbacks", yaml.safe_dump(specs)]
    parser, config = parse(resolve(words))
    built = [type(callback) for callback in parser.instantiate(config).trainer.callbacks]
    assert [f"{kind.__module__}.{kind.__qualname__}" for kind in built] == full * 2


@pytest.mark.parametrize("argument", ["dirpath", "filename"])
def test_a_profiler_is_not_told_where_to_write(argument: str, capsys: Any, tmp_path: Path) -> None:
    profiler = {"class_path": "lightning.pytorch.profilers.SimpleProfiler", "init_args": {argument: str(tmp_path)}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"trainer": {"profiler": profiler}}))
    line = refused(capsys, "--model", "mlp", "--config", str(tmp_path / "mine.yaml"))
    assert f"--trainer.profiler.{argument}: would let a configuration choose where to write" in line
    profiler["dict_kwargs"] = profiler.pop("init_args")  # which the parser keeps only for what a constructor hands on
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"trainer": {"profiler": profiler}}))
    content = shown(capsys, "--model", "mlp", "--config", str(tmp_path / "mine.yaml"))
    assert content["trainer"]["profiler"]["init_args"][argument] is None


def test_a_callback_is_not_told_where_to_write(capsys: Any, tmp_path: Path) -> None:
    folder = {"class_path": "callbacks.run.run_folder.RunFolder", "init_args": {"path": str(tmp_path / "elsewhere")}}
    settings = {"run": folder, "monitor": "val/loss", "mode": "min"}
    callbacks = [{"class_path": "callbacks.run.checkpoints.Checkpoints", "init_args": settings}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks}}))
    line = refused(capsys, "--model", "mlp", "--config", str(tmp_path / "mine.yaml"))
    assert "trainer.callbacks.run: expected a plain value, got the class callbacks.run.run_folder.RunFolder" in line
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["theirs/../mine", "", "a b", "jsonargparse", "jsonargparse.set_parsing_settings"])
def test_only_a_name_can_be_allowed(name: str, capsys: Any) -> None:
    assert f"--allow {name}: expected" in refused(capsys, "--model", "mlp", f"--allow={name}")


@pytest.mark.parametrize(
    ("where", "name", "trusted"),
    [
        ("model.optimizer", "torch.optim.SGD", True),
        ("model.optimizer", "torch.optims.SGD", False),
        ("model.optimizer", "torch.nn.Linear", False),
        ("trainer.callbacks", "torch.optim.SGD", False),
        ("data.root", "torch.optim.SGD", False),
        ("anywhere", "my.one", True),
        ("anywhere", "my.one.Two", True),
        ("anywhere", "my.ones", False),
    ],
)
def test_a_name_is_compared_part_by_part_with_what_may_stand_there(where: str, name: str, trusted: bool) -> None:
    assert trust.is_trusted(where, name, ["my.one"]) == trusted


def test_the_packages_whose_classes_may_be_named_are_our_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name for place in trust.PLACES.values() for name in place.names if "." not in name}
    assert packages == {"lightning_modules", "datamodules", "callbacks"}
    assert packages <= {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}


def placed(name: str) -> dict[str, dict[str, Any]]:
    """Configurations that name a class, by what is special about each."""
    spec = {"class_path": name, "init_args": {}}

    def callbacks(value: Any) -> dict[str, Any]:
        return {"trainer": {"callbacks": value}}

    def inside(kind: str, **settings: Any) -> dict[str, Any]:
        return callbacks([{"class_path": f"lightning.pytorch.callbacks.{kind}", "init_args": settings}])

    return {
        "a callback in a list": callbacks([spec]),
        "a callback alone": callbacks(spec),
        "a callback's name": callbacks(name),
        "a function": inside("StochasticWeightAveraging", swa_lrs=0.1, avg_fn=spec),
        "a function's name": inside("StochasticWeightAveraging", swa_lrs=0.1, avg_fn=name),
        "a text": inside("EarlyStopping", monitor=spec),
        "a dictionary": inside("GradientAccumulationScheduler", scheduling={1: spec}),
        "a union": inside("Timer", duration=spec),
        "any value": inside("ModelSummary", max_depth=[{"deep": [spec]}]),
        "an argument past the constructor's": callbacks(
            {"class_path": "lightning.pytorch.callbacks.ModelSummary", "dict_kwargs": {"deep": spec}}
        ),
        "a class of another callback": callbacks([{"class_path": SWA, "init_args": {"swa_lrs": 0.1, "device": spec}}]),
        "an optimizer": {"model": {"optimizer": spec}},
        "an optimizer's name": {"model": {"optimizer": name}},
        "an optimizer's argument": {
            "model": {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": spec}}}
        },
        "a strategy": {"trainer": {"strategy": spec}},
        "a strategy's plugin": {
            "trainer": {
                "strategy": {
                    "class_path": "lightning.pytorch.strategies.DDPStrategy",
                    "init_args": {"checkpoint_io": spec},
                }
            }
        },
        "a strategy's function": {
            "trainer": {
                "strategy": {
                    "class_path": "lightning.pytorch.strategies.DDPStrategy",
                    "init_args": {"ddp_comm_hook": name},
                }
            }
        },
        "a profiler": {"trainer": {"profiler": spec}},
        "an accelerator": {"trainer": {"accelerator": spec}},
        "a number": {"model": {"dropout": spec}},
        "a folder": {"data": {"root": spec}},
        "a technique's": {"lora": {"targets": [spec]}},
        "a whole section": {"trainer": spec},
    }


PLACED = [*placed("")]


@pytest.fixture
def planted(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which a mark is left by a class of a library, of every type there is, when it is built or called."""
    gc.freeze()  # what is there before need not be looked at afterwards, which takes most of a second
    module = ModuleType("torch_geometric.planted")
    mark = theirs / "it ran"

    class Planted(Callback, torch.optim.SGD):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            mark.touch()

        def __call__(self, *args: Any) -> None:
            mark.touch()

    for name, bases in (("Watch", (Callback,)), ("Mine", (torch.optim.SGD,)), ("Both", (Planted,))):
        made = type(name, bases, {"__init__": Planted.__init__, "__call__": Planted.__call__})
        made.__module__ = module.__name__
        setattr(module, name, made)
    monkeypatch.setattr(torch_geometric, "planted", module, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield theirs
    monkeypatch.undo()
    del module, made, Planted
    gc.collect()  # the parser looks a bare name up among all subclasses that there are
    gc.unfreeze()


@pytest.mark.parametrize("how", PLACED)
def test_no_file_and_no_option_has_a_class_built_where_it_is_not_wanted(
    how: str, planted: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(planted)
    for name in ("theirs.Watch", "torch_geometric.planted.Both"):
        config = placed(name)[how]
        Path("mine.yaml").write_text(yaml.safe_dump(config))
        refused(capsys, "--model", "linear_regression", "--config", "mine.yaml")
        ((section, settings),) = config.items()
        ((option, value),) = settings.items() if how != "a whole section" else [("", settings)]
        word = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
        refused(capsys, "--model", "linear_regression", f"--{section}.{option}".rstrip("."), word)
    assert not (planted / "it ran").exists()


ODD = [
    *[".theirs.Watch", "theirs.Watch ", " theirs.Watch", "theirs..Watch", "theirs:Watch", "theirs/Watch"],
    *[
        "theirs.Watch\n",
        "ｔheirs.Watch",
        "..theirs.Watch",
        "Watch",
        "theirs",
        "callbacks.theirs.Watch",
        "",
        "*",
        "torch",
    ],
    *["torch.optim.SGD.__init__", "torch.optim.lr_scheduler.StepLR", "torch.optim.sgd.sgd", "callbacks.lora.nn.Linear"],
    *["lightning_modules.layers.bert.bert", "datamodules.storage.download.download"],
    *["jsonargparse.set_parsing_settings", 7, None],
    *[["theirs.Watch"], {"class_path": "theirs.Watch"}, True],
]


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_no_spelling_of_a_name_comes_past(name: Any, planted: Path, capsys: Any) -> None:
    for config in (
        {"trainer": {"callbacks": [{"class_path": name}]}},
        {"model": {"optimizer": {"class_path": name, "init_args": {"lr": 0.1}}}},
    ):
        (planted / "mine.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        refused(capsys, "--model", "linear_regression", "--config", str(planted / "mine.yaml"))
    assert not (planted / "it ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        "x: &x {class_path: theirs.Watch}\ntrainer: {callbacks: [*x]}",
        "trainer: {callbacks: [&x {class_path: theirs.Watch}, *x]}",
        "trainer: {callbacks: {<<: {class_path: theirs.Watch}}}",
        "trainer.callbacks: [{class_path: theirs.Watch}]",
        "model.optimizer: {class_path: theirs.Mine}",
        "model: {optimizer.class_path: theirs.Mine}",
        'trainer: {callbacks: [{"class_path": !!str theirs.Watch}]}',
        'trainer: {callbacks: "[{class_path: theirs.Watch}]"}',
        "trainer: {callbacks: theirs.yaml}",
        "trainer: theirs.yaml",
        "model: {__path__: theirs.yaml}",
        "__path__: theirs.yaml",
        "__default_config__: theirs.yaml",
        "config: theirs.yaml",
        "trainer: {callbacks: {class_path: EarlyStopping, init_args: {__path__: {class_path: theirs.Watch}}}}",
        "allow: theirs",
        "--allow: theirs",
        "logs: theirs",
    ],
)
def test_no_form_of_yaml_comes_past(content: str, planted: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted)
    Path("theirs.yaml").write_text("callbacks: [{class_path: theirs.Watch}]\n")
    Path("mine.yaml").write_text(f"{content}\n")
    if content == "logs: theirs":  # an option like others
        assert "logs" not in shown(capsys, "--model", "linear_regression", "--config", "mine.yaml")
    else:
        refused(capsys, "--model", "linear_regression", "--config", "mine.yaml")
    assert not (planted / "it ran").exists()


def test_the_environment_and_a_library_s_own_name_for_it_bring_nothing(
    planted: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JSONARGPARSE_DEFAULT_ENV", "true")
    monkeypatch.setenv("FIT.PY_TRAINER__CALLBACKS", "[{class_path: theirs.Watch}]")
    monkeypatch.setenv("FIT_TRAINER__CALLBACKS", "[{class_path: theirs.Watch}]")
    parse_or_refuse = ["--model", "linear_regression", "--print_config"]
    with suppress(SystemExit):
        fit(parse_or_refuse)
    assert not (planted / "it ran").exists()


NESTED = """
from torch import nn
from lightning_modules.mlp import MLP

class Nested(MLP):
    def __init__(self, activation: nn.Module | None = None, **kwargs):
        super().__init__(**kwargs)
        self.activation = activation
"""


def test_a_model_of_ones_own_is_given_modules_of_torch_where_the_user_allows_them(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nested.py").write_text(NESTED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lightning_modules, "__path__", [*lightning_modules.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "lightning_modules.nested", raising=False)
    file = own(tmp_path, model="lightning_modules.nested.Nested")
    content = yaml.safe_load(Path(file).read_text())
    content["model"]["init_args"]["activation"] = {"class_path": "torch.nn.LeakyReLU", "init_args": {"inplace": True}}
    Path(file).write_text(yaml.safe_dump(content))
    line = refused(capsys, "--config", file)
    assert "model.activation: expected a plain value, got the class torch.nn.LeakyReLU" in line
    for word in ("torch.nn", "torch.nn.LeakyReLU"):
        parser, config = parse(resolve(["--config", file, "--allow", word]))
        assert type(parser.instantiate(config).model.activation) is torch.nn.LeakyReLU


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


@pytest.mark.parametrize("part", ["model", "data", "optimizer"])
def test_a_checkpoint_imports_nothing_that_was_not_allowed(
    part: str, trained: dict[str, Any], theirs: Path, capsys: Any
) -> None:
    content = yaml.safe_load(yaml.safe_dump(trained["config"]))
    if part in ("model", "data"):
        content[part]["class_path"] = "theirs.MyMLP"
    else:
        content["model"]["init_args"]["optimizer"] = {"class_path": "theirs.Mine", "init_args": {"lr": 1.0}}
    write_checkpoint(trained | {"config": content}, theirs / "x.ckpt")
    for script, more in ((testing.main, []), (predict, ["--input", str(theirs)])):
        line = refused(capsys, "--checkpoint", str(theirs / "x.ckpt"), *more, script=script)
        assert re.search(r"add --allow theirs\.\w+$", line.strip())
        assert not (theirs / "it ran").exists()


@pytest.mark.parametrize("how", PLACED)
def test_a_checkpoint_has_nothing_built_that_is_not_for_testing(
    how: str, trained: dict[str, Any], planted: Path
) -> None:
    content = yaml.safe_load(yaml.safe_dump(trained["config"]))
    for name in ("theirs.Watch", "torch_geometric.planted.Both"):
        for section, settings in placed(name)[how].items():
            own_section = content[section]["init_args"] if section in ("model", "data") else content.get(section, {})
            changed = content | {section: own_section | settings}
            if section in ("model", "data"):
                changed[section] = content[section] | {"init_args": own_section | settings}
        write_checkpoint(trained | {"config": changed}, planted / "x.ckpt")
        if "trainer" in placed(name)[how]:
            trainer = Experiment.load(str(planted / "x.ckpt")).trainer
            built = [type(each).__name__ for each in trainer.callbacks]  # type: ignore[attr-defined]
            assert built == ["Progress", "DataConsistencyCheck"]
            assert type(trainer.strategy).__name__ == "SingleDeviceStrategy"
        else:
            with pytest.raises(UsageError):
                Experiment.load(str(planted / "x.ckpt"))
    assert not (planted / "it ran").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"],
        ["--trainer.callbacks", "[{class_path: LearningRateMonitor}]"],
        ["--trainer.strategy", "{class_path: DDPStrategy}"],
        ["--trainer.profiler", "simple"],
        ["--trainer.profiler", "{class_path: SimpleProfiler}"],
        ["--trainer.callbacks", callback(LAMBDA), "--allow", "lightning.pytorch.callbacks"],
    ],
)
def test_what_is_for_training_is_refused_where_a_checkpoint_is_read(
    words: list[str], trained: dict[str, Any], capsys: Any, tmp_path: Path
) -> None:
    write_checkpoint(trained, tmp_path / "x.ckpt")
    given = ["--checkpoint", str(tmp_path / "x.ckpt")]
    export_words = ["--format", "safetensors", "--output", str(tmp_path / "out")]
    for script, more in ((testing.main, []), (predict, ["--input", str(tmp_path)]), (export, export_words)):
        line = refused(capsys, *given, *more, *words, script=script)
        assert re.match(r"error: --trainer\.\w+: is for training; leave it out", line)


@pytest.mark.parametrize(
    ("rebuild", "expected"),
    [
        ({"optimizer": {"class_path": "theirs.Mine", "init_args": {"lr": 0.1}}}, "add --allow theirs.Mine"),
        ({"optimizer": {"class_path": "torch.hub.load"}}, "model.optimizer: expected an Optimizer"),
        ({"monitor": {"class_path": "theirs.Watch"}}, "model.monitor: expected a plain value"),
        ({"num_features": 3}, "model.num_features: no such setting"),
        ({"__class__": "x"}, "model.__class__: no such setting"),
        ({"schedule": 7}, "model.schedule: expected"),
        ("theirs", "rebuild: expected dict, got str"),
    ],
)
def test_what_a_checkpoint_rebuilds_a_model_from_is_judged_as_any_setting(
    rebuild: Any, expected: str, trained: dict[str, Any], theirs: Path, capsys: Any
) -> None:
    write_checkpoint(trained | {"rebuild": rebuild}, theirs / "x.ckpt")
    assert expected in refused(capsys, "--checkpoint", str(theirs / "x.ckpt"), script=testing.main)
    assert not (theirs / "it ran").exists()


@pytest.mark.parametrize("where", ["init_args", "rebuild"])
def test_a_checkpoint_has_no_weights_fetched(
    where: str, trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bert, "downloaded", lambda name: pytest.fail(f"looked for {name}"))
    monkeypatch.setattr(vision, "load_pretrained", lambda *_: pytest.fail("looked for weights"))
    for model in ("bert_classifier.BertClassifier", "resnet.ResNet"):
        content = yaml.safe_load(yaml.safe_dump(trained["config"]))
        content["model"] = {"class_path": f"lightning_modules.{model}", "init_args": {}}
        content["data"]["class_path"] = "datamodules.text.TextClassification"
        changed = {"rebuild": {"pretrained": "evil/model"}} if where == "rebuild" else {}
        if where == "init_args":
            content["model"]["init_args"]["pretrained"] = "evil/model"
        request = request_of(trained | {"config": content} | changed, "x.ckpt", None, [])
        assert request.defaults["model"]["pretrained"] is None


@pytest.mark.parametrize(
    "path",
    [
        *[(), ("about",), ("about", "name"), ("model",), ("model", "class_path"), ("model", "init_args"), ("data",)],
        *[("data", "class_path"), ("data", "init_args"), ("trainer",)],
    ],
    ids=".".join,
)
@pytest.mark.parametrize("value", [7, None, ["theirs.Watch"]], ids=repr)
def test_a_checkpoint_of_other_content_is_refused(
    path: tuple[str, ...], value: Any, trained: dict[str, Any], capsys: Any, tmp_path: Path
) -> None:
    changed = {"config": yaml.safe_load(yaml.safe_dump(trained["config"]))}
    *parents, last = ("config", *path)
    node: Any = changed
    for key in parents:
        node = node[key]
    node[last] = value
    write_checkpoint(trained | changed, tmp_path / "x.ckpt")
    line = refused(capsys, "--checkpoint", str(tmp_path / "x.ckpt"), script=testing.main)
    assert "expected" in line
    line = refused(capsys, "--model", "mlp", "--model.pretrained", str(tmp_path / "x.ckpt"))
    assert "expected" in line


def test_a_checkpoint_of_a_run_with_an_admitted_callback_is_tested_without_it(capsys: Any, tmp_path: Path) -> None:
    words = ["--model", "linear_regression", "--logs", str(tmp_path), "--trainer.max_epochs", "2"]
    fit([*words, "--trainer.callbacks", callback("EarlyStopping", monitor="val/mae")])
    capsys.readouterr()
    testing.main(["--checkpoint", str(tmp_path / "linear_regression" / "version_0")])
    assert "mae" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["torch.hub.load", "os.system", "subprocess.Popen", "torch.nn.Linear"])
@pytest.mark.parametrize("part", ["model", "data"])
def test_a_checkpoint_calls_nothing_that_is_no_model(
    part: str, name: str, trained: dict[str, Any], capsys: Any, tmp_path: Path
) -> None:
    content = yaml.safe_load(yaml.safe_dump(trained["config"]))
    content[part] = {"class_path": name, "init_args": {}}
    write_checkpoint(trained | {"config": content}, tmp_path / "x.ckpt")
    assert name in refused(capsys, "--checkpoint", str(tmp_path / "x.ckpt"), script=testing.main)


@pytest.mark.parametrize("forced", [False, True])
def test_a_malicious_checkpoint_is_refused_and_has_not_run(
    forced: bool, trained: dict[str, Any], capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    file = tmp_path / "best.ckpt"
    write_checkpoint(trained | {"more": Leaves(tmp_path / "it ran")}, file)
    for script, more in ((testing.main, []), (predict, ["--input", str(tmp_path)])):
        line = refused(capsys, "--checkpoint", str(file), *more, script=script)
        assert line.startswith(f"error: --checkpoint {file}: ")
        assert not (tmp_path / "it ran").exists()
    torch.load(file, weights_only=False)
    assert (tmp_path / "it ran").exists(), "the file is malicious indeed"

"""What scripts/new.py writes works as it is: it trains, is tested and predicts."""

import shutil
from pathlib import Path

import pytest

import datamodules
import lightning_modules
import lightning_modules.tasks
from scripts.cli.command_line import recipes
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.errors import UsageError
from scripts.cli.new import TEMPLATES, new_data, new_model, new_task, task_names
from scripts.new import main
from scripts.predict import main as predict
from tests.helpers import example_inputs
from tests.helpers.stopping import SHORT, shortened, train


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the templates alone, whose modules and recipes are found besides those of the project."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / TEMPLATES, root / TEMPLATES)
    shutil.copytree(recipes.RECIPES, root / "scripts" / "recipes")
    shutil.copytree(example_inputs.INPUTS, root / "tests" / "inputs")
    for package in (lightning_modules, lightning_modules.tasks, datamodules):
        folder = root / package.__name__.replace(".", "/")
        folder.mkdir()
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    monkeypatch.syspath_prepend(str(root))  # where the names of data sets are looked for
    monkeypatch.setattr(recipes, "RECIPES", root / "scripts" / "recipes")
    monkeypatch.setattr(example_inputs, "INPUTS", root / "tests" / "inputs")
    return root


def test_the_help_and_the_pages_name_every_task() -> None:
    for file in ("scripts/new.py", "docs/en/own-model.md", "docs/zh/own-model.md"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert [name for name in task_names(ROOT) if name not in text] == [], file


def works(name: str, folder: Path) -> None:
    """Train, test and predict."""
    assert train(["--model", name, *SHORT, *shortened(name), "--logs", str(folder), "--trainer.max_epochs", "1"]) == 0
    output = folder / "predictions.csv"
    source = str(example_inputs.example_input(name))
    predict(["--checkpoint", str(folder / name / "version_0"), "--input", source, "--output", str(output)])
    assert len(output.read_text(encoding="utf-8").splitlines()) > 2


@pytest.mark.parametrize("task", task_names())
def test_a_new_model_of_every_task_works_as_it_is(task: str, project: Path, tmp_path: Path) -> None:
    name = f"new_{task}_model"
    said = new_model(name, task, root=project)
    assert said.splitlines() == [
        f"wrote lightning_modules/{name}.py",
        f"wrote scripts/recipes/{name}.yaml",
        f"next: python scripts/fit.py --model {name}",
    ]
    works(name, tmp_path)


def test_a_new_task_has_a_template_of_its_models(project: Path, tmp_path: Path) -> None:
    assert new_task("ranking", project).splitlines()[-1] == "next: python scripts/new.py model MODEL --task ranking"
    assert "ranking" in task_names(project)
    new_model("ranker", "ranking", root=project)
    works("ranker", tmp_path)


def test_a_new_datamodule_trains_a_new_model(project: Path, tmp_path: Path) -> None:
    said = new_data("my_spectra", project)
    assert said.splitlines()[-1] == "next: python scripts/new.py model MODEL --task classification --data my_spectra"
    new_model("spectral", "classification", "my_spectra", project)
    assert recipes.read_recipe("spectral")["data"] == {
        "class_path": "datamodules.my_spectra.MySpectra",
        "init_args": {"dataset": "my_spectra"},
    }
    works("spectral", tmp_path)


def test_a_name_that_is_like_the_templates_is_taken_as_it_is(project: Path) -> None:
    new_data("new_data_2", project)
    written = (project / "datamodules" / "new_data_2.py").read_text(encoding="utf-8")
    assert 'embedded: ClassVar[tuple[str, ...]] = ("new_data_2",)' in written
    assert "class NewData2(LabelledData):" in written


def test_nothing_is_overwritten(project: Path) -> None:
    recipe = project / "scripts" / "recipes" / "mlp.yaml"
    before = recipe.read_bytes()
    with pytest.raises(UsageError, match=r"^scripts/recipes/mlp\.yaml is there already; choose another name$"):
        new_model("mlp", "classification", root=project)
    assert not (project / "lightning_modules" / "mlp.py").exists()  # neither file is written where one cannot be
    assert recipe.read_bytes() == before
    (project / "datamodules" / "files").mkdir()
    with pytest.raises(UsageError, match=r"^datamodules/files is there already"):
        new_data("files", project)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model", "x"], "--task: expected one of classification, "),
        (["model", "x", "--task", "clasification"], "got clasification; did you mean classification?"),
        (["model", "mlp", "--task", "regression"], "lightning_modules/mlp.py is there already; choose another name"),
        (["model", "My-Model", "--task", "regression"], "expected the name of a Python module, "),
        (["task", "class"], "expected the name of a Python module, lowercase letters, digits and _, got class"),
        (["data", "x", "--task", "regression"], "--task and --data belong to a new model, not to a new data"),
        (["model", "x", "--task", "regression", "--data", "tabular"], "expected one of tabular.Tabular, "),
        (["model", "x", "--task", "regression", "--data", "tabula"], "--data tabula: cannot be imported"),
        (["model", "tensor", "--task", "regression"], "lightning_modules/tensor.py needs another class Tensor; choose"),
        (["models", "x"], "expected model, data or task and a name, got models x"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ")
    assert line in said

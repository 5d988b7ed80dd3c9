"""Which code, recipes and folders are used: those of the clone in which a script is, or of an installed package."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts.cli.command_line.recipes import ROOT

PACKAGES = ("callbacks", "datamodules", "lightning_modules", "scripts")
MADE = {"__pycache__", ".options"}  # folders that running the project makes
WITHOUT_PATH = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_a_script_runs_the_code_and_recipes_of_its_own_clone(tmp_path: Path) -> None:
    for package in PACKAGES:
        ignored = shutil.ignore_patterns(*MADE)
        shutil.copytree(ROOT / package, tmp_path / "a clone" / package, ignore=ignored)
    clone = tmp_path / "a clone"
    shutil.copy(clone / "scripts" / "recipes" / "mlp.yaml", clone / "scripts" / "recipes" / "only_here.yaml")
    variables = {**WITHOUT_PATH, "PYTHONPATH": str(tmp_path / "elsewhere")}
    command = [sys.executable, str(clone / "scripts" / "fit.py"), "--list"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert "\nonly_here " in done.stdout


def test_a_package_has_every_file_that_it_reads() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = config["tool"]["setuptools"]["package-data"]
    for package in PACKAGES:
        packed = {file for pattern in patterns.get(package, []) for file in (ROOT / package).glob(pattern)}
        files = {file for file in (ROOT / package).rglob("*") if file.is_file() and not MADE & {*file.parts}}
        assert {file for file in files if file.suffix != ".py"} == packed


def test_a_python_without_the_packages_is_told_in_one_line() -> None:
    """As where the virtual environment was not activated."""
    for words in (["fit.py", "--model", "mlp"], ["predict.py", "--help"], ["benchmark.py"]):
        command = [sys.executable, "-S", str(ROOT / "scripts" / words[0]), *words[1:]]  # -S: without installed packages
        done = subprocess.run(command, env=WITHOUT_PATH, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr == (
            f"error: {sys.executable} lacks yaml, torch, lightning: activate the virtual environment of the project, "
            f"or install it: pip install -e .\n"
        )


@pytest.mark.long
def test_an_installed_package_trains_from_anywhere_into_the_current_folder(tmp_path: Path) -> None:
    site, place, source = tmp_path / "site", tmp_path / "my work 工作", tmp_path / "source"
    place.mkdir()
    for package in PACKAGES:  # pip leaves a folder where it builds
        shutil.copytree(ROOT / package, source / package)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(source)]
    subprocess.run(pip, check=True, env=WITHOUT_PATH)
    variables = {**WITHOUT_PATH, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, str(site / "bin" / "lightning-template")]
    for words, printed in (
        (["fit", "--model", "mlp", "--epochs", "1"], "dashboard:  tensorboard --logdir lightning_logs/mlp"),
        (["test", "--checkpoint", "lightning_logs/mlp/version_0"], "accuracy"),
    ):
        done = subprocess.run([*program, *words], cwd=place, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert printed in done.stdout
    assert (place / "lightning_logs" / "mlp" / "version_0" / "results.json").exists()
    made = subprocess.run([*program, "new", "model", "mine", "--task", "classification"], cwd=place, env=variables,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert made.returncode == 2
    assert "needs a clone of the project" in made.stderr

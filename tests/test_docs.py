"""Every command of the README and of docs/ runs, from the checkout's root, though for fewer epochs."""

import ast
import importlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from torch.distributed import run as torchrun

from callbacks.run.checkpoint_file import FORMAT
from datamodules.errors import UserError
from scripts import fit
from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import ROOT, recipe_names, resolve
from scripts.cli.command_line.spellings import spelt_out
from scripts.cli.run import files
from scripts.experiment import Experiment
from tests.helpers.pages import PAGES, blocks, code_by_section, commands, published_for, read, write_pretrained

ALL = [page for pair in PAGES for page in pair]
COMMANDS = commands(*ALL)
RUN = commands(*(page for page in ALL if page.parent.name != "course"))  # tests/docs runs the course's
PUBLISHED = {name for model in recipe_names() for name in published_for(model)}
MY_CHAT = "my_chat"  # a folder that one command writes, and another reads
IMAGE_MODELS = ["cnn", "resnet", "inception", "efficientnet", "capsnet", "gan"]


def on_published_data(line: str) -> bool:
    """Whether the command needs a published data set."""
    return bool(PUBLISHED & set(re.findall(r"--data (\S+)", line)))


def marks(line: str) -> list[pytest.MarkDecorator]:
    """What says that the command takes long, or needs published data, which takes long to read."""
    found = [pytest.mark.real_data, pytest.mark.long] if on_published_data(line) else []
    return found or ([pytest.mark.long] if re.search("sweep|cross_validate|export|compile", line) else [])


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a copy of the project."""
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples that the commands name, and runs for those that take a checkpoint."""
    place = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", place / "examples")
    write_pretrained(place / "my_bert")
    trained = ["cnn shapes", "mlp fruit.csv", "mlp fruit.csv", "transformer pairs.tsv", "attention_rnn reviews.csv"]
    for name, file in map(str.split, trained):
        words = ["--data.image_size", "32"] if name == "cnn" else []
        words += ["--data.batch_size", "16", "--trainer.max_epochs", "1", "--logs", str(place / "lightning_logs")]
        fit.main(["--model", name, "--data", str(place / "examples" / "data" / file), *words])
    return place


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, to add files to."""
    for name in ("callbacks", "datamodules", "lightning_modules", "scripts", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".options"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("pair", PAGES, ids=lambda pair: pair[0].stem)
def test_both_languages_have_the_same_code_in_every_section(pair: tuple[Path, Path]) -> None:
    english, chinese = map(code_by_section, pair)
    assert english == chinese


def test_every_page_is_there_in_both_languages_and_in_the_navigation() -> None:
    english, chinese = (
        {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
        for docs in (ROOT / "docs" / "en", ROOT / "docs" / "zh")
    )
    assert english == chinese
    navigation = read(ROOT / "mkdocs.yml").partition("\nnav:")[2]
    assert sorted(re.findall(r"- ([\w/-]+\.md)", navigation)) == sorted(english)


@pytest.mark.parametrize("page", ALL, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_to_files(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", read(page)) if "://" not in link]
    assert [link for link in links if not (page.parent / link).is_file()] == []


def test_the_files_that_pages_name_are_there() -> None:
    folders = "callbacks|datamodules|docs|examples|lightning_modules|scripts|tests"
    pages = [*ALL, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
    named = {name for page in pages for name in re.findall(rf"`((?:{folders})/[\w./]+\.\w+)`", read(page))}
    assert len(named) > 10
    assert sorted(name for name in named if not (ROOT / name).exists() and "/my_" not in name) == []


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, marks=marks(line)) for line in RUN if line.startswith("python scripts/")],
)
@pytest.mark.filterwarnings("ignore:No (positive|negative) samples")  # in so few batches
def test_the_command_runs(
    line: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "scripts/new.py" in line:
        pytest.skip("run by test_the_templates_are_written")
    monkeypatch.chdir(place)
    monkeypatch.setattr(files, "LOGS", place / "lightning_logs")
    monkeypatch.setattr("scripts.cli.measure.benchmark.STEPS", 4)
    monkeypatch.setattr("scripts.cli.measure.comparison.MOST", 4)
    monkeypatch.setattr("scripts.cli.measure.comparison.ROUNDS", 1)
    make_what_is_read(line, place)
    root = str(request.getfixturevalue("shared_data")) if on_published_data(line) else None
    execute(line, place, [] if root is None else ["--data.root", root])
    assert capsys.readouterr().out


def execute(line: str, place: Path, further: list[str]) -> None:
    """Run a command, which has to succeed, for fewer steps."""
    _, script, *words = shlex.split(line)
    script = Path(script).stem
    main = importlib.import_module(f"scripts.{script}").main
    try:
        main(shortened(script, [*words, *further], place / "lightning_logs"))
    except SystemExit as stop:
        assert stop.code == 0  # noqa: PT017 (--help leaves in this way)


def make_what_is_read(line: str, place: Path) -> None:
    """Run the commands that make the runs of language models, and the folder, that a command reads."""
    for name in re.findall(r"lightning_logs/(llm\w*)/version_0", line):
        if not (place / "lightning_logs" / name).exists():
            execute(f"python scripts/fit.py --model {name}", place, [])
    if MY_CHAT in shlex.split(line) and f"--output {MY_CHAT}" not in line and not (place / MY_CHAT).exists():
        (making,) = {made for made in RUN if f"--output {MY_CHAT}" in made}
        make_what_is_read(making, place)
        execute(making, place, [])


def shortened(script: str, words: list[str], logs: Path) -> list[str]:
    """The command's words, for fewer steps."""
    words = spelt_out(words)
    if script == "fit" and {"--model", "--config"} & set(words) and not {"--help", "--help_all"} & set(words):
        words += ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]
        if "auto" not in words:
            words += ["--data.batch_size", "null" if "gcn" in words or "linear_regression" in words else "16"]
        words += ["--trainer.limit_val_batches", "2", "--trainer.limit_test_batches", "2"]
        words += ["--model.judge_steps", "3"] if "gan" in words else []
    for option, count in (("--folds", "2"), ("--trials", "1")):
        if option in words:
            words[words.index(option) + 1] = count
    if script in ("cross_validate", "sweep"):
        words += ["--logs", str(logs), "--trainer.max_epochs", "1"]
    if script == "find_rate":
        words += ["--steps", "10"]
    if script == "submit":
        words += ["--dry-run"]  # tests/scripts/cli/test_slurm.py submits
    return words


def test_no_command_is_left_out() -> None:
    """Each begins with words that one of these tests looks for."""
    known = (
        "python scripts/",
        "python -m scripts ",
        "python examples/",  # tests/docs/test_course.py
        "python docs/notebooks.py",  # tests/docs/test_notebooks.py
        "python predict_onnx.py ",  # tests/scripts/cli/export/test_formats.py
        "lightning-template ",
        "torchrun ",
        "tensorboard ",
        "pip install ",
    )
    assert [line for line in COMMANDS if not line.startswith(known)] == []


@pytest.mark.parametrize("line", [line for line in COMMANDS if " fit " in line])
def test_other_ways_to_call_fit(line: str) -> None:
    """They are the same command: what answers without importing torch is answered alike."""
    command = shlex.split(line.replace("python ", f"{sys.executable} ").replace("--model gat", "--list"))
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    answers = [
        subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for words in (command, [sys.executable, "scripts/fit.py", "--list"])
    ]
    assert answers[0] == answers[1] != ""


def test_torchrun_takes_its_line() -> None:
    (line,) = [line for line in COMMANDS if line.startswith("torchrun ")]
    found = torchrun.parse_args(shlex.split(line)[1:])
    assert (found.nproc_per_node, found.max_restarts) == ("8", 3)
    assert (ROOT / found.training_script).is_file()
    parse(resolve([word for word in found.training_script_args if word != "--"]))


@pytest.mark.long
def test_the_commands_of_the_tables_of_scores_are_valid(tmp_path: Path) -> None:
    """Each option of theirs is there, and takes the value; what they score is measured by hand."""
    spans = {span for page in ALL for _, spans in code_by_section(page) for span in spans}
    lines = {span for span in spans if re.match("--model [a-z]+", span) and "NAME" not in span and "--help" not in span}
    assert len(lines) > 25
    for line in lines:
        for name in re.findall(r"\$DATA/(\S+)", line):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
        parse(resolve(shlex.split(line.replace("$DATA", str(tmp_path)).replace("$MINILM", str(tmp_path)))))


@pytest.mark.parametrize("page", [ROOT / "docs" / name / "published-data.md" for name in ("en", "zh")])
def test_the_published_data_sets_are_known_to_the_models_that_the_page_names(page: Path) -> None:
    (table,) = re.findall(r"^\| `--data` \|.*?\n\n", read(page), re.DOTALL | re.MULTILINE)
    stated: set[str] = set()
    for cell, models in (row.split(" | ")[:2] for row in table.strip().splitlines()[2:]):
        names = set(re.findall(r"[A-Za-z][\w-]*", re.sub(r"[(（].*?[)）]|`.*?`|\band\b.*", "", cell)))
        for model in re.findall(r"`(\w+)`", models) or IMAGE_MODELS:
            assert names <= set(published_for(model)), (cell, model)
        stated |= names
    graphs = set(published_for("gat"))
    assert PUBLISHED - stated < graphs
    assert len(graphs - stated) == 60


@pytest.mark.parametrize("page", [ROOT / "docs" / name / "command-line.md" for name in ("en", "zh")])
def test_the_table_of_scripts_has_every_script(page: Path) -> None:
    named = set(re.findall(r"^\| `(\w+\.py)` \|", read(page), re.MULTILINE))
    there = {file.name for file in (ROOT / "scripts").glob("*.py") if "def main(" in read(file) and file.name[0] != "_"}
    assert named == there


def test_what_other_files_say_of_the_project_is_true() -> None:
    """The changelog has the checkpoints' format, the citation the version, the Dockerfile the versions of torch."""
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    assert f"The format of checkpoints is {FORMAT} " in read(ROOT / "CHANGELOG.md")
    assert yaml.safe_load(read(ROOT / "CITATION.cff"))["version"] == project["version"]
    installed = re.findall(r'"(torch[^"]*)"', read(ROOT / "Dockerfile"))
    assert [name for name in project["dependencies"] if re.match("torch(vision)?>", name)] == installed


@pytest.mark.long
def test_tensorboard_serves_the_runs(place: Path) -> None:
    fit.main(["--model", "linear_regression", "--logs", str(place / "lightning_logs")])
    (line,) = [line for line in COMMANDS if line.startswith("tensorboard ")]
    name, *words = shlex.split(line)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name(name)), *words, "--port", str(port)]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            served, deadline = "", time.monotonic() + 120
            while "linear_regression" not in served and time.monotonic() < deadline:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs", timeout=2) as answer:
                        served = answer.read().decode()
                except OSError:
                    time.sleep(0.2)
            with pytest.raises(OSError, match="refused"):  # an address of this machine that others could reach
                socket.create_connection(("127.0.0.2", port), timeout=2)
        finally:
            server.terminate()
    assert "linear_regression/version_0" in served


NOTEBOOK = blocks(ROOT / "docs" / "en" / "notebook.md", "python")


def test_every_option_of_an_experiment_is_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setattr(files, "LOGS", place / "lightning_logs")
    (place / "changes.yaml").write_text("trainer: {max_epochs: 2}\n")
    (place / "my_package.py").write_text("import torch\nclass MyOptimizer(torch.optim.SGD):\n    pass\n")
    code = NOTEBOOK[1].replace('Experiment("mlp", ', 'Experiment("mlp", trainer={"max_epochs": 1}, ')
    for statement in map(ast.unparse, ast.parse(code).body):
        ends = pytest.raises(UserError, match="this run has finished") if "resume" in statement else nullcontext()
        with ends:
            exec(statement, {"Experiment": Experiment})


@pytest.mark.long
def test_the_notebook_runs_in_a_kernel(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell, where stdout is no file, an event loop runs, and a second run begins in the same process."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    logs = place / "notebook_logs"
    first, lightning = (
        block.replace('{"max_epochs": 20}', f'{{"max_epochs": 1}}, logs="{logs}"') for block in NOTEBOOK[::2]
    )
    cells = [first, first, lightning]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    done = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(place)}}).execute()
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in done.cells]
    assert all(f"{logs}/mlp/version_{index}" in text for index, text in enumerate(printed[:2]))
    assert (logs / "mlp" / "version_1" / "results.json").exists()


@pytest.mark.parametrize("block", NOTEBOOK[::2], ids=["experiment", "lightning"])
def test_the_notebook_runs(block: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(files, "LOGS", place / "lightning_logs")
    exec(compile(block.replace('"max_epochs": 20', '"max_epochs": 1'), "notebook.md", "exec"), {})


@pytest.mark.long
def test_a_model_of_ones_own_is_the_two_files_that_the_page_shows(project: Path) -> None:
    """In a copy of the project: it is listed, trained to the score that its recipe states, and tested unasked."""
    page = ROOT / "docs" / "en" / "own-model.md"
    files = re.findall(r"`([\w/]+/my_model\.\w+)`:\n\n```\w+\n(.*?)```", read(page), re.DOTALL)
    assert [name for name, _ in files] == ["lightning_modules/my_model.py", "scripts/recipes/my_model.yaml"]
    for name, content in files:
        (project / name).write_text(content, encoding="utf-8")
    assert re.search(r"^my_model .* A linear classifier\.$", run(project, "scripts/fit.py", "--list").stdout, re.M)
    tested = ["tests/test_recipes.py", "tests/scripts/cli/command_line/test_command_line.py"]
    done = run(project, "-m", "pytest", "-k", "my_model", "-m", "long or not long", *tested)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= 10


@pytest.mark.long
def test_the_templates_are_written(project: Path) -> None:
    """Each command of new.py, in the order of the page, in a copy of the project."""
    lines = [line for line in COMMANDS if "scripts/new.py" in line]
    assert len(lines) == 3
    for line in lines:
        done = run(project, *shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr
        written = re.findall(r"^wrote (\S+)$", done.stdout, re.MULTILINE)
        assert written
        assert all((project / name).is_file() for name in written)

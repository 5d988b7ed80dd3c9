"""Every command of the README runs as it stands, from the checkout's root, but for fewer epochs."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.distributed import run as torchrun
from transformers import BertConfig, BertModel

from datamodules.graphs import GraphClasses
from datamodules.storage.known_datasets import known_datasets
from datamodules.tokenizing.tokens import new_tokenizer
from scripts import benchmark, cross_validate, export, find_rate, fit, predict, schedule, submit, sweep
from scripts import test as testing
from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import ROOT, read_recipe, resolve
from scripts.cli.run import folder
from tests.helpers.datamodules import DATAMODULES

READMES = sorted(ROOT.glob("README*.md"))
MAINS = {
    "fit.py": fit.main,
    "test.py": testing.main,
    "predict.py": predict.main,
    "benchmark.py": benchmark.main,
    "submit.py": submit.main,
    "cross_validate.py": cross_validate.main,
    "export.py": export.main,
    "find_rate.py": find_rate.main,
    "schedule.py": schedule.main,
    "sweep.py": sweep.main,
}
INPUTS = Path(__file__).parent / "inputs"


def commands(readme: Path) -> list[str]:
    """The lines of its shell blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def scripts_of(readme: Path) -> list[str]:
    return [line for line in commands(readme) if line.startswith("python scripts/")]


@pytest.fixture(scope="module")
def place(tmp_path_factory, request) -> Path:
    """A folder with the files that the commands speak of."""
    place = tmp_path_factory.mktemp("readme")
    random = np.random.default_rng(0)
    for number in range(60):
        kind = ("cat", "dog", "鸟")[number % 3]
        size = (40, 30 + number % 5, 3)
        (place / "photos" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, size, np.uint8)).save(place / "photos" / kind / f"{number}.png")
    files = sorted(place.glob("photos/*/*.png"))
    (place / "photos.csv").write_text(
        "".join(f"{file.relative_to(place)},{file.parent.name}\n" for file in files), encoding="utf-8"
    )
    lines = [f"{random.normal():.2f},{number % 7},{'ab'[number % 2]}" for number in range(100)]
    (place / "rows.csv").write_text("size,count,kind\n" + "\n".join(lines) + "\n")
    days = [f"2024-01-01,{10 + number % 7 + random.normal():.2f}" for number in range(400)]
    (place / "sales.csv").write_text("day,sold\n" + "\n".join(days) + "\n")
    texts(place, random)
    pretrained(place / "my_bert")
    folder = place / "molecules"
    folder.mkdir()
    for file in (INPUTS / "gat").iterdir():
        text = file.read_text()
        if file.name.endswith("_A.txt"):
            last = max(int(cell) for line in text.splitlines() for cell in line.split(","))
            shifted = [
                ", ".join(str(int(cell) + copy * last) for cell in line.split(","))
                for copy in range(10)
                for line in text.splitlines()
            ]
            text = "\n".join(shifted)
        elif file.name.endswith("_indicator.txt"):
            text = "\n".join(str(int(line) + 4 * copy) for copy in range(10) for line in text.splitlines())
        else:
            text = text * 10
        (folder / file.name).write_text(text)
    (folder / "rings_graph_labels.txt").write_text("1\n2\n" * 20)
    shutil.copytree(INPUTS / "gcn", place / "friends")
    members = (place / "friends" / "nodes.csv").read_text().splitlines()[1:]
    (place / "friends" / "nodes.csv").write_text(
        "id,label\n" + "".join(f"{member},{'xy'[number % 2]}\n" for number, member in enumerate(members))
    )
    for name, file in (("cnn", "photos"), ("mlp", "rows.csv"), ("transformer", "pairs.tsv")):  # which commands take up
        words = ["--data.image_size", "32"] if name == "cnn" else []
        words += ["--data.batch_size", "16", "--trainer.max_epochs", "1", "--logs", str(place / "lightning_logs")]
        fit.main(["--model", name, "--data", str(place / file), *words])
    return place


def texts(place: Path, random: np.random.Generator) -> None:
    """Reviews, names, questions and pairs of sentences, in both languages."""
    words = ["good", "bad", "很好", "很差"]
    reviews = [f"{words[number % 4]} {number},{'ab'[number % 2]}" for number in range(80)]
    (place / "reviews.csv").write_text("text,label\n" + "\n".join(reviews) + "\n", encoding="utf-8")
    (place / "names.bio").write_text("Anna B-person\nsang O\n\n乌 B-place\n城 I-place\n大 O\n\n" * 40, encoding="utf-8")
    paragraphs = []
    for number in range(40):
        answer = {"text": f"{number}", "answer_start": 10}
        asked = {"question": "What is it? 是什么？", "answers": [answer]}
        paragraphs.append({"context": f"Its value {number} 是它的值。", "qas": [asked]})
    content = {"data": [{"paragraphs": paragraphs}]}
    (place / "questions.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    pairs = [(f"number {number} and {number * 7 % 11}", f"数字 {number} 和 {number * 7 % 11}") for number in range(80)]
    (place / "pairs.tsv").write_text("".join(f"{one}\t{other}\n" for one, other in pairs), encoding="utf-8")
    (place / "sentences.txt").write_text("number 3\nnumber 5\n")
    (place / "corpus").mkdir()
    for language, side in (("en", 0), ("zh", 1)):
        lines = "".join(f"{pair[side]}\n" for pair in pairs)
        (place / "corpus" / f"train.{language}").write_text(lines, encoding="utf-8")


def pretrained(folder: Path) -> None:
    """A model's folder as transformers writes it."""
    tokenizer = new_tokenizer("wordpiece", ["good bad 很 好 差"] * 3, vocab_size=60)
    config = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_the_set_up_lines_stand_as_promised(readme):
    lines = commands(readme)
    assert "pip install -e . && python scripts/fit.py --model gat" in lines
    assert 'pip install -e ".[dev]" && pytest' in lines


def literals(readme: Path) -> list[tuple[list[str], list[str]]]:
    """The code blocks of each section, and the code within its text, in any order, without what is translated."""
    text = re.sub(r"(```text\nlightning_modules/.*?```)", "", readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        blocks = re.findall(r"```.*?```", section, re.DOTALL)
        spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", section, flags=re.DOTALL))
        found.append((blocks, sorted(re.sub(r"<\w+>", "<>", " ".join(span.split())) for span in spans)))
    return found


def test_both_languages_have_the_same_code_in_every_section():
    english, chinese = (literals(ROOT / name) for name in ("README.md", "README.zh-CN.md"))
    assert len(english) == len(chinese) > 10
    for ours, theirs in zip(english, chinese, strict=True):
        assert ours == theirs


def datasets(cell: str) -> list[str]:
    """The names in a cell of the table of published data."""
    return re.findall(r"[A-Za-z][\w-]*", re.sub(r"[(（].*?[)）]|`.*?`|\band\b.*", "", cell))


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_the_published_data_sets_are_known_to_the_models_beside_them(readme):
    (table,) = re.findall(r"^\| `--data` \|.*?\n\n", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    stated = set()
    for cell, models in (row.split(" | ")[:2] for row in table.strip().splitlines()[2:]):
        names = re.findall(r"`(\w+)`", models) or ["cnn", "resnet", "inception", "efficientnet", "capsnet", "gan"]
        for name in names:
            known = known_datasets(read_recipe(name)["data"]["class_path"])
            assert set(datasets(cell)) <= set(known), (cell, name)
            stated |= set(datasets(cell))
    graphs = GraphClasses.published.keys()
    assert {name for cls in DATAMODULES for name in cls.published} - stated < graphs
    assert len(graphs - stated) == 60


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_torchrun_takes_its_line(readme):
    (line,) = [line for line in commands(readme) if line.startswith("torchrun ")]
    found = torchrun.parse_args(shlex.split(line)[1:])
    assert (found.nproc_per_node, found.max_restarts) == ("8", 3)
    assert (ROOT / found.training_script).is_file()
    parse(resolve([word for word in found.training_script_args if word != "--"]))


@pytest.mark.filterwarnings("ignore:No (positive|negative) samples")  # in so few batches
@pytest.mark.parametrize("line", sorted({line for readme in READMES for line in scripts_of(readme)}))
def test_the_command_runs(line, place, monkeypatch, request, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr(folder, "LOGS", place / "lightning_logs")
    _, script, *words = shlex.split(line)
    script = script.removeprefix("scripts/")
    if any(re.search(rf"--data {name}\b", line) for cls in DATAMODULES for name in cls.published):
        words += ["--data.root", str(request.getfixturevalue("shared_data"))]
    if script == "fit.py" and ({"--model", "--config"} & set(words)) and "--help" not in words:
        words += ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]
        if "auto" not in words:
            words += ["--data.batch_size", "null" if "gcn" in words or "linear_regression" in words else "16"]
        words += ["--trainer.limit_val_batches", "2", "--trainer.limit_test_batches", "2"]
        words += ["--model.judge_steps", "3"] if "gan" in words else []
    if script == "benchmark.py":
        monkeypatch.setattr("scripts.cli.measure.benchmark.STEPS", 4)
    if script == "find_rate.py":
        words += ["--steps", "10"]
    if script == "cross_validate.py":
        words[words.index("--folds") + 1] = "2"
        words += ["--logs", str(place / "lightning_logs"), "--trainer.max_epochs", "1"]
    if script == "sweep.py":
        words[words.index("--trials") + 1] = "2"
        words += ["--logs", str(place / "lightning_logs"), "--trainer.max_epochs", "1"]
    if script == "submit.py":
        words += ["--dry-run"]  # tests/scripts/cli/test_slurm.py submits
    try:
        MAINS[script](words)
    except SystemExit as stop:
        assert stop.code == 0  # noqa: PT017 (--help leaves in this way)
    assert capsys.readouterr().out


@pytest.mark.long
def test_tensorboard_serves_the_runs(place):
    fit.main(["--model", "linear_regression", "--logs", str(place / "lightning_logs")])
    (line,) = {line for readme in READMES for line in commands(readme) if line.startswith("tensorboard ")}
    name, *words = shlex.split(line)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name(name), *words, "--port", str(port)]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(60):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs", timeout=2) as answer:
                        served = answer.read().decode()
                except OSError:
                    served = ""
                if "linear_regression" in served:
                    break
                time.sleep(0.5)
            with pytest.raises(OSError, match="refused"):  # as is an address of this machine that others could ask for
                socket.create_connection(("127.0.0.2", port), timeout=2)
        finally:
            server.terminate()
    assert "linear_regression/version_0" in served


@pytest.mark.long
def test_a_model_of_ones_own_is_the_two_files_that_the_page_shows(tmp_path):
    """In a copy of the project: it is listed, trained to the score that its recipe states, and tested unasked."""
    for name in ("callbacks", "datamodules", "lightning_modules", "scripts", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    files = re.findall(
        r"`([\w/]+/my_model\.\w+)`[:：]\n\n```\w+\n(.*?)```", READMES[0].read_text(encoding="utf-8"), re.DOTALL
    )
    assert [name for name, _ in files] == ["lightning_modules/my_model.py", "scripts/recipes/my_model.yaml"]
    for name, content in files:
        (tmp_path / name).write_text(content, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": "-p no:cacheprovider"}

    def run(*words):
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert re.search(r"^my_model .* A linear classifier\.$", run("scripts/fit.py", "--list").stdout, re.MULTILINE)
    tested = ["tests/test_recipes.py", "tests/scripts/cli/command_line/test_command_line.py"]
    done = run("-m", "pytest", "-k", "my_model", "-m", "long or not long", *tested)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 10


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_the_list_of_folders_names_every_script(readme):
    (scripts,) = re.findall(r"^scripts/ +(\w.*)[;；]", readme.read_text(encoding="utf-8"), re.MULTILINE)
    named = re.split("[,、] ?", scripts)
    assert sorted(named) == sorted(file.stem for file in (ROOT / "scripts").glob("*.py") if file.stem != "__init__")

"""Every command of the README runs as it stands, from the checkout's root, but for fewer epochs."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import BertConfig, BertModel

from datamodules.catalogue import PUBLISHED
from datamodules.tokens import new_tokenizer
from scripts import benchmark, cross_validate, export, find_rate, fit, predict, schedule, submit, sweep
from scripts import test as testing
from scripts.cli import runs
from scripts.cli.recipes import ROOT

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


def test_both_languages_have_the_same_commands():
    english, chinese = (scripts_of(ROOT / name) for name in ("README.md", "README.zh-CN.md"))
    assert english == chinese


@pytest.mark.filterwarnings("ignore:No (positive|negative) samples")  # in so few batches
@pytest.mark.parametrize("line", sorted({line for readme in READMES for line in scripts_of(readme)}))
def test_the_command_runs(line, place, monkeypatch, request, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr(runs, "LOGS", place / "lightning_logs")
    monkeypatch.setattr("scripts.cli.training.LOGS", place / "lightning_logs")
    _, script, *words = shlex.split(line)
    script = script.removeprefix("scripts/")
    if any(re.search(rf"--data {name}\b", line) for known in PUBLISHED.values() for name in known):
        words += ["--data.root", str(request.getfixturevalue("shared_data"))]
    if script == "fit.py" and ({"--model", "--config"} & set(words)) and "--help" not in words:
        words += ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]
        if "auto" not in words:
            words += ["--data.batch_size", "null" if "gcn" in words or "linear_regression" in words else "16"]
        words += ["--trainer.limit_val_batches", "2", "--trainer.limit_test_batches", "2"]
        words += ["--model.judge_steps", "3"] if "gan" in words else []
    if script == "benchmark.py":
        monkeypatch.setattr("scripts.cli.benchmark.STEPS", 4)
    if script == "find_rate.py":
        words += ["--steps", "10"]
    if script == "cross_validate.py":
        words[words.index("--folds") + 1] = "2"
        words += ["--logs", str(place / "lightning_logs"), "--trainer.max_epochs", "1"]
    if script == "sweep.py":
        words[words.index("--trials") + 1] = "2"
        words += ["--logs", str(place / "lightning_logs"), "--trainer.max_epochs", "1"]
    if script == "submit.py":
        words += ["--dry-run"]  # tests/scripts/test_slurm.py submits
    try:
        MAINS[script](words)
    except SystemExit as stop:
        assert stop.code == 0  # noqa: PT017 (--help leaves in this way)
    assert capsys.readouterr().out


@pytest.mark.long
def test_tensorboard_serves_the_runs(place):
    fit.main(["--model", "linear_regression", "--logs", str(place / "lightning_logs")])
    command = [Path(sys.executable).with_name("tensorboard"), "--logdir", place / "lightning_logs", "--port", "16006"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(60):
                try:
                    with urllib.request.urlopen("http://127.0.0.1:16006/data/runs", timeout=2) as answer:
                        served = answer.read().decode()
                except OSError:
                    served = ""
                if "linear_regression" in served:
                    break
                time.sleep(0.5)
        finally:
            server.terminate()
    assert "linear_regression/version_0" in served

"""What the command line answers: quickly where nothing heavy is needed, and in one line where something is wrong."""

import csv
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Union

import numpy as np
import pytest
import yaml
from lightning.pytorch import Trainer
from PIL import Image

from scripts import test as testing
from scripts.cli.command_line.options import build_parser
from scripts.cli.command_line.parser import SECTIONS
from scripts.cli.command_line.recipes import RECIPES, recipe_names, resolve
from scripts.cli.command_line.subcommands import run as run_subcommand
from scripts.fit import main as fit
from scripts.predict import main as predict
from tests.helpers.pages import write_pretrained
from tests.helpers.stopping import SHORT

ROOT = RECIPES.parents[1]


def refused(capsys: Any, *words: str, script: Any = fit) -> str:
    """The one line with which the command line refuses, after status 2."""
    with pytest.raises(SystemExit) as stop:
        script(list(words))
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in out + err
    return lines[0]


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["--list"], 0, "gat"),
        (["--help"], 0, "--list"),
        ([], 2, "--list"),
        (["--model", "gta"], 2, "error: --model gta: no such model; did you mean gat? (--list shows them all)"),
        (["--model", "cnn", "--data", "MNITS"], 2, "did you mean MNIST?"),
    ],
)
def test_answers_in_under_half_a_second_without_torch(words: list[str], status: int, expected: str) -> None:
    code = "import sys, runpy; sys.argv = ['fit.py', *sys.argv[1:]]\n"
    code += f"try: runpy.run_path({str(ROOT / 'scripts' / 'fit.py')!r}, run_name='__main__')\n"
    code += "finally: assert not {'torch', 'lightning', 'numpy'} & set(sys.modules)"
    fastest = float("inf")
    for _ in range(10):  # the machine may be busy; what counts is how fast it can be
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        fastest = min(fastest, time.perf_counter() - began)
        if fastest < 0.5:
            break
    assert done.returncode == status, done.stderr
    assert expected in done.stdout + done.stderr
    assert fastest < 0.5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mlp", "--data.batch_size", "1"], "breast_cancer, --data.batch_size 1, the train split of "),
        (
            ["--model", "gcn", "--trainer.devices", "8"],
            "karate, --data.batch_size None, the train split of 4: 4 examples",
        ),
    ],
)
def test_too_many_processes_for_a_batch_are_refused_before_there_is_a_folder(
    words: list[str], expected: str, capsys: Any, tmp_path: Path
) -> None:
    two = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--logs", str(tmp_path / "logs")]
    line = refused(capsys, *two, *words)
    assert line.startswith(f"error: {expected}")
    assert line.endswith("processes; expected at least one for each")
    assert not (tmp_path / "logs").exists()


def test_the_list_has_a_line_for_every_recipe(capsys: Any) -> None:
    fit(["--list"])
    out = capsys.readouterr().out
    for name in recipe_names():
        line = next(line for line in out.splitlines() if line.startswith(f"{name} "))
        recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
        about = recipe.get("about", {})
        assert about.get("task", "") in line
        assert about.get("summary", "") in line
        expected = about.get("data", {}).get(recipe["data"]["init_args"]["dataset"], {})
        expected.pop("with", None)  # what the score needs besides
        for metric, value in expected.items():
            assert (f"{value} s" if metric == "seconds" else f"{metric} {value}") in line


OWN = "model: {class_path: lightning_modules.mlp.MLP, init_args: {optimizer: {class_path: torch.optim.SGD}}}\n"


@pytest.mark.parametrize("about", ["", "about: {task: tables}\n", "about: {data: {breast_cancer: {accuracy: 0.9}}}\n"])
def test_a_recipe_of_ones_own_needs_no_score_and_may_name_ones_own_data(
    about: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(RECIPES, tmp_path / "recipes")
    monkeypatch.setattr("scripts.cli.command_line.recipes.RECIPES", tmp_path / "recipes")
    table = tmp_path / "table.csv"
    table.write_text("x,y,class\n" + "".join(f"{row},{row % 7},{'ab'[row % 2]}\n" for row in range(60)))
    data = f"{{class_path: datamodules.tabular.TabularClassification, init_args: {{dataset: {table}, target: class}}}}"
    (tmp_path / "recipes" / "own.yaml").write_text(f"{about}{OWN}data: {data}\n")
    fit(["--list"])
    assert "table.csv" in next(line for line in capsys.readouterr().out.splitlines() if line.startswith("own "))
    fit(["--model", "own", "--trainer.max_epochs", "1", "--logs", str(tmp_path)])
    assert (tmp_path / "own" / "version_0" / "results.json").exists()


@pytest.mark.parametrize("name", recipe_names())
def test_help_shows_the_models_own_options_with_the_recipes_values(name: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as stop:
        fit(["--model", name, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    for section in ("model", "data"):
        for option, value in recipe[section]["init_args"].items():
            assert f"--{section}.{option}" in out
            if isinstance(value, int | float):
                assert f"default: {value})" in " ".join(out.split())
    assert "--trainer.max_epochs" in out


def test_help_is_in_groups_and_shows_all_options_of_the_trainer_where_it_is_asked_for(capsys: Any) -> None:
    shown = {}
    for option in ("--help", "--help_all"):
        with pytest.raises(SystemExit, match="0"):
            fit(["--model", "mlp", option])
        shown[option] = capsys.readouterr().out
    titles = [
        "\n--model: MLP:\n",
        "\n--data: TabularClassification:\n",
        "\nrun:\n",
        "\n--lora:\n",
        "\n--trainer: Lightning",
    ]
    places = [shown["--help"].index(title) for title in titles]
    assert places == sorted(places)
    options = {option: {*re.findall(r"^  (--[\w.]+)", text, re.MULTILINE)} for option, text in shown.items()}
    assert {"--trainer.max_epochs", "--trainer.devices", "--trainer.precision"} <= options["--help"]
    assert "--trainer.detect_anomaly" in options["--help_all"] - options["--help"]
    assert options["--help_all"] == {*build_parser(resolve(["--model", "mlp"])).options()} - {
        "--help",
        "--logger.pictures",  # the other name of --pictures
        *(f"--{section}" for section in SECTIONS),  # each would read a file
        *(option for option in build_parser(resolve(["--model", "mlp"])).options() if option.endswith("+")),
    }


def test_print_config_can_be_given_back(capsys: Any, tmp_path: Path) -> None:
    fit(["--model", "mlp", "--model.hidden_size", "7", "--data.batch_size=11", "--print_config"])
    first = capsys.readouterr().out
    assert yaml.safe_load(first)["model"]["init_args"]["hidden_size"] == 7
    (tmp_path / "config.yaml").write_text(first)
    fit(["--config", str(tmp_path / "config.yaml"), "--print_config"])
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("word", ["--check", "--print_config"])
def test_what_is_printed_instead_of_a_run_is_refused_where_there_is_none(word: str, capsys: Any) -> None:
    for name in ("test", "predict", "sweep", "find_rate", "benchmark"):
        assert "only scripts/fit.py takes it" in refused(
            capsys, "--model", "mlp", word, script=partial(run_subcommand, name)
        )


def test_another_optimizer_does_not_inherit_the_recipes_settings(capsys: Any) -> None:
    fit(["--model", "mlp", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1", "--print_config"])
    optimizer = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["optimizer"]
    assert optimizer["class_path"] == "torch.optim.SGD"
    assert optimizer["init_args"]["lr"] == 0.1
    assert optimizer["init_args"]["weight_decay"] == 0


@pytest.mark.parametrize(
    "words", [["--model.pretrained", "folder"], ["--model.pretrained=folder"], ["--config", "mine.yaml"]]
)
def test_pretrained_weights_get_the_recipes_gentler_settings(
    words: list[str], capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("model: {pretrained: folder}\n")
    fit(["--model", "bert_classifier", *words, "--trainer.max_epochs", "2", "--print_config"])
    content = yaml.safe_load(capsys.readouterr().out)
    assert content["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.0001
    assert content["data"]["init_args"]["tokenizer"] == "folder"
    assert content["trainer"]["max_epochs"] == 2  # an option still has the last word
    fit(["--model", "bert_classifier", "--print_config"])
    content = yaml.safe_load(capsys.readouterr().out)
    assert content["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.001


def test_a_configuration_file_lies_between_the_recipe_and_the_options(capsys: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: {hidden_size: 9, dropout: 0.25}\ntrainer: {max_epochs: 3}\n")
    fit(["--model", "mlp", "--config", str(file), "--model.dropout", "0.75", "--print_config"])
    content = yaml.safe_load(capsys.readouterr().out)
    assert content["model"]["init_args"]["hidden_size"] == 9
    assert content["model"]["init_args"]["dropout"] == 0.75
    assert content["trainer"]["max_epochs"] == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # 1. unknown model
        (["--model", "lenear_regression"], "--model lenear_regression: no such model; did you mean linear_regression?"),
        (["--model"], "--model needs a value"),
        # 2. unknown option
        (
            ["--model", "gat", "--model.num_head", "4"],
            "--model.num_head: no such option; did you mean --model.num_heads",
        ),
        (["--model", "gat", "--data.batchsize=4"], "--data.batchsize: no such option; did you mean --data.batch_size?"),
        (["--model", "gat", "--trainer.max_epoch", "4"], "did you mean --trainer.max_epochs?"),
        (
            ["--model", "gat", "--model.optimizer.lrr", "4"],
            "--model.optimizer.lrr: no such option; did you mean --model.optimizer.lr?",
        ),
        (["--model", "gat", "extra"], "extra"),
        # 3. a value of the wrong type
        (["--model", "gat", "--model.num_heads", "four"], "--model.num_heads: expected int, got four"),
        (
            ["--model", "gat", "--model.pooling", "median"],
            "--model.pooling: expected one of mean, max, sum, got median",
        ),
        (["--model", "gat", "--trainer.max_epochs", "1.5"], "--trainer.max_epochs: expected int or null, got 1.5"),
        (["--model", "gat", "--model.schedule", "cos"], "cosine, one_cycle, warmup_stable_decay, plateau, got cos"),
        (["--model", "gat", "--trainer.precision", "8"], "--trainer.precision: expected one of auto, 32"),
        (["--model", "gat", "--model.optimizer", "Adamm"], "--model.optimizer: expected"),
        # 4. negative, zero or NaN
        (["--model", "gat", "--data.batch_size", "0"], "--data.batch_size: expected at least 1, got 0"),
        (["--model", "gat", "--data.batch_size", "-3"], "--data.batch_size: expected at least 1, got -3"),
        (["--model", "gat", "--trainer.max_epochs", "0"], "--trainer.max_epochs: expected at least 1, got 0"),
        (["--model", "gat", "--trainer.max_epochs", "-2"], "--trainer.max_epochs: expected at least 1, got -2"),
        (["--model", "gat", "--model.optimizer.lr", "0"], "--model.optimizer.lr: expected a positive number, got 0.0"),
        (
            ["--model", "gat", "--model.optimizer.lr", "-1"],
            "--model.optimizer.lr: expected a positive number, got -1.0",
        ),
        (
            ["--model", "gat", "--model.optimizer.lr", "nan"],
            "--model.optimizer.lr: expected float or the name of a class, got nan",
        ),
        (["--model", "gat", "--model.dropout", "1.5"], "dropout"),
        (["--model", "gat", "--model.num_layers", "0"], "--model.num_layers: expected at least 1, got 0"),
        (["--model", "mlp", "--model.hidden_size", "-1"], "--model.hidden_size: expected at least 1, got -1"),
        # 5. a batch larger than the data
        (["--model", "mlp", "--data.batch_size", "500"], "--data.batch_size 500: the training split has only 400"),
        # 7. a configuration file that does not exist
        (["--model", "gat", "--config", "nowhere.yaml"], "--config nowhere.yaml: there is no such file"),
        # 8. options that contradict each other
        (["--model", "gat", "--model", "gcn"], "--model gat and --model gcn contradict each other"),
        (["--model", "gat", "--data", "MUTAG", "--data.dataset", "motifs"], "--data MUTAG and --data.dataset motifs"),
        (["--model", "gat", "--data.fold", "1"], "--data.num_folds and --data.fold belong together"),
        (["--model", "gat", "--data.fold", "5", "--data.num_folds", "5"], "--data.fold 5 and --data.num_folds 5"),
        (["--model", "gat", "--trainer.min_epochs", "9", "--trainer.max_epochs", "5"], "--trainer.min_epochs 9 and"),
        # 10. an unknown metric to monitor
        (
            ["--model", "gat", "--model.monitor", "val/acc"],
            "--model.monitor val/acc: expected one of val/loss, val/acc",
        ),
        # 50. a device that is not there
        (["--model", "mlp", "--trainer.accelerator", "tpu"], "--trainer: "),
    ],
)
def test_refuses_in_one_line(words: list[str], expected: str, capsys: Any, tmp_path: Path) -> None:
    line = refused(capsys, *words, "--logs", str(tmp_path))
    assert expected in line
    assert not list(tmp_path.rglob("*.*"))  # nothing is left of a run that never began


# 6. malformed YAML, and well-formed YAML that says nothing sensible
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model:\n  hidden_size: 5\n trainer: {\n", "mine.yaml:3: not valid YAML"),
        ("- a\n- list\n", "expected sections such as `model:` and `data:`, found list"),
        ("model: {hiden_size: 5}\n", "model.hiden_size: no such setting; did you mean model.hidden_size?"),
        ("modle: {hidden_size: 5}\n", "modle"),
        ("model: {hidden_size: many}\n", "--model.hidden_size: expected int, got many"),
        ("model: 5\n", "needs a class_path and init_args, found 5"),
        ("model: {class_path: lightning_modules.gat.GAT}\n", "--model mlp means lightning_modules.mlp.MLP, but"),
        ("about: {name: gat}\n", "--model mlp and --config"),
    ],
)
def test_refuses_a_configuration_file_in_one_line(text: str, expected: str, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert expected in refused(capsys, "--model", "mlp", "--config", str(tmp_path / "mine.yaml"))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def images(folder: Path, *shapes: tuple[int, ...], classes: int = 2, each: int = 8) -> Path:
    for number in range(classes * each):
        shape = shapes[min(number, len(shapes) - 1)]
        file = folder / f"class {number % classes}" / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(shape, number, np.uint8)).save(file)
    return folder


def rows(count: int, label: str = "") -> str:
    return "size,label\n" + "".join(f"{number}.5,{label or 'ab'[number % 2]}\n" for number in range(count))


def tu(folder: Path, **changed: str) -> None:
    """A hundred graphs of two nodes."""
    parts = {
        "A": "".join(f"{node}, {node + 1}\n{node + 1}, {node}\n" for node in range(1, 200, 2)),
        "graph_indicator": "".join(f"{graph + 1}\n{graph + 1}\n" for graph in range(100)),
        "graph_labels": "1\n2\n" * 50,
    }
    for part, text in (parts | changed).items():
        write(folder / f"T_{part}.txt", text)


def series(count: int, *last: str) -> str:
    return "day,sold\n" + "".join(f"{day},{value}\n" for day, value in enumerate([*map(str, range(count)), *last]))


def questions(count: int) -> str:
    asked = {"question": "是什么？", "answers": [{"text": "值", "answer_start": 0}]}
    return json.dumps(
        {"data": [{"paragraphs": [{"context": f"值 {number}", "qas": [asked]} for number in range(count)]}]}
    )


def pairs(path: Path, content: str | bytes) -> Path:
    write(path.with_suffix(".tsv"), content)
    return path.with_suffix(".tsv")


def nodes(folder: Path, edges: str = "a,b\nb,c\n", table: str = "id,label\n" + "a,x\nb,y\nc,x\nd,y\n" * 1) -> None:
    write(folder / "nodes.csv", table)
    write(folder / "edges.csv", "from,to\n" + edges)


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        # 11. a path that does not exist
        ("mlp", lambda _: None, "there is no such file or folder"),
        # 12. an empty folder or file
        ("mlp", lambda path: write(path, ""), "the file is empty"),
        ("mlp", lambda path: write(path, "a,b\n"), "no rows"),
        ("cnn", lambda path: path.mkdir(), "no images in it"),
        ("gat", lambda path: path.mkdir(), "expected a folder with NAME_A.txt"),
        ("gcn", lambda path: path.mkdir(), "expected nodes.csv and edges.csv in the folder"),
        # 13. a corrupt image
        (
            "cnn",
            lambda path: (images(path, (8, 8)), write(path / "class 1" / "99.png", b"\x89PNG\r\n")),
            "99.png: not a complete",
        ),
        # 15. a wrong shape
        ("cnn", lambda path: images(path, (9, 9), (9, 9), (7, 9)), "9 x 7 pixels, expected 9 x 9 like the others"),
        # 16. a label out of range
        ("linear_regression", lambda path: write(path, "a,b\n1,2\n1,many\n"), "row 2: the target b is many"),
        ("gat", lambda path: tu(path, graph_indicator="-1\n" * 200), "expected graph indices that ascend from 1"),
        # 17. not UTF-8
        ("mlp", lambda path: write(path, "大小,类\n1,好\n2,坏\n".encode("gb18030")), "--data.encoding"),
        # 18. infinity in a feature
        ("mlp", lambda path: write(path, rows(60) + "inf,a\n"), "row 61, column size: inf is not a finite number"),
        (
            "gat",
            lambda path: tu(path, node_attributes="1.0\n" * 199 + "nan\n"),
            "node_attributes.txt:200: column 1 is nan",
        ),
        # 19. a ragged table, a missing column
        ("mlp", lambda path: write(path, rows(5) + "1,2,3\n"), ":7: expected 2 fields as in the first line, found 3"),
        ("mlp", lambda path: write(path, rows(5) + "1\n"), ":7: expected 2 fields as in the first line, found 1"),
        ("gcn", lambda path: nodes(path, table="id,kind\na,x\nb,y\nc,x\n"), "no column label"),
        # 20. an empty split
        ("mlp", lambda path: write(path, rows(3)), "split is empty (3 examples in all)"),
        # 21. a single class
        ("mlp", lambda path: write(path, rows(50, "a")), "all examples are of one class, a"),
        ("cnn", lambda path: images(path, (8, 8), classes=1, each=100), "all examples are of one class"),
        ("gat", lambda path: tu(path, graph_labels="1\n" * 100), "all examples are of one class"),
        # 22. a class that the training split lacks
        (
            "cnn",
            lambda path: (
                images(path / "train", (8, 8), each=70),
                images(path / "test", (8, 8), classes=3),
            ),
            "the training split lacks class class 2",
        ),
        # 24. an edge that points past the last node
        (
            "gat",
            lambda path: tu(path, A="1, 2\n3, 999\n"),
            "A.txt:2: an edge joins nodes 3 and 999, but the last node is 200",
        ),
        ("gcn", lambda path: nodes(path, edges="a,b\nb,z\n"), "edge 2 joins node z, which nodes.csv does not have"),
        # series
        ("lstm", lambda _: None, "there is no such file or folder"),
        ("lstm", lambda path: write(path, ""), "the file is empty"),
        ("rnn", lambda path: write(path, "day,sold\n"), "a header and no rows"),
        ("rnn", lambda path: write(path, "日,量\n1,2\n".encode("gb18030")), "--data.encoding"),
        ("lstm", lambda path: write(path, series(300, "inf")), "row 301, column sold: the value is inf"),
        ("lstm", lambda path: write(path, series(300, "nan")), "row 301, column sold: the value is missing"),
        ("rnn", lambda path: write(path, series(9, "1,2")), ":11: expected 2 fields as in the first line, found 3"),
        ("rnn", lambda path: write(path, series(50)), "has 50 rows, expected at least"),
        ("lstm", lambda path: write(path, series(160)), "part has no window"),
        # texts with labels
        ("attention_rnn", lambda _: None, "there is no such file or folder"),
        ("attention_rnn", lambda path: write(path, ""), "the file is empty"),
        (
            "bert_classifier",
            lambda path: path.mkdir(),
            "expected train, val (or valid",
        ),
        ("attention_rnn", lambda path: write(path, "很好\t好\n很差\t坏\n".encode("gb18030")), "--data.encoding"),
        (
            "attention_rnn",
            lambda path: write(path, "很好\t好\n" * 9 + "一\n"),
            ":10: expected 2 fields as in the first",
        ),
        ("attention_rnn", lambda path: write(path, "text\nonly\n"), "expected a column of texts and one of labels"),
        (
            "attention_rnn",
            lambda path: write(path, "text\tlabel\n很好\t好\n很差\t坏\n"),
            "split is empty (2 examples in all)",
        ),
        (
            "attention_rnn",
            lambda path: write(path, "text\tlabel\n" + "很好\t好\n" * 90),
            "all examples are of one class, 好",
        ),
        (
            "attention_rnn",
            lambda path: (
                write(path / "train.tsv", "text\tlabel\n" + "很好\t好\n很差\t坏\n" * 50),
                write(path / "test.tsv", "text\tlabel\n一般\t中\n"),
            ),
            "the training split lacks class 中",
        ),
        # names
        ("bert_ner", lambda _: None, "there is no such file or folder"),
        ("bert_ner", lambda path: write(path, ""), "the file is empty"),
        ("bert_ner", lambda path: path.mkdir(), "expected train, val (or valid"),
        ("bert_ner", lambda path: write(path, "安娜 B-人\n".encode("gb18030")), "--data.encoding"),
        ("bert_ner", lambda path: write(path, "安娜 B-人\n唱 O\n歌\n"), ":3: "),
        ("bert_ner", lambda path: write(path, "安娜 B-人\n唱 O\n"), "split is empty (1 examples in all)"),
        ("bert_ner", lambda path: write(path, "安娜 O\n唱 O\n\n" * 50), "no entity in 50 sentences"),
        (
            "bert_ner",
            lambda path: write(path, '{"text": "安娜唱", "entities": [{"start": 0, "end": 9, "type": "人"}]}\n'),
            ":1: the span 0-9 is not in the text, which has 3 characters",
        ),
        (
            "bert_ner",
            lambda path: (
                write(path / "train.bio", "安娜 B-人\n唱 O\n\n" * 50),
                write(path / "test.bio", "乌城 B-地\n大 O\n"),
            ),
            "the training split lacks entities of type 地 (1 in test)",
        ),
        # questions
        ("bert_qa", lambda _: None, "there is no such file or folder"),
        ("bert_qa", lambda path: write(path, ""), "the file is empty"),
        ("bert_qa", lambda path: path.mkdir(), "expected train, val (or valid"),
        ("bert_qa", lambda path: write(path, '{"data": [\n}'), ":2: not JSON"),
        ("bert_qa", lambda path: write(path, '{"version": 1}'), "expected SQuAD's form"),
        ("bert_qa", lambda path: write(path, '{"data": "是"}'.encode("gb18030")), "--data.encoding"),
        (
            "bert_qa",
            lambda path: write(path, '{"data": [{"paragraphs": [{"context": "a"}]}]}'),
            'a list "qas", found none',
        ),
        ("bert_qa", lambda path: write(path, questions(1)), "split is empty"),
        # pairs of sentences
        ("transformer", lambda _: None, "there is no such file or folder"),
        ("seq2seq", lambda path: (path.mkdir(), path)[1], "expected train, val (or valid"),
        ("transformer", lambda path: pairs(path, ""), "the file is empty"),
        (
            "transformer",
            lambda path: pairs(path, "a\t一\n" * 5 + "b\n"),
            ":6: expected 2 fields as in the first line, found 1",
        ),
        ("seq2seq", lambda path: pairs(path, "a\t很好的\n".encode("gb18030")), "--data.encoding"),
        ("torch_transformer", lambda path: pairs(path, "a\t一\n"), "split is empty (1 examples in all)"),
        # images to draw
        ("gan", lambda _: None, "there is no such file or folder"),
        ("gan", lambda path: path.mkdir(), "no images in it"),
        (
            "gan",
            lambda path: (images(path, (8, 8)), write(path / "class 1" / "99.png", b"\x89PNG\r\n")),
            "99.png: not a complete",
        ),
        ("gan", lambda path: images(path, (9, 9), (7, 9)), "9 x 7 pixels, expected 9 x 9 like the others"),
    ],
)
def test_refuses_data_in_one_line(
    name: str, make: Callable[[Path], object], expected: str, capsys: Any, tmp_path: Path
) -> None:
    path = tmp_path / "数据 with spaces"
    made = make(path)
    path = made if isinstance(made, Path) else path
    line = refused(capsys, "--model", name, "--data", str(path), "--logs", str(tmp_path / "logs"))
    assert expected in line
    assert not (tmp_path / "logs").exists()


def test_refuses_a_root_that_does_not_exist(capsys: Any) -> None:
    line = refused(capsys, "--model", "cnn", "--data", "MNIST", "--data.root", "/nowhere")
    assert line.startswith("error: --data.root /nowhere: there is no such folder; name the one that holds your data")


def test_a_missing_target_names_the_columns_that_exist(capsys: Any, tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", rows(9))
    line = refused(capsys, "--model", "mlp", "--data", str(tmp_path / "rows.csv"), "--data.target", "colour")
    assert "--data.target colour" in line
    assert "it has size, label" in line


def test_refuses_logs_that_cannot_be_written(capsys: Any, tmp_path: Path) -> None:
    write(tmp_path / "file", "in the way")
    line = refused(capsys, "--model", "linear_regression", "--logs", str(tmp_path / "file"))
    assert f"--logs {tmp_path / 'file'}: cannot be written" in line


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not a checkpoint"),
        (b"just text", "not a checkpoint"),
        (b"PK\x03\x04 cut short", "not a checkpoint"),
    ],
)
def test_refuses_what_is_no_checkpoint(content: Any, expected: str, capsys: Any, tmp_path: Path) -> None:
    write(tmp_path / "x.ckpt", content)
    assert expected in refused(capsys, "--checkpoint", str(tmp_path / "x.ckpt"), script=testing.main)


def test_refuses_a_checkpoint_or_input_that_is_not_there(capsys: Any, tmp_path: Path) -> None:
    assert "there is no such file or run" in refused(capsys, "--checkpoint", str(tmp_path / "no"), script=testing.main)
    assert "no checkpoint in it" in refused(capsys, "--checkpoint", str(tmp_path), script=testing.main)
    assert "Give --checkpoint" in refused(capsys, "--input", "x", script=predict)
    assert "Give --input" in refused(capsys, "--checkpoint", "x", script=predict)


def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--model", "gta", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert done.returncode == 1


@pytest.mark.long
def test_runs_from_any_folder_with_own_data_and_says_nothing_needless(tmp_path: Path) -> None:
    """A whole life in separate processes: train, test, predict; paths with spaces and Chinese letters."""
    random = np.random.default_rng(0)
    folder = tmp_path / "我的 数据"
    kinds = ["猫", "狗"]
    table = "长度,颜色,种类\n"
    for number in range(120):
        kind = number % 2
        table += f"{random.normal(3 * kind):.6f},{'红' if random.random() < 0.5 else '绿'},{kinds[kind]}\n"
    write(folder / "动物.csv", table)

    def run(script: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / script), *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert all(line.startswith("epoch ") for line in done.stderr.splitlines()), done.stderr  # no warning
        return done

    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = run(
        "fit.py", "--model", "mlp", "--data", "动物.csv", "--logs", "记录 logs", "--epochs", "20", "--batch_size", "16"
    )
    understood, trained = done.stdout.split("\nmlp on ")
    assert "as it was understood:" in understood.splitlines()[0]
    assert len(trained.splitlines()) <= 22  # no advertisement
    assert "tensorboard --logdir" in done.stdout
    runs = folder / "记录 logs" / "mlp" / "version_0"
    results = json.loads((runs / "results.json").read_text(encoding="utf-8"))
    assert results["test"]["accuracy"] > 0.8
    done = run("test.py", "--checkpoint", str(runs))
    assert f"{results['test']['accuracy']:.4g}" in done.stdout
    run("export.py", "--checkpoint", str(runs), "--format", "onnx", "--output", "模型.onnx")
    write(folder / "新.csv", "长度,颜色\n-1,红\n4,绿\n")
    done = run("predict.py", "--checkpoint", str(runs), "--input", "新.csv")
    lines = done.stdout.splitlines()
    assert [line.split(",")[:2] for line in lines] == [["input", "prediction"], ["1", "猫"], ["2", "狗"]]
    assert lines[0] == "input,prediction,p_狗,p_猫" or lines[0] == "input,prediction,p_猫,p_狗"


@pytest.mark.long
def test_a_reader_of_predictions_may_stop_early(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", rows(60))
    fit(["--model", "mlp", "--data", str(tmp_path / "a.csv"), "--logs", str(tmp_path), "--trainer.max_epochs", "1"])
    write(tmp_path / "many.csv", rows(20_000))
    command = [sys.executable, str(ROOT / "scripts" / "predict.py")]
    command += ["--checkpoint", str(tmp_path / "mlp" / "version_0"), "--input", str(tmp_path / "many.csv")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("input,prediction,")
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_other_data_is_tested_whole(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path / "a.csv", rows(60))
    fit(["--model", "mlp", "--data", str(tmp_path / "a.csv"), "--logs", str(tmp_path), "--trainer.max_epochs", "1"])
    write(tmp_path / "b.csv", rows(17))
    capsys.readouterr()
    testing.main(["--checkpoint", str(tmp_path / "mlp" / "version_0"), "--data", str(tmp_path / "b.csv")])
    assert "on 17 test examples of" in capsys.readouterr().out
    write(tmp_path / "c.csv", rows(17) + "1,c\n")
    line = refused(
        capsys,
        *["--checkpoint", str(tmp_path / "mlp" / "version_0"), "--data", str(tmp_path / "c.csv")],
        script=testing.main,
    )
    assert "example 18 has label c, which is none of the model's classes: a, b" in line


def test_runs_that_start_at_once_get_a_folder_each(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from scripts.cli.run.folder import claim

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: claim(tmp_path, "gat"), range(32)))
    assert len(set(folders)) == 32


def test_a_run_that_does_nothing_for_half_an_hour_ends_unless_it_is_told_otherwise(capsys: Any) -> None:
    fit(["--model", "mlp", "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["timeout"] == 30  # minutes


def test_every_argument_of_the_trainer_is_an_option_but_for_what_the_project_settles() -> None:
    options = build_parser(resolve(["--model", "mlp"])).options()
    missing = {name for name in inspect.signature(Trainer).parameters if f"--trainer.{name}" not in options}
    assert missing == {
        "default_root_dir", "enable_checkpointing", "enable_model_summary", "logger", "plugins",
        "use_distributed_sampler",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["mlp", "bert_classifier"])
def test_predicts_with_nothing_but_the_checkpoint(name: str, capsys: Any, tmp_path: Path) -> None:
    """The run's folder, the data that it was trained on and the pretrained model's folder are gone."""
    table, run, alone = tmp_path / "rows.csv", tmp_path / "logs" / name / "version_0", tmp_path / "alone"
    words = ["good", "bad", "很好", "很差"]
    rows = [f"{words[index % 4]} {index},{index % 7},{'ab'[index % 2]}" for index in range(80)]
    table.write_text("text,count,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    further = ["--model.pretrained", str(tmp_path / "my_bert")] if name == "bert_classifier" else []
    write_pretrained(tmp_path / "my_bert")
    fit(["--model", name, "--data", str(table), *further, *SHORT, "--logs", str(tmp_path / "logs")])
    (tmp_path / "input.csv").write_text("text,count\ngood 3,4\n很差 81,2\nnever seen,0\n", encoding="utf-8")

    def predicted(checkpoint: Path) -> Any:
        output = tmp_path / "predicted.csv"
        predict(["--checkpoint", str(checkpoint), "--input", str(tmp_path / "input.csv"), "--output", str(output)])
        with output.open(encoding="utf-8") as file:
            return [list(row.values())[1:] for row in csv.DictReader(file)]

    before = predicted(run)
    alone.mkdir()
    shutil.copy(run / "checkpoints" / "best.ckpt", alone / "mine.ckpt")
    shutil.rmtree(tmp_path / "logs")
    shutil.rmtree(tmp_path / "my_bert")
    table.unlink()
    assert predicted(alone / "mine.ckpt") == before
    assert len(before) == 3


def test_what_the_data_states_is_no_option_and_a_null_of_an_earlier_configuration_is_none(
    capsys: Any, tmp_path: Path
) -> None:
    fit(["--model", "mlp", "--print_config"])
    earlier = yaml.safe_load(capsys.readouterr().out)
    assert not {"multilabel", "num_examples", "class_names"} & earlier["model"]["init_args"].keys()
    earlier["model"]["init_args"]["multilabel"] = None
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(earlier))
    fit(["--config", str(tmp_path / "config.yaml"), "--print_config"])
    assert "multilabel" not in capsys.readouterr().out


@pytest.mark.parametrize("first", [False, True])
def test_a_number_of_batches_is_one_whatever_other_modules_have_asked_of_typing_before(first: bool) -> None:
    parser = build_parser(resolve(["--model", "mlp"]))
    (action,) = (each for each in parser._actions if each.dest == "trainer.limit_train_batches")
    action._typehint = Union[float, int, None]  # type: ignore[attr-defined]  # noqa: UP007 (typing's own, which it caches)
    if first:
        parser.integers_first()
    found = parser.parse_args(["--trainer.limit_train_batches", "4"]).trainer.limit_train_batches
    assert repr(found) == ("4" if first else "4.0")

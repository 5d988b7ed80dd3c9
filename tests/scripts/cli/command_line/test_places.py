"""Where a run finds and puts its files, through the whole program: names and paths of all kinds."""

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from scripts import test as testing
from scripts.cli.run.folder import newest_checkpoint
from scripts.cross_validate import main as cross_validate
from scripts.export import main as export
from scripts.find_rate import main as find_rate
from scripts.fit import main as fit
from scripts.predict import main as predict
from scripts.sweep import main as sweep
from tests.helpers.example_inputs import example_input
from tests.helpers.stopping import SHORT, train

TRAIN = ["--model", "cnn", *SHORT, "--data.batch_size", "4", "--data.image_size", "16", "--model.channels", "[4, 4, 4]"]
NAME = os.fsdecode("数据集".encode("gbk"))
CLASSES = {"蓝色": os.fsdecode("蓝色".encode("gbk")), "狗": os.fsdecode("狗".encode("gbk"))}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of class folders whose names a Chinese archive left in GBK."""
    for number, label in enumerate(CLASSES.values()):
        try:
            (tmp_path / NAME / label).mkdir(parents=True)
        except OSError:
            pytest.skip("a file system that admits UTF-8 names only")
        for image in range(15):
            pixels = np.random.default_rng([number, image]).integers(0, 255, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / NAME / label / f"{image:02}{label}.png")
    return tmp_path / NAME


# 10. names that are not UTF-8
def test_names_in_gbk_train_test_predict_and_show(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit([*TRAIN, "--data", str(photos), "--logs", str(tmp_path)])
    assert f"cnn on {tmp_path}/数据集: " in capsys.readouterr().out
    run = tmp_path / "cnn" / "version_0"
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert results["data"] == str(photos)  # from which the folder can be opened
    assert set(results["per_class"]) == set(CLASSES)
    fit(["--config", str(run / "config.yaml"), "--logs", str(tmp_path)])
    testing.main(["--checkpoint", str(run)])
    assert f"test examples of {tmp_path}/数据集\n" in capsys.readouterr().out
    for name in ("x.csv", f"{NAME}.jsonl"):
        predict(["--checkpoint", str(run), "--input", str(photos), "--output", str(tmp_path / name)])
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["input"] for row in rows[:2]] == [f"{tmp_path}/数据集/狗/{image:02}狗.png" for image in range(2)]
    lines = (tmp_path / f"{NAME}.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["input"] for line in lines] == [row["input"] for row in rows]


def test_a_list_of_files_with_names_in_gbk(photos: Path, tmp_path: Path) -> None:
    listed = [f"{shown}/{image:02}{shown}.png,{shown}\n" for shown in CLASSES for image in range(15)]
    (photos / "list.csv").write_text("".join(listed), encoding="gbk")
    fit([*TRAIN, "--data", str(photos / "list.csv"), "--data.encoding", "gb18030", "--logs", str(tmp_path)])
    results = json.loads((tmp_path / "cnn" / "version_0" / "results.json").read_text(encoding="utf-8"))
    assert set(results["per_class"]) == set(CLASSES)


SCRIPTS = [
    (fit, ["--model", "mlp", "--data", "PATH"]),
    (fit, ["--model", "mlp", "--data.root", "PATH"]),
    (fit, ["--model", "mlp", "--logs", "PATH"]),
    (fit, ["--model", "mlp", "--model.pretrained", "PATH"]),
    (fit, ["--config", "PATH"]),
    (fit, ["--resume", "PATH"]),
    (testing.main, ["--checkpoint", "PATH"]),
    (predict, ["--checkpoint", "PATH", "--input", "x"]),
    (export, ["--checkpoint", "PATH", "--format", "torch", "--output", "x"]),
    (sweep, ["--model", "mlp", "--trials", "2", "--space", "PATH"]),
    (sweep, ["--model", "mlp", "--trials", "2", "--logs", "PATH"]),
    (sweep, ["--resume", "PATH"]),
    (cross_validate, ["--model", "mlp", "--folds", "2", "--logs", "PATH"]),
    (cross_validate, ["--resume", "PATH"]),
    (find_rate, ["--model", "mlp", "--output", "PATH"]),
]


@pytest.mark.parametrize(("script", "words"), SCRIPTS)
def test_the_home_of_a_user_who_is_not_there_is_told(script: Any, words: list[str], refused: Any) -> None:
    option = words[words.index("PATH") - 1]
    line = refused(script, *[word.replace("PATH", "~nosuchuser/x") for word in words])
    assert line == f"{option} ~nosuchuser/x: there is no user nosuchuser; a folder of that name is ./~nosuchuser"


@pytest.mark.needs("mkfifo")
@pytest.mark.parametrize(("script", "words"), [each for each in SCRIPTS if "--output" not in each[1][-2:]])
def test_a_named_pipe_is_not_waited_for(script: Any, words: list[str], refused: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    refused(script, *[word.replace("PATH", str(tmp_path / "x")) for word in words])


@pytest.mark.needs("mkfifo")
def test_input_that_is_a_named_pipe_is_refused(refused: Any, tmp_path: Path) -> None:
    fit(["--model", "mlp", *SHORT, "--logs", str(tmp_path)])
    run = str(tmp_path / "mlp" / "version_0")
    os.mkfifo(tmp_path / "x.csv")
    words = ["--checkpoint", run, "--input", str(tmp_path / "x.csv")]
    assert "--input" in (line := refused(predict, *words))
    assert line.endswith("expected a file or folder, found a named pipe")
    words[-1] = str(shutil.copy(example_input("mlp"), tmp_path / "y.csv"))
    expected = "--output ~nosuchuser/x.csv: there is no user nosuchuser"
    assert refused(predict, *words, "--output", "~nosuchuser/x.csv").startswith(expected)


@pytest.mark.parametrize("make", [pytest.param("mkfifo", marks=pytest.mark.needs("mkfifo")), "mkdir"])
def test_a_checkpoint_that_is_no_file_is_told_and_an_older_one_is_looked_for(
    make: str, refused: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(["--model", "linear_regression", *SHORT, "--logs", str(tmp_path)])
    run = tmp_path / "linear_regression" / "version_0"
    best, last = run / "checkpoints" / "best.ckpt", run / "checkpoints" / "last.ckpt"
    best.unlink()
    getattr(os, make)(best)
    found = "not a checkpoint: expected a file, found " + ("a named pipe" if make == "mkfifo" else "a folder")
    beside = f"{found}; the newest valid one in its folder is last.ckpt"
    capsys.readouterr()
    assert refused(testing.main, "--checkpoint", str(run)) == f"--checkpoint {best}: {beside}"
    words = ["--model", "linear_regression", "--model.pretrained", str(run), "--logs", str(tmp_path / "other")]
    assert refused(fit, *words) == f"--model.pretrained {best}: {beside}"
    assert newest_checkpoint(run) == last
    last.unlink()
    getattr(os, make)(last)
    assert newest_checkpoint(run) is None
    assert f"note: {last}: {found}" in capsys.readouterr().err


def test_half_a_character_in_a_configuration_is_told(refused: Any, tmp_path: Path) -> None:
    for section, expected in (("data: {init_args: {dataset", "--data"), ("data: {init_args: {root", "--data.root")):
        (tmp_path / "x.yaml").write_text(f'{section}: "a\\ud800b"}}}}\n')
        line = refused(fit, "--model", "mlp", "--config", str(tmp_path / "x.yaml"), "--logs", str(tmp_path))
        assert line == f"{expected} a\\ud800b: expected text, found half a character, which no path can hold"


def test_a_message_that_quotes_a_whole_file_is_cut_short(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("[" * 100_000 + "]" * 100_000 + "\n")
    line = refused(fit, "--model", "bert_ner", "--data", str(tmp_path / "x.jsonl"))
    assert 50 < len(line) < 5000


def bomb() -> str:
    """Nine lists, each of ten times the one before."""
    return "model:\n  a0: &a0 [x]\n" + "".join(
        f"  a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bomb(), "its aliases make more than 100,000 values"),
        ("model: &a\n  x: [*a]\n", "nested too deeply, or within itself"),
        ("model: " + "[" * 100_000 + "]" * 100_000, "nest"),
        ("model: " + "{a: " * 100_000 + "}" * 100_000, "nest"),
        ('model: ["\\udcd6", ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_yaml_that_explodes_is_refused(content: str, expected: str, refused: Any, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(content)
    assert expected in refused(fit, "--model", "mlp", "--config", str(tmp_path / "x.yaml"))


def test_logs_that_tensorboard_cannot_write_are_refused(refused: Any, tmp_path: Path) -> None:
    line = refused(fit, "--model", "mlp", "--logs", str(tmp_path / NAME))
    assert line == f"--logs {tmp_path}/数据集: TensorBoard needs a folder whose name is UTF-8"
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_resumes_a_stopped_run_finds_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "it's\n two lines"
    assert train(["--model", "mlp", *SHORT, "--logs", str(logs)], stop=2) == 143
    found = re.search("--resume (.*) resumes it\n$", capsys.readouterr().err)
    assert found is not None
    said = subprocess.run(["bash", "-c", f"printf %s {found[1]}"], capture_output=True, check=True).stdout
    assert Path(os.fsdecode(said)).samefile(logs / "mlp" / "version_0")


def test_a_nul_in_a_configuration_is_told(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"dataset": "a\0b"}}}))
    line = refused(fit, "--model", "mlp", "--config", str(tmp_path / "x.yaml"))
    assert line == "--data a\\x00b: a path cannot hold a NUL character"


@pytest.mark.parametrize("content", ["", "[" * 100_000, "[1]", "null"])
def test_a_cross_validation_whose_results_are_damaged(content: str, refused: Any, tmp_path: Path) -> None:
    results = tmp_path / "fold_0" / "mlp" / "version_0" / "results.json"
    results.parent.mkdir(parents=True)
    results.write_text(content)
    plan = {"name": "mlp", "words": ["--model", "mlp"], "folds": 2, "place": str(tmp_path)}
    (tmp_path / "folds.yaml").write_text(yaml.safe_dump(plan))
    assert refused(cross_validate, "--resume", str(tmp_path)).startswith(f"{results}: ")

"""What a run that is to go on is refused, and why; numbered as the list of faults has it."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from callbacks.loggers.metadata import RunMetadata
from callbacks.run.checkpoint_file import FORMAT, read_checkpoint, write_checkpoint
from callbacks.run.checkpoints import Checkpoints
from datamodules.tabular import TabularClassification
from datamodules.text import TextClassification
from scripts import test as testing
from scripts.cli.command_line.recipes import resolve
from scripts.fit import main as fit
from tests.helpers.stopping import SHORT, train

WORDS = ["--model", "mlp", *SHORT, "--data.batch_size", "32", "--save_every", "1 step"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after three steps, with a checkpoint before its last."""
    logs = tmp_path_factory.mktemp("logs")
    assert train([*WORDS, "--logs", str(logs)], stop=3) == 143
    return logs / "mlp" / "version_0"


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "mlp" / "version_0"))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs fit.py with the words, which it must refuse with status 2; gives the line that says why."""

    def refusing(*words: str, script: Any = fit) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            script(list(words))
        assert stop.value.code == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert [line.startswith("error: ") for line in lines] == [False] * (len(lines) - 1) + [True], lines
        assert all(line.startswith("note: ") for line in lines[:-1])
        return lines[-1]

    return refusing


def flip(file: Path) -> Path:
    """Change one bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return file


DAMAGES = {
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[:-100]), "not a checkpoint, or only a part of one"),
    "empty": (lambda file: file.write_bytes(b""), "not a checkpoint: it is empty"),
    "text": (lambda file: file.write_text("no checkpoint"), "not a checkpoint"),
    "flipped": (flip, "damaged: its checksum does not match"),
}


# 27, 28. truncated, empty, text, one flipped bit
@pytest.mark.parametrize("kind", DAMAGES)
def test_goes_on_from_the_newest_that_is_whole(kind: str, run: Path, capsys: Any) -> None:
    damage, says = DAMAGES[kind]
    damage(run / "checkpoints" / "last.ckpt")
    assert train(["--resume", str(run)]) == 0
    out, err = capsys.readouterr()
    assert f"last.ckpt: {says}" in err
    assert "resumed from previous.ckpt" in out


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_checkpoint_is_told_with_the_newest_that_is_whole(kind: str, run: Path, refused: Any) -> None:
    damage, says = DAMAGES[kind]
    file = run / "checkpoints" / "last.ckpt"
    damage(file)
    line = refused("--checkpoint", str(file), script=testing.main)
    assert line.startswith(f"error: --checkpoint {file}: {says}")
    assert line.endswith("; the newest valid one in its folder is previous.ckpt")


def replace_by_another(file: Path) -> None:
    """Put the checkpoint of another run there, with another best."""
    content = read_checkpoint(file)
    content["callbacks"]["Checkpoints"]["best_score"] += 1
    write_checkpoint(content, file)


ENDS = {
    "whole": (lambda folder: None, "best", ""),
    "gone": (lambda folder: (folder / "best.ckpt").unlink(), "last", "it is gone"),
    "damaged": (lambda folder: flip(folder / "best.ckpt"), "last", "damaged: its checksum does not match"),
    "another run's": (
        lambda folder: replace_by_another(folder / "best.ckpt"), "last", "it is not the one that this run has saved"
    ),
    "none": (lambda folder: [flip(folder / f"{name}.ckpt") for name in ("best", "last")], None, "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDS)
def test_where_the_best_checkpoint_is_lost_the_last_is_tested(
    kind: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm, tested, says = ENDS[kind]
    original = Checkpoints.on_train_end

    def harming(self: Checkpoints, *args: Any) -> None:
        original(self, *args)
        harm(self.best_path.parent)

    monkeypatch.setattr(Checkpoints, "on_train_end", harming)
    assert train([*WORDS, "--logs", str(tmp_path)]) == 0
    run = tmp_path / "mlp" / "version_0"
    results = json.loads((run / "results.json").read_text())
    expected = str(run / "checkpoints" / f"{tested}.ckpt") if tested else None
    assert results["best_checkpoint"] == expected
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    what = expected or "what the run ended with"
    assert [says in line and line.endswith(f"; {what} is tested instead") for line in notes] == [True] * bool(says)
    if tested == "last":  # it is what was tested
        testing.main(["--checkpoint", str(expected), "--trainer.limit_test_batches", "2"])
        assert f"{results['test']['accuracy']:.4g}" in capsys.readouterr().out


def test_a_damaged_best_checkpoint_does_not_keep_a_run_from_resuming(run: Path, capsys: Any) -> None:
    file = run / "checkpoints" / "best.ckpt"
    write_checkpoint(read_checkpoint(run / "checkpoints" / "last.ckpt"), file)
    flip(file)  # and it is the newest file
    assert train(["--resume", str(run)]) == 0
    out, err = capsys.readouterr()
    assert "best.ckpt: damaged: its checksum does not match" in err
    assert "resumed from last.ckpt" in out


# 29. another model's
def test_another_model_is_refused_with_both_names(run: Path, refused: Any) -> None:
    line = refused("--model", "gat", "--resume", str(run))
    assert line == f"error: --model gat and --resume {run} (of model mlp) contradict each other"


# 32. written by a newer version
def test_a_newer_format_is_said(run: Path, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run / "checkpoints" / "last.ckpt"
    content = read_checkpoint(file)
    monkeypatch.setattr("callbacks.run.checkpoint_file.FORMAT", FORMAT + 1)
    write_checkpoint(content, file)
    monkeypatch.undo()
    line = refused("--checkpoint", str(file), script=testing.main)
    assert f"written by a newer version of this project (format {FORMAT + 1}, expected {FORMAT} or less)" in line


# 33. bare weights
def test_bare_weights_are_told(run: Path, refused: Any) -> None:
    weights = run / "weights.pt"
    torch.save(read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"], weights)
    assert "bare weights" in refused("--resume", str(weights))
    assert "holds bare weights" in refused("--checkpoint", str(weights), script=testing.main)


# 34. nothing to resume from
def test_nothing_to_go_on_with_is_an_error(run: Path, refused: Any, tmp_path: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    line = refused("--resume", str(run))
    assert line == f"error: --resume {run}: no valid checkpoint in it, so there is nothing to resume"
    assert "there is no such run" in refused("--resume", str(tmp_path / "none"))
    assert "holds no run" in refused("--resume", str(tmp_path))
    assert sorted(file.name for file in (tmp_path / "mlp").iterdir()) == ["version_0"]


def test_a_finished_run_is_told(run: Path, refused: Any) -> None:
    assert train(["--resume", str(run)]) == 0
    assert "this run has finished" in refused("--resume", str(run))


# 35, 36. other settings
def test_other_settings_are_refused_and_listed(run: Path, refused: Any, capsys: Any) -> None:
    changes = ["--data.batch_size", "16", "--model.dropout", "0.4"]
    line = refused("--resume", str(run), *changes)
    assert "--data.batch_size 16 (was 32), --model.dropout 0.4 (was 0.3)" in line
    assert "--inexact" in line
    assert train(["--resume", str(run), *changes, "--inexact"]) == 0
    assert "resumed from last.ckpt" in capsys.readouterr().out


def test_harmless_settings_may_change(run: Path) -> None:
    assert train(["--resume", str(run), "--data.num_workers", "1", "--save_every", "2 steps"]) == 0


def test_what_a_recipe_has_come_to_say_since_is_not_the_runs(tmp_path: Path) -> None:
    model = {"class_path": "lightning_modules.cnn.CNN", "init_args": {"dropout": 0.5}}
    data = {"class_path": "datamodules.images.Images", "init_args": {"dataset": "MNIST"}}
    content = {"about": {"name": "cnn"}, "model": model, "data": data, "trainer": {"max_epochs": 2}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    config = resolve(["--resume", str(tmp_path)]).defaults
    assert config == {"model": {"dropout": 0.5}, "data": {"dataset": "MNIST"}, "trainer": {"max_epochs": 2}}


def test_a_default_may_be_said_again(run: Path) -> None:
    assert train(["--resume", str(run), "--trainer.devices", "1", "--trainer.num_nodes", "1"]) == 0


def test_another_number_of_processes_is_refused(run: Path, refused: Any) -> None:
    for file in (run / "checkpoints").glob("*.ckpt"):
        write_checkpoint(read_checkpoint(file) | {"world_size": 4}, file)
    assert "1 processes (was 4)" in refused("--resume", str(run))


def test_other_data_is_refused(tmp_path: Path, refused: Any) -> None:
    table = tmp_path / "table.csv"
    rows = [f"{number},{number % 7},{'yes' if number % 3 else 'no'}" for number in range(300)]
    table.write_text("\n".join(["a,b,target", *rows]))
    assert train([*WORDS, "--data", str(table), "--logs", str(tmp_path / "logs")], stop=3) == 143
    run = tmp_path / "logs" / "mlp" / "version_0"
    for changed, found in (
        ([*rows[:-1], "299,1,yes"], "column b"),
        ([*rows[:-1], "299,1,no"], "column b, target"),
        ([*rows[:-1], "299,5,no"], "target"),
        (rows[:-1], "299 examples (was 300)"),
    ):
        table.write_text("\n".join(["a,b,target", *changed]))
        assert f"exactly: other data in {table}: {found}; give what it was" in refused("--resume", str(run))
    assert train(["--resume", str(run), "--inexact"]) == 0


def test_a_run_of_an_earlier_version_goes_on_with_the_same_data_and_no_other(tmp_path: Path, refused: Any) -> None:
    """Its checkpoints hold one text, of a hash that did not see everything, and what was learned from the data."""
    table = tmp_path / "texts.csv"
    lines = [f"text {number},{'good' if number % 3 else 'bad'}" for number in range(120)]
    table.write_text("\n".join(["text,label", *lines]))
    words = ["--model", "attention_rnn", *SHORT, "--data.batch_size", "8", "--data", str(table)]
    assert train([*words, "--logs", str(tmp_path / "logs")], stop=2) == 143
    run = tmp_path / "logs" / "attention_rnn" / "version_0"
    data = TextClassification(str(table))
    data.setup()
    digest = hashlib.sha256(b"".join(index.numpy().tobytes() for index in data.splits))
    digest.update("".join(map(repr, data.texts)).encode())
    for file in (run / "checkpoints").glob("*.ckpt"):
        write_checkpoint(read_checkpoint(file) | {"fingerprint": digest.hexdigest()}, file)
    table.write_text("\n".join(["text,label", *lines[:-1], "text 1190,good"]))
    assert f"other data in {table}: its examples" in refused("--resume", str(run))
    table.write_text("\n".join(["text,label", *(line.replace("good", "fine") for line in lines)]))
    assert f"other data in {table}: learned class names" in refused("--resume", str(run))
    table.write_text("\n".join(["text,label", *lines]))
    assert train(["--resume", str(run)]) == 0


def test_no_save_makes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    contents = TabularClassification.contents

    def recorded(self: TabularClassification) -> dict[str, str]:
        made.append("saving" if saving else "before")
        return contents(self)

    saving: list[str] = []
    save = RunMetadata.on_save_checkpoint

    def saved(self: RunMetadata, *arguments: Any) -> None:
        saving.append("a checkpoint")
        save(self, *arguments)

    monkeypatch.setattr(TabularClassification, "contents", recorded)
    monkeypatch.setattr(RunMetadata, "on_save_checkpoint", saved)
    assert train([*WORDS, "--logs", str(tmp_path)], stop=2) == 143
    assert saving
    assert made == ["before"]


@pytest.mark.parametrize("text", ["often", "0 steps", "1.5 steps", "-3 minutes", "10"])
def test_when_to_save_has_to_be_a_number_of_steps_or_minutes(text: str, refused: Any, tmp_path: Path) -> None:
    line = refused("--model", "mlp", "--logs", str(tmp_path), "--save_every", text)
    assert line.startswith(f"error: --save_every {text}: expected a number of steps or minutes")


def test_fewer_epochs_than_the_run_has_done_are_refused(run: Path, refused: Any) -> None:
    checkpoint = read_checkpoint(run / "checkpoints" / "last.ckpt")
    checkpoint["epoch"] = 7
    write_checkpoint(checkpoint, run / "checkpoints" / "last.ckpt")
    line = refused("--resume", str(run), "--trainer.max_epochs", "3", "--inexact")
    assert line == "error: --trainer.max_epochs 3: expected at least 7, which the run has done"

"""What can go of the runs, and what never does."""

import os
import re
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datamodules.storage import cache_files
from datamodules.storage.locks import Lock
from scripts import runs
from scripts.cli.runs.own_files import foreign, size_of
from scripts.cli.runs.run_folders import find_runs
from tests.helpers.recorded_runs import write_run

IRIS = ("--model", "mlp", "--data", "iris")
DAY = 86400


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of data, from which nothing has been read."""
    monkeypatch.setattr(cache_files, "DATA_FOLDER", tmp_path / "data")
    return tmp_path / "data"


def age(folder: Path, days: float) -> Path:
    """Make a folder, and all in it, as old as that."""
    then = time.time() - days * DAY
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then), follow_symlinks=False)
    return folder


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A run of each status, all of them a day old."""
    logs = tmp_path / "我的 logs"
    write_run(logs / "mlp" / "version_0", best=0.3)
    write_run(logs / "mlp" / "version_1", best=0.1)
    write_run(logs / "mlp" / "version_2", best=0.2)
    write_run(logs / "mlp" / "version_3", test=None, checkpoints=["last"])  # stopped
    write_run(logs / "mlp" / "version_4", test=None, checkpoints=[])  # failed
    write_run(logs / "mlp" / "version_5", best=0.0, partial={"test": "8 of 30"})
    write_run(logs / "gat" / "version_0", ["--model", "gat", "--data", "motifs"], best=0.9)
    return age(logs, 1)


def cleaned(capsys: Any, logs: Path, *words: str) -> tuple[list[str], str]:
    """The runs that a call has deleted, after one without --yes has named them and deleted nothing; what it said."""
    before = sorted(logs.rglob("*"))
    runs.main(["clean", "--logs", str(logs), *words])
    printed = capsys.readouterr().out
    assert sorted(logs.rglob("*")) == before
    names = {run.name for run in find_runs(logs)}
    runs.main(["clean", "--logs", str(logs), *words, "--yes"])
    assert capsys.readouterr().out.splitlines()[:1] == printed.splitlines()[:1]
    deleted = names - {run.name for run in find_runs(logs)}
    for name in deleted:
        assert re.search(rf"^{re.escape(name)} ", printed, re.M)
    assert not [*logs.rglob(".deleted-*")]
    return sorted(deleted), printed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["mlp/version_4"]),
        (["--stopped"], ["mlp/version_3", "mlp/version_4"]),
        (["--older", "2"], []),
        (["--older", "1"], ["gat/version_0", *(f"mlp/version_{index}" for index in (0, 1, 2, 4, 5))]),
        (["--older", "1", "--model", "gat"], ["gat/version_0"]),
        (["--older", "1", "--data", "iris", "--stopped"], [f"mlp/version_{index}" for index in range(6)]),
        (["--keep", "1"], ["mlp/version_0", "mlp/version_2", "mlp/version_4", "mlp/version_5"]),
        (["--keep", "2"], ["mlp/version_0", "mlp/version_4", "mlp/version_5"]),
        (["--keep", "9"], ["mlp/version_4", "mlp/version_5"]),  # what is partial is not among the best
        (["--keep", "1", "--older", "2"], []),
        (["--checkpoints"], ["mlp/version_4"]),
    ],
)
def test_what_goes(words: list[str], expected: list[str], logs: Path, capsys: Any) -> None:
    assert cleaned(capsys, logs, *words)[0] == expected


def test_only_the_best_checkpoint_stays(logs: Path, capsys: Any) -> None:
    _, printed = cleaned(capsys, logs, "--checkpoints", "--data", "motifs")
    assert re.search(r"^gat/version_0 +4 kB .* 1 checkpoints besides the best", printed, re.M)
    assert [file.name for file in (logs / "gat" / "version_0" / "checkpoints").iterdir()] == ["best.ckpt"]
    assert [file.name for file in (logs / "mlp" / "version_3" / "checkpoints").iterdir()] == ["last.ckpt"]


def test_a_run_without_a_best_checkpoint_keeps_its_last(logs: Path, capsys: Any) -> None:
    (logs / "gat" / "version_0" / "checkpoints" / "best.ckpt").unlink()
    cleaned(capsys, logs, "--checkpoints")
    assert (logs / "gat" / "version_0" / "checkpoints" / "last.ckpt").exists()


def test_it_says_how_much_is_free_then(logs: Path, capsys: Any) -> None:
    folder = logs / "mlp" / "version_4"
    size = sum(file.stat().st_size for file in folder.iterdir())
    _, printed = cleaned(capsys, logs)
    assert f"frees {size / 1000:.3g} kB; nothing is deleted yet, --yes deletes it" in printed
    assert "stays: 1 run that was stopped and can be resumed (--stopped)" in printed


@pytest.mark.needs("link")
def test_a_file_of_two_names_is_free_when_both_are_gone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    os.link(tmp_path / "a", tmp_path / "b")
    assert size_of([tmp_path / "a"]) == 0
    assert size_of([tmp_path]) == 1000


@pytest.mark.parametrize("version", [0, 3, 4])
def test_a_run_that_a_process_writes_stays(version: int, logs: Path, capsys: Any) -> None:
    folder = logs / "mlp" / f"version_{version}"
    with closing(Lock(folder / ".lock")):
        deleted, _ = cleaned(capsys, logs, "--older", "0", "--stopped", "--checkpoints")
    assert f"mlp/version_{version}" not in deleted
    assert (folder / "config.yaml").exists()


def test_a_run_that_is_resumed_in_between_stays(logs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, held = logs / "mlp" / "version_4", []

    def listing(*arguments: Any) -> str:
        held.append(Lock(folder / ".lock"))  # after it was looked at, and before it is deleted
        return ""

    monkeypatch.setattr("scripts.cli.runs.clean.listing", listing)
    with pytest.raises(SystemExit, match="1"):
        runs.main(["clean", "--logs", str(logs), "--yes"])
    assert "mlp/version_4: not deleted (a process has begun to write there)" in capsys.readouterr().err
    assert (folder / "config.yaml").exists()
    held[0].close()


def test_a_run_that_has_just_begun_stays(logs: Path, capsys: Any) -> None:
    (logs / "mlp" / "version_6").mkdir()  # claimed, and not locked yet
    deleted, printed = cleaned(capsys, logs)
    assert deleted == ["mlp/version_4"]
    assert "stays: mlp/version_6: its folder is not a minute old; it may have just begun" in printed


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "checkpoints/mine.ckpt", "checkpoints/best_backup.ckpt", "pictures/photo.raw", "plots/a.png"),
        *("20261127/notes.txt", "00012/test%2ffeatures/mine.tsv"),
    ],
)
def test_what_a_user_has_put_there_stays(name: str, logs: Path, capsys: Any) -> None:
    file = logs / "mlp" / "version_4" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    age(logs, 1)
    deleted, printed = cleaned(capsys, logs, "--stopped")
    assert "mlp/version_4" not in deleted
    assert file.read_text() == "mine"
    assert ", which no run writes" in printed


def test_a_checkpoint_of_the_users_stays_beside_those_that_go(logs: Path, capsys: Any) -> None:
    file = logs / "gat" / "version_0" / "checkpoints" / "mine.ckpt"
    file.write_text("mine")
    cleaned(capsys, logs, "--checkpoints")
    assert file.read_text() == "mine"


def test_what_runs_write_is_known_as_theirs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mlp" / "version_0", checkpoints=["best", "last", "previous", "epoch_0012"])
    further = ["events.out.tfevents.1.vm.1.0", "results_of_step_12.json", ".lock.held", ".failed-0", "wandb_id"]
    further += ["fit-profile.txt", "report.html", "test_predictions.csv", "checkpoints/val_loss_0.5_step_12.ckpt"]
    further += ["pictures/test confusion matrix.png", "pictures/test 句子.svg"]
    further += ["baselines.pt", "projector_config.pbtxt", "00012/test%2ffeatures/tensors.tsv"]
    for folder in ("pictures", "00012/test%2ffeatures"):
        (run / folder).mkdir(parents=True)
    for name in further:
        (run / name).touch()
    assert foreign(find_runs(tmp_path)[0]) == []


@pytest.mark.needs("symlink")
def test_nothing_is_deleted_through_a_link(logs: Path, tmp_path: Path, capsys: Any) -> None:
    elsewhere = write_run(tmp_path / "elsewhere" / "mlp" / "version_0", test=None, checkpoints=[])
    (logs / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    inside = logs / "mlp" / "version_4"
    shutil.rmtree(inside)
    inside.symlink_to(elsewhere, target_is_directory=True)
    checkpoints = logs / "mlp" / "version_0" / "checkpoints"
    checkpoints.rename(tmp_path / "checkpoints")
    checkpoints.symlink_to(tmp_path / "checkpoints", target_is_directory=True)
    age(tmp_path, 1)
    deleted, _ = cleaned(capsys, logs, "--older", "0", "--stopped", "--checkpoints", "--data", "iris")
    assert deleted == [f"mlp/version_{index}" for index in (1, 2, 3, 5)]
    assert (elsewhere / "config.yaml").exists()
    assert sorted(file.name for file in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.needs("symlink")
def test_no_checkpoint_is_deleted_through_a_link(logs: Path, tmp_path: Path, capsys: Any) -> None:
    checkpoints = logs / "mlp" / "version_0" / "checkpoints"
    checkpoints.rename(tmp_path / "checkpoints")
    checkpoints.symlink_to(tmp_path / "checkpoints", target_is_directory=True)
    last = logs / "mlp" / "version_1" / "checkpoints" / "last.ckpt"
    last.rename(tmp_path / "last.ckpt")
    last.symlink_to(tmp_path / "last.ckpt")
    cleaned(capsys, logs, "--checkpoints")
    assert sorted(file.name for file in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert last.is_symlink()
    assert not (logs / "mlp" / "version_2" / "checkpoints" / "last.ckpt").exists()


@pytest.mark.parametrize("file", ["", "checkpoints/last.ckpt"])
def test_a_run_that_another_started_from_stays(file: str, logs: Path, capsys: Any) -> None:
    source = logs / "mlp" / "version_0"
    config = logs / "gat" / "version_0" / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(
        text.replace("model:\n", f"model:\n  pretrained: {source / file}\n", 1)
        .replace("  init_args:\n", f"  init_args:\n    pretrained: {source / file}\n", 1)
        .replace(f"model:\n  pretrained: {source / file}\n", "model:\n"),
        encoding="utf-8",
    )
    deleted, printed = cleaned(capsys, logs, "--keep", "1", "--data", "iris")
    assert "mlp/version_0" not in deleted
    assert "stays: mlp/version_0: gat/version_0 started from it" in printed
    assert deleted == ["mlp/version_2", "mlp/version_4", "mlp/version_5"]


@pytest.fixture
def sweep(logs: Path) -> Path:
    """A sweep with a trial that has failed, and one that has finished."""
    sweep = logs / "mlp" / "sweep_0"
    for index, test in enumerate((None, {"accuracy": 0.5})):
        write_run(sweep / f"trial_{index}" / "mlp" / "version_0", test=test, best=0.7, checkpoints=[])
        (sweep / f"trial_{index}" / "output.txt").write_text("...")
    (sweep / "sweep.yaml").write_text("name: mlp\n")
    return age(sweep, 1)


def test_a_trial_goes_with_its_folder(sweep: Path, logs: Path, capsys: Any) -> None:
    assert cleaned(capsys, logs)[0] == ["mlp/sweep_0/trial_0", "mlp/version_4"]
    assert sorted(path.name for path in sweep.iterdir()) == ["sweep.yaml", "trial_1"]


@pytest.mark.parametrize("lock", [".lock", ".worker_3.lock"])
@pytest.mark.parametrize("place", ["", "mlp/sweep_0", "mlp/sweep_0/trial_0"])
def test_no_trial_goes_while_its_sweep_is_carried_out(
    lock: str, place: str, sweep: Path, logs: Path, capsys: Any
) -> None:
    with closing(Lock(sweep / lock)):
        deleted, printed = cleaned(capsys, logs / place, "--older", "0")
    assert not [name for name in deleted if "trial" in name]
    assert "its sweep is being carried out" in printed


def test_the_folds_of_a_cross_validation_stay_together(logs: Path, capsys: Any) -> None:
    folds = logs / "mlp" / "folds_0"
    for index in range(2):
        words = (*IRIS, "--data.num_folds", "2", "--data.fold", str(index))
        write_run(folds / f"fold_{index}" / "mlp" / "version_0", words, best=0.1 * index)
    (folds / "folds.yaml").write_text("name: mlp\n")
    age(folds, 1)
    deleted, printed = cleaned(capsys, logs, "--older", "0", "--keep", "1", "--checkpoints")
    assert not [name for name in deleted if "fold" in name]
    assert "part of a cross-validation, which needs all its folds" in printed


def test_a_damaged_run_stays(logs: Path, capsys: Any) -> None:
    (logs / "mlp" / "version_0" / "results.json").write_text("{")
    assert "mlp/version_0" not in cleaned(capsys, logs, "--older", "0", "--stopped", "--checkpoints")[0]


def test_what_a_killed_deletion_has_left_goes(logs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(SystemExit):
        runs.main(["clean", "--logs", str(logs), "--yes"])
    monkeypatch.undo()
    (left,) = (logs / "mlp").glob(".deleted-version_4-*")
    assert (left / "config.yaml").exists()  # complete, and no run any more
    assert "mlp/version_4" not in [run.name for run in find_runs(logs)]
    capsys.readouterr()
    runs.main(["clean", "--logs", str(logs), "--yes"])
    assert "is left of a deletion" in capsys.readouterr().out
    assert not left.exists()


def test_nothing_to_delete(logs: Path, capsys: Any) -> None:
    assert cleaned(capsys, logs, "--model", "gat") == ([], "\nnothing to delete\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--older", "-1"], "--older: expected a whole number of at least 0, got -1"),
        (["--keep", "0"], "--keep: expected a whole number of at least 1, got 0"),
        (["mlp/version_0"], "mlp/version_0: clean expects options alone"),
        (["--sort", "run"], "--sort: is an option of list, not of clean"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], message: str, logs: Path, refused: Any) -> None:
    assert message in refused(runs.main, "clean", "--logs", str(logs), *words)


def test_what_was_read_from_data_is_told_and_stays(logs: Path, capsys: Any, data: Path) -> None:
    assert "read from data" not in cleaned(capsys, logs)[1]
    file = data / "tokens" / "0123.kept"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(2_000_000))
    printed = cleaned(capsys, logs)[1]
    assert f"stays: 2 MB in {file.parent}, read from data and kept for later runs (beyond 20" in printed
    assert file.exists()

"""The list of runs."""

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datamodules.checking.text_table import width_of
from datamodules.storage.locks import Lock
from scripts import runs
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.runs.formats import duration, fitted, memory
from scripts.cli.runs.recorded_run import STATUSES
from scripts.cli.text_table import aligned
from tests.helpers.recorded_runs import write_run


def listed(capsys: Any, logs: Path, *words: str) -> list[dict[str, Any]]:
    runs.main(["list", "--logs", str(logs), "--format", "json", *words])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def names(capsys: Any, logs: Path, *words: str) -> list[str]:
    return [each["run"] for each in listed(capsys, logs, *words)]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Runs of two models, of each status, and of a sweep and a cross-validation, in a path with spaces and Chinese."""
    logs = tmp_path / "我的 logs"
    write_run(logs / "mlp" / "version_0", test={"accuracy": 0.9, "loss": 0.3}, best=0.2)
    write_run(logs / "mlp" / "version_2", ["--model", "mlp", "--data", "wine"], test={"accuracy": 0.8}, best=0.1)
    changed = ["--model", "mlp", "--data", "iris", "--model.dropout", "0.5"]
    write_run(logs / "mlp" / "version_10", changed, test={"accuracy": 0.95, "loss": 0.2}, best=0.3)
    write_run(logs / "mlp" / "version_11", test=None, checkpoints=["last"])
    write_run(logs / "mlp" / "version_12", test=None, checkpoints=[])
    write_run(logs / "mlp" / "version_13", test={"accuracy": 0.99}, best=0.01, partial={"test": "8 of 30"})
    write_run(logs / "gat" / "version_0", ["--model", "gat", "--data", "motifs"], test={"accuracy": 0.7}, best=0.4)
    write_run(logs / "mlp" / "sweep_0" / "trial_3" / "mlp" / "version_0", best=0.15)
    (logs / "mlp" / "sweep_0" / "sweep.yaml").write_text("name: mlp\n")
    write_run(logs / "mlp" / "folds_0" / "fold_1" / "mlp" / "version_0", best=0.16)
    (logs / "mlp" / "folds_0" / "folds.yaml").write_text("name: mlp\n")
    (logs / "mlp" / "folds_0" / "config.yaml").write_text("about: {name: mlp}\n")
    return logs


def test_every_run_is_there_and_what_it_is(logs: Path, capsys: Any) -> None:
    found = {each["run"]: each for each in listed(capsys, logs)}
    assert {name: each["status"] for name, each in found.items()} == {
        "gat/version_0": "finished",
        "mlp/version_0": "finished",
        "mlp/version_2": "finished",
        "mlp/version_10": "finished",
        "mlp/version_11": "stopped",
        "mlp/version_12": "failed",
        "mlp/version_13": "partial",
        "mlp/sweep_0/trial_3": "finished",
        "mlp/folds_0/fold_1": "finished",
    }
    first, changed = found["mlp/version_0"], found["mlp/version_10"]
    assert first["path"] == str(logs / "mlp" / "version_0")
    assert (first["model"], first["data"], first["monitor"], first["best"]) == ("mlp", "iris", "val/loss", 0.2)
    assert first["test"] == {"accuracy": 0.9, "loss": 0.3}
    assert (first["settings"], changed["settings"]) == ({}, {"model.dropout": 0.5})
    assert found["mlp/version_11"]["best"] == 0.6  # so far, of metrics.csv


def test_a_run_that_a_process_writes_is_running(logs: Path, capsys: Any) -> None:
    with closing(Lock(logs / "mlp" / "version_11" / ".lock")):
        assert names(capsys, logs, "--status", "running") == ["mlp/version_11"]
    assert names(capsys, logs, "--status", "running") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--sort", "run"], ["mlp/version_0", "mlp/version_2", "mlp/version_10"]),
        (["--sort", "-run"], ["mlp/version_10", "mlp/version_2", "mlp/version_0"]),
        (["--sort", "best"], ["mlp/version_2", "mlp/version_0", "mlp/version_10"]),
        (["--sort", "val/loss"], ["mlp/version_2", "mlp/version_0", "mlp/version_10"]),
        (["--sort", "-accuracy"], ["mlp/version_10", "mlp/version_0", "mlp/version_2"]),
        (["--sort", "test/accuracy"], ["mlp/version_2", "mlp/version_0", "mlp/version_10"]),
        (["--sort", "-model.dropout"], ["mlp/version_10", "mlp/version_0", "mlp/version_2"]),
        (["--sort", "-loss"], ["mlp/version_0", "mlp/version_10", "mlp/version_2"]),  # which has none, comes last
        (["--sort", "loss"], ["mlp/version_10", "mlp/version_0", "mlp/version_2"]),
    ],
)
def test_the_order_is_that_of_a_column_a_metric_or_a_setting(
    words: list[str], expected: list[str], logs: Path, capsys: Any
) -> None:
    assert [name for name in names(capsys, logs, "--model", "mlp", *words) if name in expected] == expected


def test_filters(logs: Path, capsys: Any) -> None:
    assert names(capsys, logs, "--model", "gat") == ["gat/version_0"]
    assert names(capsys, logs, "--data", "wine") == ["mlp/version_2"]
    assert names(capsys, logs, "--data", "wine", "--data", "motifs", "--sort", "run") == [
        "gat/version_0",
        "mlp/version_2",
    ]
    assert names(capsys, logs / "mlp" / "sweep_0") == ["trial_3"]


def test_the_table_has_a_header_and_a_line_each(logs: Path, capsys: Any) -> None:
    runs.main(["list", "--logs", str(logs), "--sort", "-accuracy"])
    header, first, *others = capsys.readouterr().out.splitlines()
    assert header.split() == [
        *("run", "model", "data", "status", "val/loss", "test/accuracy", "test/f1", "test/loss", "time", "when"),
        "settings",
    ]
    assert first.split()[:6] == ["mlp/version_13", "mlp", "iris", "partial", "0.01", "0.99"]
    assert len(others) == 8


@pytest.mark.parametrize("width", [40, 60, 80, 120, 300])
def test_a_narrow_table_fits_and_has_what_matters(width: int) -> None:
    rows = [
        ["run", "model", "status", "test/a", "test/b", "when", "settings"],
        ["mlp/version_0", "mlp", "finished", "0.9", "0.8", "2026-11-27 15:31", "model.dropout=0.5 " * 9],
    ]
    found, dropped = fitted(rows, width, ["test/b", "when", "model", "test/a"])
    assert max(map(width_of, aligned(found, [0, 1, 2, 6]).splitlines())) <= width
    assert {"run", "status", "settings"} <= {*found[0]}
    assert {*found[0], *dropped} == {*rows[0]}
    assert dropped == ["test/b", "when", "model", "test/a"][: len(dropped)]
    assert (dropped == []) == (width >= 80)


def test_a_metric_that_has_no_column_gets_one(logs: Path, capsys: Any) -> None:
    runs.main(["list", "--logs", str(logs), "--sort", "model.dropout"])
    assert " model.dropout " in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (0.2, "0:00"), (65, "1:05"), (3600, "1:00:00")])
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (2.5e12, "2,500 GB")])
def test_sizes(size: float, text: str) -> None:
    assert memory(size) == text


def test_the_csv_has_the_same(logs: Path, capsys: Any) -> None:
    runs.main(["list", "--logs", str(logs), "--format", "csv", "--sort", "run"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert next(row["run"] for row in rows if row["status"] == "finished") == "gat/version_0"
    (changed,) = [row for row in rows if row["run"] == "mlp/version_10"]
    assert (changed["test/accuracy"], changed["settings"]) == ("0.95", "model.dropout=0.5")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "mpl"], "--model mpl: no run here is of it; did you mean mlp?"),
        (["--data", "irsi"], "--data irsi: no run here is of it; did you mean iris?"),
        (["--status", "finishd"], "did you mean finished?"),
        (["--sort", "accurcy"], "--sort accurcy: no run here has it; did you mean accuracy?"),
        (["--format", "xml"], "--format xml: expected table, csv, json"),
        (["--yes"], "--yes: is an option of clean, not of list"),
        (["gat"], "gat: list expects options alone"),
        (["--nonsense", "1"], "--nonsense: no such option"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], message: str, logs: Path, refused: Any) -> None:
    assert message in refused(runs.main, "list", "--logs", str(logs), *words)


def test_no_folder_and_no_action(tmp_path: Path, refused: Any, capsys: Any) -> None:
    assert "no such folder of runs" in refused(runs.main, "list", "--logs", str(tmp_path / "none"))
    assert "lst: expected list, compare, report, best, clean; did you mean list?" in refused(runs.main, "lst")
    runs.main(["list", "--logs", str(tmp_path)])
    assert capsys.readouterr().out == "no runs\n"


DAMAGE: dict[str, bytes] = {
    "empty": b"",
    "half": b'{"model": "mlp", "test": {"acc',
    "not text": b"\xff\xfe\x00\x01",
    "a list": b"[1, 2]",
    "other types": b'{"model": ["a"], "data": 3, "test": [1], "monitor": {}, "best": "x", "partial": 1}',
    "not finite": b'{"model": "mlp", "test": {"accuracy": NaN, "f1": 1e999, "x": "0.5", "y": true}, "best": NaN}',
    "deep": b"[" * 100_000,
    "yaml": b"about: {name: mlp}\nmodel: 3\ndata: [x]\ntrainer: null\n",
}


@pytest.mark.parametrize("file", ["config.yaml", "results.json", "metrics.csv"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_shown_as_far_as_they_can_be(file: str, damage: str, tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path / "mlp" / "version_0")
    (tmp_path / "mlp" / "version_0" / file).write_bytes(DAMAGE[damage])
    (found,) = listed(capsys, tmp_path)
    assert found["run"] == "mlp/version_0"
    assert found["status"] in STATUSES
    runs.main(["list", "--logs", str(tmp_path)])
    assert "mlp/version_0" in capsys.readouterr().out


def test_a_note_says_what_cannot_be_read(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path / "mlp" / "version_0")
    (tmp_path / "mlp" / "version_0" / "results.json").write_text('{"model": ')
    runs.main(["list", "--logs", str(tmp_path)])
    assert capsys.readouterr().err.startswith("note: mlp/version_0: results.json: not what a run has written")
    assert listed(capsys, tmp_path)[0]["status"] == "damaged"


@pytest.mark.needs("mkfifo")
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path / "mlp" / "version_0", test=None)
    for name in ("config.yaml", "metrics.csv"):
        (tmp_path / "mlp" / "version_0" / name).unlink()
        os.mkfifo(tmp_path / "mlp" / "version_0" / name)
    assert listed(capsys, tmp_path)[0]["status"] == "stopped"


@pytest.mark.needs("geteuid")
def test_a_folder_that_may_not_be_read_is_shown(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "mlp" / "version_0")
    write_run(tmp_path / "mlp" / "version_1")
    scan = os.scandir

    def denied(folder: Any) -> Any:
        if str(folder).endswith("version_1"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", denied)  # root may read everything
    found = {each["run"]: each for each in listed(capsys, tmp_path)}
    assert found["mlp/version_1"]["status"] == "unreadable"
    assert found["mlp/version_1"]["notes"] == ["cannot be read (Permission denied)"]
    assert found["mlp/version_0"]["status"] == "finished"


@pytest.mark.needs("symlink")
def test_links_are_followed_once_and_never_back(tmp_path: Path, capsys: Any) -> None:
    write_run(tmp_path / "logs" / "mlp" / "version_0")
    write_run(tmp_path / "elsewhere" / "gat" / "version_0", ["--model", "gat", "--data", "motifs"])
    for name, target in {"a": "elsewhere", "b": "elsewhere", "c": "logs", "d": ".", "e": "nowhere"}.items():
        (tmp_path / "logs" / name).symlink_to(tmp_path / target, target_is_directory=True)
    assert sorted(names(capsys, tmp_path / "logs")) == ["a/gat/version_0", "mlp/version_0"]


@pytest.mark.parametrize("run", ["gan", "linear_regression"])
def test_runs_of_earlier_versions(run: str, capsys: Any) -> None:
    (found,) = listed(capsys, ROOT / "tests" / "earlier_runs" / run)
    assert found["model"] == run
    assert found["status"] == "stopped"  # without results


def thousand(folder: Path) -> None:
    """A thousand runs, a tenth of them without results, each with a setting of its own."""
    write_run(folder / "mlp" / "version_0")
    files = {name: (folder / "mlp" / "version_0" / name).read_text() for name in ("config.yaml", "results.json")}
    rows = (folder / "mlp" / "version_0" / "metrics.csv").read_text()
    for index in range(1, 1000):
        run = folder / "mlp" / f"version_{index}"
        (run / "checkpoints").mkdir(parents=True)
        (run / "checkpoints" / "last.ckpt").touch()
        (run / "metrics.csv").write_text(rows)
        (run / ".lock").touch()
        (run / "config.yaml").write_text(files["config.yaml"].replace("dropout: 0.3", f"dropout: 0.{index}"))
        if index % 10:
            (run / "results.json").write_text(files["results.json"].replace("0.9", f"0.{index}"))


READ = """
import json, sys
from pathlib import Path
for run in Path(sys.argv[1]).glob("*/version_*"):
    (run / "config.yaml").read_text()
    if (run / "results.json").exists():
        json.loads((run / "results.json").read_text())
"""


@pytest.mark.long
def test_a_thousand_runs_take_at_most_twelve_times_the_bare_reading_of_their_files(tmp_path: Path) -> None:
    """Of a processor's time, whatever else it does: about a second where it is of 2024."""
    resource = pytest.importorskip("resource")
    thousand(tmp_path)

    def took(*words: str) -> tuple[float, str]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout

    listing = [str(ROOT / "scripts" / "runs.py"), "list", "--logs", str(tmp_path), "--sort", "-accuracy"]
    pairs = [(took(*listing), took("-c", READ, str(tmp_path))) for _ in range(5)]
    out = pairs[0][0][1]
    assert len(out.splitlines()) == 1001
    assert "model.dropout=0.999" in out
    ratio = min(listed / read for (listed, _), (read, _) in pairs)
    assert ratio < 12, pairs


def test_each_file_of_a_run_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """And metrics.csv, which may be long, only where there are no results."""
    write_run(tmp_path / "mlp" / "version_0")
    write_run(tmp_path / "mlp" / "version_1", test=None)
    opened = []
    open_path = Path.open

    def counted(path: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(path.relative_to(tmp_path / "mlp").as_posix() if tmp_path in path.parents else "")
        return open_path(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", counted)
    runs.main(["list", "--logs", str(tmp_path), "--sort", "-accuracy"])
    capsys.readouterr()
    assert sorted(filter(None, opened)) == [
        "version_0/config.yaml",
        "version_0/results.json",
        "version_1/.lock",
        "version_1/config.yaml",
        "version_1/metrics.csv",
    ]


def test_it_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    write_run(tmp_path / "mlp" / "version_0")
    code = (
        "import sys; from scripts import runs\n"
        "runs.main(['list', '--logs', sys.argv[1]]); runs.main(['best', '--logs', sys.argv[1]])\n"
        "runs.main(['clean', '--logs', sys.argv[1], '--older', '0'])\n"
        "print({'torch', 'lightning', 'numpy', 'pandas', 'matplotlib'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"

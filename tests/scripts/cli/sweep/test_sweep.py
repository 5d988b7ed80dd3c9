"""Sweeps: each trial a process, one of which may crash, be pruned, or be killed with the sweep itself."""

import csv
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from optuna.trial import TrialState

from callbacks.run.signals import Signals
from datamodules.loading.die_with_parent import is_alive
from scripts.cli.command_line.recipes import ROOT, read_recipe, recipe_names, resolve
from scripts.cli.errors import UsageError
from scripts.cli.run.files import write_json
from scripts.cli.sweep import subprocess_run, trials
from scripts.cli.sweep.plan import SweepPlan
from scripts.cli.sweep.report import plot, write_table
from scripts.cli.sweep.search_space import Dimension, read_space
from scripts.cli.sweep.sweep import planned
from scripts.sweep import main as sweep
from tests.helpers.waiting import soon

PRETENDING = ROOT / "tests" / "helpers" / "pretending.py"


@pytest.fixture
def pretending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials are processes of tests/helpers/pretending.py."""
    monkeypatch.setattr(subprocess_run, "FIT", PRETENDING)
    monkeypatch.setattr(subprocess_run, "POLL_INTERVAL", 0.02)


def space_file(folder: Path, **space: object) -> str:
    file = folder / "space.yaml"
    file.write_text(yaml.safe_dump({name.replace("__", "."): value for name, value in space.items()}))
    return str(file)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def in_order(folder: Path) -> list[tuple[str, ...]]:
    """What was tried, in its order, and its results; without indices and times."""
    rows = sorted(rows_of(folder), key=lambda row: int(row["trial"]))
    return [tuple(value for key, value in row.items() if key not in ("trial", "seconds")) for row in rows]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        sweep(list(words))
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_the_plot_names_the_choices_and_counts_in_integers() -> None:
    import optuna
    from optuna.distributions import CategoricalDistribution, IntDistribution

    distributions = {
        "model.hidden_size": CategoricalDistribution(("32", "128")),
        "model.num_layers": IntDistribution(1, 4),
    }
    study = optuna.create_study()
    for value, (size, depth) in enumerate([("128", 2), ("32", 4)]):
        params = {"model.hidden_size": size, "model.num_layers": depth}
        study.add_trial(optuna.create_trial(value=value, params=params, distributions=distributions))
    space = {"model.hidden_size": {"choice": [32, 128]}, "model.num_layers": {"int": [1, 4]}}
    plan = SweepPlan("mlp", [], "", 2, 5, space, "val/loss", "min", 0)
    figure = plot(study, plan)
    figure.canvas.draw()
    values, sizes, layers = figure.axes
    assert [label.get_text() for label in sizes.get_xticklabels()] == ["32", "128"]
    for axes in (values, layers):
        assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_the_best_trial_is_found_drawn_and_can_be_repeated(
    pretending: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = space_file(tmp_path, model__dropout={"uniform": [0.1, 0.6]})
    words = ["--model", "mlp", "--space", space, "--logs", str(tmp_path), "--model.hidden_size", "7"]
    sweep([*words, "--trials", "4"])
    folder = tmp_path / "mlp" / "sweep_0"
    rows = rows_of(folder)
    tried = [float(row["model.dropout"]) for row in rows]
    assert len(set(tried)) == 4
    assert tried == sorted(tried, reverse=True)  # the higher, the lower the loss: see pretending.py
    assert float(rows[0]["val/loss"]) == pytest.approx(2.0 ** (-2 * tried[0]))
    assert (folder / "trials.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert f"best: python scripts/fit.py --model mlp --model.hidden_size 7 --model.dropout {tried[0]}\n" in out
    sweep([*words, "--trials", "4"])
    assert in_order(tmp_path / "mlp" / "sweep_1") == in_order(folder)  # the same seed, the same trials
    sweep([*words, "--trials", "4", "--seed_everything", "1"])
    assert in_order(tmp_path / "mlp" / "sweep_2") != in_order(folder)


def test_a_crash_costs_one_trial_and_is_reported_by_its_last_line(
    pretending: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = space_file(tmp_path, model__dropout={"uniform": [0.1, 0.6]}, data__batch_size={"choice": [32, 64]})
    sweep(["--model", "mlp", "--trials", "6", "--space", space, "--logs", str(tmp_path)])
    rows = rows_of(tmp_path / "mlp" / "sweep_0")
    assert len(rows) == 6
    for row in rows:
        assert row["end"] == ("error: this is why" if row["data.batch_size"] == "64" else "complete")
    assert len({row["end"] for row in rows}) == 2
    assert "failed: error: this is why" in capsys.readouterr().out


def test_where_every_trial_crashes_the_sweep_has_failed(
    pretending: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "mlp", "--space", space_file(tmp_path, model__dropout={"uniform": [0.1, 0.6]})]
    with pytest.raises(SystemExit) as stop:
        sweep([*words, "--trials", "2", "--data.batch_size", "64", "--logs", str(tmp_path)])
    assert stop.value.code == 1
    assert "error: none of 2 trials came to its end" in capsys.readouterr().err


def test_a_trial_below_the_median_is_pruned(pretending: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETEND_SECONDS", "0.3")  # long enough to be pruned while it still runs
    space = space_file(tmp_path, model__dropout={"choice": [0.5, 0.01]}, data__batch_size={"choice": [32, 128]})
    monkeypatch.setenv("PRETEND_SHORT", "1")
    words = ["--model", "mlp", "--space", space, "--logs", str(tmp_path), "--trainer.max_epochs", "9"]
    sweep([*words, "--trials", "6", "--unpruned", "1"])
    folder = tmp_path / "mlp" / "sweep_0"
    rows = rows_of(folder)
    assert {row["end"] for row in rows} == {"complete", "pruned"}
    first_good = min(int(row["trial"]) for row in rows if row["model.dropout"] == "0.5")
    for row in rows:
        bad = row["model.dropout"] == "0.01" and int(row["trial"]) > first_good
        if bad:
            assert row["end"] == "pruned"
            assert row["validations"] == str(trials.WARM_UP + 1)
            assert not (folder / f"trial_{row['trial']}" / "mlp" / "version_0" / "results.json").exists()
        elif int(row["trial"]) <= first_good:
            assert row["end"] == "complete"


class Killed(BaseException):
    """Stands in for SIGKILL."""


class FakeRun:
    """Stands in for a trial's process, which has ended; its metric falls by an exponent of the dropout."""

    process = SimpleNamespace(returncode=0)

    def __init__(self, plan: SweepPlan, words: list[str], folder: Path, monitor: str) -> None:
        self.run = folder
        self.values = [2.0 ** (-float(words[1]) * epoch - float(words[3])) for epoch in range(5)]
        write_json(folder / "results.json", {"best": self.values[-1]})

    def watch(self, should_prune: Callable[[list[float]], bool], stopped: Callable[[], bool]) -> bool:
        return should_prune(self.values)


SPACE = {"model.dropout": {"uniform": [0.1, 0.6]}, "model.weight_decay": {"uniform": [0, 1]}}
LONG_SWEEP = SweepPlan("mlp", [], "", 14, 2, SPACE, "val/loss", "min", 0)  # from the eleventh on, earlier ones count


def results(folder: Path) -> list[tuple[object, ...]]:
    """What is tried, in its order, and what comes of it, however often the sweep is killed."""
    folder.mkdir(exist_ok=True)
    while len(trials.ended(study := trials.open_study(LONG_SWEEP, folder))) < LONG_SWEEP.trials:
        with suppress(Killed):
            trials.run_trial(study, LONG_SWEEP, folder, Signals())
    return [(*each.params.values(), each.value, each.state.name) for each in trials.ended(study)]


@pytest.mark.parametrize("period", [4, 5, 6])  # calls: before a value is suggested, between two, while the run trains
def test_a_sweep_that_is_killed_again_and_again_tries_what_it_would_have_tried(
    period: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "SubprocessRun", FakeRun)
    expected = results(tmp_path / "complete")
    assert {state for *_, state in expected} == {"COMPLETE", "PRUNED"}
    calls = itertools.count(1)

    def killed(function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            if next(calls) % period == 0:
                raise Killed
            return function(*arguments)

        return wrapped

    monkeypatch.setattr(Dimension, "suggest", killed(Dimension.suggest))
    monkeypatch.setattr(FakeRun, "watch", killed(FakeRun.watch))
    assert results(tmp_path / "killed") == expected


def test_a_sweep_of_an_earlier_version_that_had_queued_its_interrupted_trial_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "SubprocessRun", FakeRun)
    expected = results(tmp_path / "complete")
    (tmp_path / "queued").mkdir()
    study = trials.open_study(LONG_SWEEP, tmp_path / "queued")
    interrupted = study.ask()
    study.enqueue_trial(dict(zip(SPACE, expected[0], strict=False)))
    study.tell(interrupted, state=TrialState.FAIL)
    assert results(tmp_path / "queued") == expected


def test_which_trials_are_pruned_does_not_depend_on_how_fast_they_are(
    pretending: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = space_file(tmp_path, model__dropout={"uniform": [0.0, 0.6]})
    words = ["--model", "mlp", "--space", space, "--trainer.max_epochs", "9", "--trials", "8", "--unpruned", "1"]
    sweep([*words, "--logs", str(tmp_path / "fast")])
    monkeypatch.setenv("PRETEND_SECONDS", "0.2")
    sweep([*words, "--logs", str(tmp_path / "slow")])
    fast, slow = (in_order(tmp_path / speed / "mlp" / "sweep_0") for speed in ("fast", "slow"))
    assert "pruned" in {row[-1] for row in fast}
    assert fast == slow


def forked_sweep(words: list[str], output: Path) -> int:
    """The id of a process that sweeps; forked, so that it has imported everything."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            with output.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", buffering=1) for descriptor in (1, 2))
                sweep(words)
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        finally:
            os._exit(status)
    return process


def waiting_trial(folder: Path) -> tuple[str, int] | None:
    """The folder's name and process of the first trial that waits for ever, once it is there."""
    for file in folder.glob("trial_*/mlp/version_0/metrics.csv"):
        if not (file.parent / "results.json").exists():
            return file.parents[2].name, int((file.parent / "process").read_text())
    return None


@pytest.mark.needs("fork")
@pytest.mark.parametrize("name_of_signal", ["SIGKILL", "SIGTERM"])
def test_a_sweep_that_was_stopped_resumes_as_if_it_had_not_been(
    name_of_signal: str, pretending: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = signal.Signals[name_of_signal]
    space = space_file(tmp_path, model__dropout={"uniform": [0.1, 0.6]}, data__batch_size={"choice": [32, 128]})
    words = ["--model", "mlp", "--trials", "4", "--space", space]
    process = forked_sweep([*words, "--logs", str(tmp_path / "pieces")], tmp_path / "output")
    folder = tmp_path / "pieces" / "mlp" / "sweep_0"
    assert soon(lambda: waiting_trial(folder), 120), (tmp_path / "output").read_text()
    name, trial = waiting_trial(folder) or ("", 0)
    os.kill(process, number)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    output = (tmp_path / "output").read_text()
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number), output
    assert soon(lambda: not is_alive(trial))  # it did not outlive the sweep
    if number == signal.SIGTERM:
        assert f"--resume {os.path.relpath(folder)} resumes it" in output or f"--resume {folder} resumes it" in output
    with (folder / "trials.journal").open("a") as journal:
        journal.write('{"op_code": 4, "wor')  # cut off in the middle of a line
    monkeypatch.setenv("PRETEND_SHORT", "1")
    sweep(["--resume", str(folder)])
    sweep([*words, "--logs", str(tmp_path / "complete")])
    assert in_order(folder) == in_order(tmp_path / "complete" / "mlp" / "sweep_0")
    assert name not in {f"trial_{row['trial']}" for row in rows_of(folder)}  # its settings were tried again by another
    sweep(["--resume", str(folder), "--trials", "5"])
    assert len(rows_of(folder)) == 5


@pytest.mark.long
def test_a_real_sweep(tmp_path: Path) -> None:
    """Runs of fit.py: one that is good, one that is pruned, one that crashes."""
    space = space_file(
        tmp_path, model__optimizer__lr={"choice": [0.005, 1e-9]}, data__batch_size={"choice": [32, 100_000]}
    )
    words = ["--model", "mlp", "--trials", "3", "--space", space, "--unpruned", "1", "--logs", str(tmp_path)]
    words += ["--trainer.max_epochs", "150", "--trainer.limit_train_batches", "4", "--trainer.accelerator", "cpu"]
    sweep([*words, "--seed_everything", "2"])  # which tries all three, the good one first
    rows = rows_of(tmp_path / "mlp" / "sweep_0")
    ends = {(row["model.optimizer.lr"], row["data.batch_size"]): row["end"] for row in rows}
    assert ends.pop(("0.005", "32")) == "complete"
    assert ends.pop(("1e-09", "32")) == "pruned"
    (crash,) = ends.values()
    assert crash.startswith("error: --data.batch_size 100000: the training split has only")
    (pruned,) = (row["trial"] for row in rows if row["end"] == "pruned")
    run = tmp_path / "mlp" / "sweep_0" / f"trial_{pruned}" / "mlp" / "version_0"
    assert not (run / "results.json").exists()
    assert "stopped by SIGTERM" in (run.parents[1] / "output.txt").read_text()


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ([], "expected options with what they may be"),
        ({"model.dropout": 0.5}, "model.dropout: expected {log:"),
        ({"model.dropout": {"normal": [0, 1]}}, "model.dropout: normal: expected one of log, uniform, int, choice"),
        ({"model.dropout": {"unifrom": [0, 1]}}, "did you mean uniform?"),
        ({"model.dropout": {"uniform": [0.5, 0.1]}}, "expected a lower and an upper bound, got [0.5, 0.1]"),
        ({"model.dropout": {"uniform": [0, 1, 2]}}, "expected a lower and an upper bound"),
        ({"model.dropout": {"uniform": "0-1"}}, "uniform: expected a list, got '0-1'"),
        ({"model.dropout": {"uniform": [0, "much"]}}, "uniform: expected numbers, got 'much'"),
        ({"model.optimizer.init_args.lr": {"log": [0, 1]}}, "log: expected bounds above 0"),
        ({"model.num_layers": {"int": [1, 2.5]}}, "int: expected whole numbers, got 2.5"),
        ({"data.batch_size": {"choice": [32]}}, "choice: expected two or more different values"),
        ({"data.batch_size": {"choice": [32, "32"]}}, "choice: expected two or more different values"),
        ({"model.droppout": {"uniform": [0, 0.5]}}, "--model.droppout: no such option; did you mean --model.dropout?"),
        ({"allow": {"choice": ["theirs", "os"]}}, "allow: expected an option of the model, the data or the training"),
        ({"model.dropout": {"choice": ["--allow=theirs", 0.1]}}, "choice: expected values, and no further options"),
        ({"model.num_layers": {"uniform": [1, 4]}}, "--model.num_layers: expected int, got 1.0"),
        ({"data.batch_size": {"choice": [32, "many"]}}, "--data.batch_size: expected int or auto or null, got many"),
    ],
)  # fmt: skip
def test_a_malformed_space_is_refused_in_one_line(
    space: object, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(yaml.safe_dump(space))
    line = refused(capsys, "--model", "mlp", "--trials", "2", "--space", str(file), "--logs", str(tmp_path / "logs"))
    assert line.startswith("error: ")
    assert expected in line or (space == [] and "expected sections" in line)
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mlp"], "how often? Give --trials, a number"),
        (["--model", "mlp", "--trials", "many"], "--trials: expected a whole number of at least 1, got many"),
        (["--model", "mpl", "--trials", "2"], "did you mean mlp?"),
        (["--model", "mlp", "--trials", "2", "--space", "none.yaml"], "--space none.yaml: there is no such file"),
        (["--model", "rnn", "--trials", "2", "--model.optimizer.lr", "0.1"], "nothing to try: the options given"),
        (["--resume", "."], "--resume .: no sweep.yaml there; expected a folder such as lightning_logs/mlp/sweep_0"),
        (["--resume", ".", "--model.dropout", "0"], "--resume . and --model.dropout contradict each other"),
    ],
)  # fmt: skip
def test_refuses_in_one_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in refused(capsys, *words)


PLAN = {
    "name": "mlp",
    "words": ["--model", "mlp"],
    "trials": 2,
    "unpruned": 5,
    "space": {"model.dropout": {"uniform": [0.1, 0.6]}},
    "monitor": "val/loss",
    "mode": "min",
    "seed": 0,
}


def planned_in(folder: Path, **changed: object) -> Path:
    """A sweep's folder as somebody else may give it away."""
    folder.mkdir(exist_ok=True)
    plan = {"place": str(folder), **PLAN, **changed}
    (folder / "sweep.yaml").write_text(
        yaml.safe_dump({key: value for key, value in plan.items() if value is not None}, sort_keys=False)
    )
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["--allow", "theirs"],
        ["--allow=theirs"],
        [" --allow=theirs"],
        ["--allow ", "theirs"],
        ["--config", "--allow=theirs"],
        ["--model.dropout", "--allow", "theirs"],
        ["--logs", "/tmp/elsewhere"],
        ["--logs=/tmp/elsewhere"],
        ["--resume", "elsewhere"],
        ["--model.dropout\0"],
    ],
    ids=repr,
)
def test_a_plan_allows_nothing_and_reaches_nowhere(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "SubprocessRun", lambda *_: pytest.fail("was started"))
    folder = planned_in(tmp_path / "sweep_0", words=["--model", "mlp", *words])
    assert f"{folder / 'sweep.yaml'}: words: " in refused(capsys, "--resume", str(folder))
    assert {file.name for file in folder.iterdir()} == {"sweep.yaml"}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        *[({key: None}, f"{key}: missing") for key in PLAN],
        *[({key: [["x"]]}, f"{key}: expected ") for key in PLAN],
        ({"place": 7}, "place: expected str, got 7"),
        ({"place": "/nowhere/at/all"}, "place: expected an existing folder's full path"),
        ({"place": "."}, "place: expected an existing folder's full path"),
        ({"shell": "rm"}, "shell: unknown; expected name, words"),
        ({"allow": ["theirs"]}, "allow: unknown"),
        ({"allowed": "theirs"}, "allowed: expected list"),
        ({"name": "../../elsewhere"}, "name: expected the name of a model"),
        ({"name": ".."}, "name: expected the name of a model"),
        ({"trials": 0}, "trials: expected at least 1, got 0"),
        ({"trials": True}, "trials: expected int, got True"),
        ({"mode": "most"}, "mode: expected min or max, got 'most'"),
        ({"space": {"allow": {"choice": ["theirs", "os"]}}}, "space: allow: expected an option of the model"),
        ({"space": {"allow=theirs": {"int": [1, 2]}}}, "expected an option of the model"),
        ({"space": {"logs": {"choice": ["a", "b"]}}}, "expected an option of the model"),
        ({"space": {"model.dropout": {"choice": ["--allow=theirs", 0.1]}}}, "expected values, and no further options"),
        ({"space": {"model.dropout": [1, 2]}}, "expected {log:"),
    ],
    ids=repr,
)
def test_a_plan_of_other_content_is_refused_in_one_line(
    changed: dict[str, object], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = planned_in(tmp_path / "sweep_0", **changed)
    line = refused(capsys, "--resume", str(folder))
    assert str(folder / "sweep.yaml") in line
    assert expected in line


@pytest.mark.parametrize(
    "content", ["", "[]", "7", "name: [", "!!python/object/apply:os.mkdir [mark]", "words: &a [*a]"]
)
def test_a_plan_that_is_none_is_refused_in_one_line(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text(content)
    assert "sweep.yaml" in refused(capsys, "--resume", str(tmp_path))
    assert not (tmp_path / "mark").exists()


def test_what_was_allowed_at_the_beginning_has_to_be_allowed_again(
    pretending: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text("from lightning.pytorch import Callback\nclass Watch(Callback):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    space = space_file(tmp_path, model__dropout={"uniform": [0.1, 0.6]})
    words = ["--model", "mlp", "--space", space, "--logs", str(tmp_path), "--trainer.callbacks", "theirs.Watch"]
    sweep([*words, "--trials", "1", "--allow", "theirs"])
    capsys.readouterr()
    folder = tmp_path / "mlp" / "sweep_0"
    plan = yaml.safe_load((folder / "sweep.yaml").read_text())
    assert "--allow" not in plan["words"]
    assert plan["allowed"] == ["theirs"]
    line = refused(capsys, "--resume", str(folder), "--trials", "2")
    assert "was started with --allow theirs, which no file can give; add it again" in line
    assert len(rows_of(folder)) == 1
    sweep(["--resume", str(folder), "--trials", "2", "--allow", "theirs"])
    assert len(rows_of(folder)) == 2
    assert "--allow theirs" in capsys.readouterr().out  # of the command that repeats the best
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # where the user's own module of that name may stand
    line = refused(capsys, "--resume", str(folder), "--trials", "3", "--allow", "theirs")
    assert "is looked for in the working folder" in line
    assert len(rows_of(folder)) == 2


@pytest.mark.filterwarnings("ignore:Fixed parameter")  # Optuna's, which then takes it all the same
@pytest.mark.parametrize("value", ["--allow=theirs", "0.3", True, [0.3], 0.7, -1], ids=repr)
def test_a_trial_that_was_noted_gives_no_option_and_no_value_of_its_own(value: object) -> None:
    import optuna

    study = optuna.create_study()
    study.enqueue_trial({"model.dropout": value, "model.schedule": value}, skip_if_exists=False)
    trial = study.ask()
    for each in (Dimension("model.dropout", "uniform", (0.1, 0.6)), Dimension("model.schedule", "choice", ("a", "b"))):
        with pytest.raises(UsageError, match=f"{each.option}: expected {each.distribution}"):
            each.suggest(trial)


@pytest.mark.parametrize(
    "content", ["7", "[]", "{}", '{"op_code": 0}', '"x"', "\x80\x04cos\nmkdir\n", '{"op_code": "rm"}']
)
def test_what_is_known_so_far_is_read_as_plain_lines(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = planned_in(tmp_path / "sweep_0")
    (folder / "trials.journal").write_text(content + "\n", encoding="latin1")
    assert "trials.journal: not what a sweep has written" in refused(capsys, "--resume", str(folder))


def test_what_is_known_so_far_has_no_pickled_snapshot() -> None:
    from optuna.storages.journal import JournalFileBackend

    assert not hasattr(JournalFileBackend, "load_snapshot")  # which JournalStorage would unpickle


def test_values_are_written_as_a_command_line_wants_them() -> None:
    assert read_space({"a.b": {"choice": [32, [1, 2], None, True, "x"]}}, "")[0].values == (
        "32",
        "[1, 2]",
        "null",
        "true",
        "x",
    )
    assert read_space({"a.b": {"log": ["1e-4", 1]}}, "") == [Dimension("a.b", "log", (1e-4, 1.0))]  # YAML's text


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_a_search_space_or_a_learning_rate_to_make_one_of(name: str) -> None:
    plan = planned(["--model", name], 1, None, 5)
    assert plan.dimensions
    about = read_recipe(name).get("about", {})
    if "sweep" in about:
        assert list(plan.space) == list(about["sweep"])
    else:
        rate = resolve(["--model", name]).defaults["model"]["optimizer"]["init_args"]["lr"]
        assert plan.space == {"model.optimizer.init_args.lr": {"log": [rate / 10, rate * 10]}}
    json.dumps(plan.space)


def test_what_a_failed_trial_has_printed_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    import optuna

    study = optuna.create_study()
    study.add_trial(optuna.create_trial(state=TrialState.FAIL, user_attrs={trials.CAUSE: "=HYPERLINK(A1)"}))
    write_table(study, SweepPlan("mlp", [], "", 1, 5, {"model.dropout": {"uniform": [0, 1]}}, "-x", "min", 0), tmp_path)
    header, row = (tmp_path / "trials.csv").read_text().splitlines()
    assert header == "trial,'-x,model.dropout,validations,seconds,end"
    assert row.startswith("0,,,0,")
    assert row.endswith(",'=HYPERLINK(A1)")

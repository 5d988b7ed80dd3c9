import errno
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks.run.baselines import FILE, batches_of, fitted_to, read_kept, reason_of
from datamodules.baselines.baseline import Baseline, Fitted, Predictor
from datamodules.tabular import TabularClassification
from scripts.cli.command_line.recipes import resolve
from scripts.cli.evaluate import testing
from scripts.cli.run.experiment import Experiment

BRIEFLY = ["--trainer.max_steps", "4", "--trainer.accelerator", "cpu", "--data.batch_size", "64"]


def fitted(logs: Path, *words: str, model: str = "mlp") -> dict[str, Any]:
    return Experiment(resolve(["--model", model, "--logs", str(logs), *BRIEFLY, *words])).fit().results


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    fitted(logs)
    return logs / "mlp" / "version_0"


def table(path: Path, rows: int = 90) -> Path:
    numbers = range(rows)
    lines = [f"{number % 7},{number % 5 - number % 3},{'good' if number % 7 > 3 else 'bad'}" for number in numbers]
    path.write_text("\n".join(["a,b,label", *lines]) + "\n")
    return path


def test_a_run_keeps_them_and_a_test_of_its_checkpoint_shows_them_without_fitting(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = json.loads((run / "results.json").read_text())
    assert {"accuracy", "logistic_accuracy", "boosting_auroc"} <= results["baseline"].keys()
    assert results["baselines"]["logistic"]["examples"] == results["baselines"]["boosting"]["of"] == 400
    monkeypatch.setattr("callbacks.run.baselines.fitted_to", None)
    testing.test([], [str(run)], None, None)
    printed = capsys.readouterr().out
    assert f"{results['baseline']['logistic_auroc']:.4g}" in printed
    assert "baselines logistic, boosting: fitted on the 400 training examples" in printed


def test_they_predict_for_other_data_without_the_training_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = table(tmp_path / "my table.csv"), table(tmp_path / "新的.csv", 40)
    fitted(tmp_path, "--data", str(file), "--data.batch_size", "16")
    capsys.readouterr()
    checkpoint = str(tmp_path / "mlp" / "version_0")
    testing.test([], [checkpoint], None, str(other))
    header = capsys.readouterr().out.split("\n\n")[1].splitlines()[0]
    assert header.split() == ["test", "trivial", "logistic", "boosting"]
    (tmp_path / "mlp" / "version_0" / FILE).write_bytes(b"damaged")
    testing.test([], [checkpoint], None, str(other))
    printed = capsys.readouterr().out
    assert f"left out: there is no {FILE} beside the checkpoint, and this data has no training split" in printed


def test_without_its_file_a_checkpoint_has_them_fitted_again_to_its_data(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "alone.ckpt"
    moved.write_bytes((run / "checkpoints" / "last.ckpt").read_bytes())
    testing.test([], [str(run)], None, None)
    expected = capsys.readouterr().out.split("\n\n", 1)[1]
    testing.test([], [str(moved)], None, None)
    assert capsys.readouterr().out.split("\n\n", 1)[1] == expected
    assert not list(tmp_path.rglob(FILE))


def test_what_knows_only_its_own_data_is_left_out_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "graph"
    folder.mkdir()
    nodes = [f"{node},{node % 3},{'ab'[node % 2]}" for node in range(30)]
    (folder / "nodes.csv").write_text("\n".join(["id,x,label", *nodes]) + "\n")
    edges = [f"{node},{(node + 2) % 30}" for node in range(30)]
    (folder / "edges.csv").write_text("\n".join(["source,target", *edges]) + "\n")
    words = ["--data", str(folder), "--data.batch_size", "null"]
    results = fitted(tmp_path, *words, model="gcn")
    assert results["baseline"]["propagation_accuracy"] == 1  # the even numbers are one ring, the odd ones another
    capsys.readouterr()
    testing.test([], [str(tmp_path / "gcn" / "version_0")], None, str(folder))
    printed = capsys.readouterr().out
    assert "baseline propagation: left out: it knows only the data that it was fitted to" in printed
    assert "propagation" not in printed.split("\n\n")[1].splitlines()[0]


def test_the_option_turns_them_off_and_a_resumed_run_may_change_it(tmp_path: Path) -> None:
    results = fitted(tmp_path, "--baselines", "false")
    folder = tmp_path / "mlp" / "version_0"
    assert "logistic_accuracy" not in results["baseline"]
    assert "accuracy" in results["baseline"]
    assert results["baselines"] == {}
    assert not (folder / FILE).exists()
    again = (
        Experiment(resolve(["--resume", str(folder), "--trainer.max_steps", "8", "--baselines", "true"])).fit().results
    )
    assert "logistic_accuracy" in again["baseline"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--trainer.limit_train_batches", "2"], "--trainer.limit_train_batches has kept part"),
        (["--trainer.limit_train_batches", "0.5"], "--trainer.limit_train_batches has kept part"),
        (["--trainer.overfit_batches", "1"], "the run is only a trial"),
        (["--trainer.fast_dev_run", "true"], "the run is only a trial"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_model_that_saw_part_of_the_training_split_is_not_compared(
    words: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = fitted(tmp_path, *words)
    assert "logistic_accuracy" not in results["baseline"]
    assert results["baselines"]["boosting"]["left_out"].startswith(reason)
    assert "baselines logistic, boosting: left out: " in capsys.readouterr().out


class Failing(Baseline):
    """Fails when it is fitted, or when it predicts."""

    def __init__(self, error: Exception, in_prediction: bool) -> None:
        self.error = error
        self.in_prediction = in_prediction

    def fit(self, batches: Iterable[Any]) -> Fitted:
        if not self.in_prediction:
            raise self.error
        return {}

    def predictor(self, fitted: Fitted) -> Predictor:
        def predict(batch: Any) -> Any:
            raise self.error

        return predict


@pytest.mark.parametrize("in_prediction", [False, True], ids=["in fitting", "in prediction"])
def test_one_that_fails_is_left_out_and_the_run_goes_on(
    in_prediction: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = TabularClassification.baselines

    def with_one_that_fails(self: TabularClassification) -> dict[str, Baseline]:
        return {"failing": Failing(MemoryError("too large\nfor it"), in_prediction), **theirs(self)}

    monkeypatch.setattr(TabularClassification, "baselines", with_one_that_fails)
    results = fitted(tmp_path)
    assert results["baselines"]["failing"] == {"left_out": "too large"}
    assert "logistic_accuracy" in results["baseline"]
    assert "baseline failing: left out: too large\n" in capsys.readouterr().out


def test_of_large_data_a_sample_is_fitted_and_the_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("datamodules.baselines.boosting.max_examples", lambda *sizes: 150)
    results = fitted(tmp_path)
    assert results["baselines"]["boosting"]["examples"] == 150
    printed = capsys.readouterr().out
    assert "baseline boosting: fitted on 150 of 400 training examples\n" in printed
    assert "baseline logistic: fitted on the 400 training examples\n" in printed


def test_iterations_that_do_not_suffice_are_said_and_no_warning_is_lost() -> None:
    data = TabularClassification("wine")
    data.setup()
    baseline = data.baselines()["logistic"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datamodules.baselines.linear.MAX_ITERATIONS", 1)
        _, facts = fitted_to(baseline, data)
    assert "converge" in facts["remark"]


def test_training_is_the_same_with_and_without_them(tmp_path: Path) -> None:
    states = []
    for words in ([], ["--baselines", "false"]):
        results = fitted(tmp_path / str(len(words)), *words)
        states.append((results["test"], torch.get_rng_state().tolist(), random.getstate()))
    assert states[0] == states[1]


def test_batches_are_those_that_a_model_gets_in_evaluation() -> None:
    data = TabularClassification("iris")
    data.setup()
    rows = data.splits.test[:5]
    ((inputs, target),) = batches_of(data, rows)
    expected = data.examples(rows)[torch.arange(5)]
    assert torch.equal(inputs, expected[0])
    assert torch.equal(target, expected[1])


def test_a_disk_that_is_full_by_then_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("callbacks.run.baselines.write_file", full)
    assert "logistic_accuracy" in fitted(tmp_path)["baseline"]
    assert f"note: {FILE} cannot be written (No space left on device)" in capsys.readouterr().err


def test_a_file_that_is_none_of_theirs_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / FILE
    assert read_kept(path) is None
    torch.save([1, 2], path)
    assert read_kept(path) is None
    assert reason_of(MemoryError()) == "MemoryError"
    assert len(reason_of(ValueError("x" * 1000))) < 130

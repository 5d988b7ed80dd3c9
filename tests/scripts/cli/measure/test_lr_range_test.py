"""The range test raises the rate as it says, stops where the loss diverges, and leaves nothing else behind."""

import csv
import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from scripts.cli.measure.lr_range_test import Range, RangeTest
from scripts.find_rate import main
from tests.helpers.kinds import one_of_each_kind


def tried(losses: list[float]) -> RangeTest:
    """The test after steps of these losses, from a rate of 0.001 on, each ten times the last."""
    test = RangeTest(Range(len(losses), 1e-3, 1e-3 * 10 ** (len(losses) - 1), Path("x.png")))
    groups: list[dict[str, object]] = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 0.2}]
    optimizer = torch.optim.SGD(groups, lr=2.0)
    trainer = SimpleNamespace(optimizers=[optimizer], global_step=0, should_stop=False)
    test.on_train_start(trainer, None)  # type: ignore[arg-type]
    for loss in losses:
        if trainer.should_stop:
            break
        test.on_train_batch_start(trainer, None, None, 0)  # type: ignore[arg-type]
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([test.rates[-1], test.rates[-1] / 10])
        trainer.global_step += 1
        test.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, 0)  # type: ignore[arg-type]
    return test


def test_rates_rise_by_the_same_factor_and_the_suggestion_is_a_tenth_of_the_best() -> None:
    test = tried([3.0, 3.0, 2.0, 1.0, 5.0, 9.0])
    assert test.rates == pytest.approx([1e-3, 1e-2, 0.1, 1, 10, 100])
    mean, smoothed = 0.0, []
    for step, loss in enumerate(test.losses, start=1):
        mean = 0.9 * mean + 0.1 * loss
        smoothed.append(mean / (1 - 0.9**step))
    assert test.smoothed == pytest.approx(smoothed)
    assert smoothed[3] == min(smoothed)
    assert test.suggestion == pytest.approx(0.1)
    assert not test.diverged


@pytest.mark.parametrize("last", [1e3, math.inf, math.nan])
def test_ends_where_the_loss_diverges(last: float) -> None:
    test = tried([3.0, 2.0, last, 1.0])
    assert test.diverged
    assert len(test.losses) == 3
    assert test.suggestion == pytest.approx(1e-3)


def test_no_suggestion_where_nothing_lowered_the_loss() -> None:
    assert tried([1.0, 2.0, 3.0]).suggestion is None


@pytest.mark.parametrize("further", [[], ["--trainer.accumulate_grad_batches", "2"]])
def test_writes_a_plot_and_figures_and_no_run(
    further: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--model", "mlp", "--steps", "30", "--lowest", "1e-4", "--highest", "100", "--logs", str(tmp_path)]
    main([*words, *further])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlp_rate.csv", "mlp_rate.png"]
    assert (tmp_path / "mlp_rate.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "mlp_rate.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows[0]["rate"] == pytest.approx(1e-4)
    assert rows[0]["loss"] == pytest.approx(math.log(2), rel=0.2)  # of two classes, before training
    for one, other in itertools.pairwise(rows):
        assert other["rate"] / one["rate"] == pytest.approx(1e6 ** (1 / 29))
    out = capsys.readouterr().out
    assert "the loss diverged at a rate of" in out
    assert "suggestion: --model.optimizer.lr " in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mlp", "--steps", "9"], "--steps 9: expected a whole number, at least 10"),
        (["--model", "mlp", "--lowest", "nan"], "--lowest nan: expected a positive number"),
        (["--model", "mlp", "--lowest", "2", "--highest", "1"], "--lowest 2 and --highest 1 contradict each other"),
        (["--model", "mlp", "--output", "x.pdf"], "--output x.pdf: expected a name that ends in .png"),
        (["--model", "gan"], "--model gan: two networks play against each other"),
    ],
)
def test_refuses_in_one_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    err = capsys.readouterr().err
    assert err.startswith(f"error: {expected}")
    assert err.count("\n") == 1


@pytest.mark.long
@pytest.mark.parametrize("name", sorted({*one_of_each_kind()} - {"gan"}))
def test_every_kind_is_tried(name: str, tmp_path: Path) -> None:
    main(["--model", name, "--steps", "10", "--output", str(tmp_path / "rate.png")])
    assert len((tmp_path / "rate.csv").read_text().splitlines()) > 2

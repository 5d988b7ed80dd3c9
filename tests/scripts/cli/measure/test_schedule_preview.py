"""The rates drawn before a run are those of the run."""

import csv
from pathlib import Path

import pytest

from scripts.cli.command_line.recipes import resolve
from scripts.cli.measure.schedule_preview import evenly_spaced, schedule_of
from scripts.schedule import main
from tests.helpers.stopping import FURTHER, SHORT, train


@pytest.mark.parametrize(
    ("name", "further", "total", "shown"),
    [
        ("mlp", ["--model.schedule", "cosine", "--model.warmup", "0.3"], 8, ["lr"]),
        ("mlp", ["--model.schedule", "step", "--trainer.max_steps", "5"], 5, ["lr"]),
        ("mlp", ["--model.schedule", "one_cycle", "--trainer.accumulate_grad_batches", "3"], 4, ["lr"]),
        ("mlp", ["--model.schedule", "constant"], 8, ["lr"]),
        ("gan", ["--model.schedule", "linear"], 8, ["lr"]),
        (
            "cnn",
            ["--finetuning.backbone_rate", "0.1"],
            8,
            ["lr 1 weights, lr 2 biases and norms", "lr 3 backbone weights, lr 4 backbone biases and norms"],
        ),
    ],
)
def test_shows_the_rates_that_the_run_logs(
    name: str, further: list[str], total: int, shown: list[str], tmp_path: Path
) -> None:
    words = ["--model", name, *SHORT, *FURTHER.get(name, []), *further]
    schedule = schedule_of(resolve(words))
    assert schedule.total == total
    assert train([*words, "--logs", str(tmp_path)]) == 0
    with (tmp_path / name / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    columns = [key for key in rows[0] if key.startswith("lr-")]
    logged = {tuple(float(row[key]) for row in rows) for key in columns}  # groups with the same as one
    assert logged == {tuple(rate(step) for step in range(total)) for rate in schedule.rates.values()}
    assert list(schedule.rates) == shown


def test_draws_a_plot_and_a_table_and_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["--model", "mlp", "--model.schedule", "plateau", "--model.warmup", "0.1", "--logs", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["mlp_schedule.png"]
    assert (tmp_path / "mlp_schedule.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "mlp: 720 steps, 12 an epoch" in out
    assert "multiplied by 0.1 whenever val/loss was not better for 10 validations" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--output", "x.pdf"], "--output x.pdf: expected a name that ends in .png"),
        (
            ["--trainer.max_epochs", "null", "--trainer.max_time", "00:01:00:00", "--model.schedule", "constant"],
            "--trainer.max_time does not say how many steps the run has",
        ),
    ],
)
def test_refuses_in_one_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--model", "mlp", *words])
    assert capsys.readouterr().err.startswith(f"error: {expected}")


def test_points_are_evenly_spaced_from_the_first_step_to_the_last() -> None:
    assert evenly_spaced(3, 5) == [0, 1, 2]
    assert evenly_spaced(101, 5) == [0, 25, 50, 75, 100]

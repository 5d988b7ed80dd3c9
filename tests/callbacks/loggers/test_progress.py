import io
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from callbacks.loggers.progress import Progress
from callbacks.run.checkpoints import Checkpoints
from callbacks.run.run_folder import RunFolder
from lightning_modules.mlp import MLP
from scripts.cli.run.experiment import Experiment
from tests.helpers.stopping import signalled
from tests.helpers.terminal import Terminal

LABELLED = (torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1]))


class Endless(IterableDataset[Any]):
    """A stream whose length is unknown."""

    def __iter__(self) -> Iterator[Any]:
        """Four batches."""
        return iter([LABELLED] * 4)


def batches(count: int, batch: Any = LABELLED) -> DataLoader[Any]:
    """So many batches."""
    return DataLoader([batch] * count, batch_size=None)  # type: ignore[arg-type]


class Run:
    """A run of three steps an epoch and two validation batches, whose screen is looked at.

    Args:
        terminal: whether it is one.
        every: seconds between two lines, of both kinds.
        width: columns.
        model: to train.
        train: its batches.
        callbacks: besides the progress.
        options: of the trainer.
    """

    def __init__(
        self,
        terminal: bool = False,
        every: float = 0.0,
        width: int = 150,
        model: LightningModule | None = None,
        train: Any = None,
        callbacks: tuple[Callback, ...] = (),
        **options: Any,
    ) -> None:
        self.written = io.BytesIO()
        self.progress = progress = Progress()
        file = io.TextIOWrapper(self.written, encoding="utf-8", write_through=True, newline="\r\n")
        environment = {"TERM": "xterm"}
        progress.screen.console = Console(file=file, force_terminal=terminal, width=width, _environ=environment)
        progress.EVERY = progress.EVERY_PLAIN = progress.lines.EVERY = every
        self.terminal = Terminal(width)
        self.model = model or MLP(4, 3, optimizer=torch.optim.SGD)
        self.trainer = Trainer(
            **{"max_epochs": 2} | options,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=any(isinstance(each, Checkpoints) for each in callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            callbacks=[progress, *callbacks],
        )
        self.train = batches(3) if train is None else train

    def fit(self) -> list[str]:
        """Train; the lines that have been written."""
        self.trainer.fit(self.model, self.train, batches(2))
        return self.lines()

    def lines(self) -> list[str]:
        """The lines that have been written since."""
        self.terminal.feed(self.written.getvalue())
        text = self.written.getvalue().decode()
        self.written.seek(0)
        self.written.truncate()
        return text.splitlines()


def kept(folder: Path, monitor: str = "val/loss", mode: str = "min") -> Checkpoints:
    """Checkpoints that tell the best."""
    return Checkpoints(RunFolder(folder), monitor, mode)


def staying(lines: list[str]) -> list[str]:
    """The lines that stay, of a file's."""
    return [line for line in lines if "  took " in line]


def test_a_file_gets_plain_lines_with_epoch_step_time_and_metrics() -> None:
    run = Run()
    lines = run.fit()
    assert lines[0] == "checking  batch 1 of 2  0:00 left"
    assert re.fullmatch(r"epoch 1/2  step 1 of 3  loss \d\.\d+", lines[2])  # no time is known after a single step
    assert re.fullmatch(r"epoch 1/2  step 2 of 3  0:00 left  loss \d\.\d+", lines[3])
    assert lines[5].startswith("epoch 1/2 validating  batch 1 of 2  0:00 left  loss ")
    stays = r"epoch 1/2  step 3 of 3  0:00 left  took 0\.\d\d s  loss \d\.\d+  val/loss \d\.\d+  val/accuracy .*"
    assert re.fullmatch(stays, lines[7])
    assert lines[8].startswith("epoch 2/2  step 1 of 3  0:00 left  loss ")
    assert len(lines) == 2 + 2 * (3 + 2 + 1)
    assert not any("\x1b" in line or "━" in line or "lr-" in line for line in lines)


def test_tests_and_predictions_show_their_batches() -> None:
    class Several(MLP):
        def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
            return super().test_step(batch, batch_idx)

        def on_test_epoch_end(self) -> None:
            """Whose metrics of several loaders have other names."""

    run = Run(model=Several(4, 3, optimizer=torch.optim.SGD))
    run.trainer.test(run.model, [batches(1), batches(3)], verbose=False)
    assert run.lines() == [f"testing  batch {batch} of 4  0:00 left" for batch in (1, 2, 3, 4)]
    run.trainer.predict(run.model, batches(2, LABELLED[0]))
    assert run.lines() == [f"predicting  batch {batch} of 2  0:00 left" for batch in (1, 2)]
    run.trainer.validate(run.model, batches(2), verbose=False)
    assert run.lines() == [f"validating  batch {batch} of 2  0:00 left" for batch in (1, 2)]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_screen_gets_a_bar_below_lines_that_stay(width: int) -> None:
    run = Run(terminal=True, width=width)
    run.fit()
    run.trainer.test(run.model, batches(4), verbose=False)
    run.lines()
    screen = [line for line in run.terminal.lines if line]
    assert [line.split("  ")[0] for line in screen] == ["epoch 1/2", "epoch 2/2"]  # the bar leaves nothing behind
    assert all(re.match(r"epoch ./2  0\.\d\d s {8}loss \d\.\d{3}   val/loss \d\.\d{3}", line) for line in screen)
    drawn = run.terminal.last_lines
    assert all(len(line) <= width for line in drawn)
    assert any(re.match(r"checking [━╸╺ ]+ 2/2 0:00 left$", line) for line in drawn)
    assert any(re.match(r"checking [━╸╺ ]+ 0/2 -:-- left$", line) for line in drawn)
    assert not any("0/0" in line for line in drawn)
    assert any(re.match(r"epoch 2/2 [━╸╺ ]+ 2/3 0:00 left  loss \d\.\d\d  val/loss \d\.\d\d", line) for line in drawn)
    assert any(re.match(r"epoch 2/2 validating [━╸╺ ]+ 1/2 0:00 left  loss \d\.\d\d", line) for line in drawn)
    assert any(re.match(r"testing [━╸╺ ]+ 3/4 0:00 left$", line) for line in drawn)
    assert ("val/f1" in " ".join(drawn)) == (width == 120)


@pytest.mark.parametrize("terminal", [False, True])
def test_lines_are_written_when_it_is_time_and_those_of_the_end_always(terminal: bool) -> None:
    run = Run(terminal, every=1000.0, max_epochs=4)
    run.fit()
    assert [line.split("  ")[0] for line in run.terminal.lines if line.startswith("epoch")] == [
        "epoch 1/4",
        "epoch 4/4",
    ]
    assert not any("2/3" in line or "2 of 3" in line for line in run.terminal.last_lines)


def test_the_best_so_far_is_marked(tmp_path: Path) -> None:
    class Rising(Callback):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 2:
                for parameter in pl_module.parameters():
                    parameter.data.mul_(50)

    lines = staying(Run(max_epochs=3, callbacks=(Rising(), kept(tmp_path))).fit())
    assert ["  best  " in line for line in lines] == [True, True, False]


def test_the_best_of_a_training_metric_is_known_at_the_end_of_the_epoch(tmp_path: Path) -> None:
    model = MLP(4, 3, dropout=0.0, optimizer=torch.optim.SGD, monitor="train/loss")
    lines = staying(Run(model=model, callbacks=(kept(tmp_path, "train/loss"),)).fit())
    assert ["  best  " in line for line in lines] == [True, True]
    assert all("val/loss" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_epochs": None, "max_steps": 4}, ["1/2  step 3 of 3", "2/2  step 1 of 1"]),
        ({"max_epochs": 2, "max_steps": 4}, ["1/2  step 3 of 3", "2/2  step 1 of 1"]),
        ({"accumulate_grad_batches": 2}, ["1/2  step 2 of 2", "2/2  step 2 of 2"]),
        ({"check_val_every_n_epoch": 2}, ["1/2  step 3 of 3", "2/2  step 3 of 3"]),
        ({"limit_val_batches": 0}, ["1/2  step 3 of 3", "2/2  step 3 of 3"]),
        ({"max_epochs": 1, "val_check_interval": 1}, [f"1/1  step {step} of 3" for step in (1, 2, 3)]),
        (
            {"val_check_interval": 2, "check_val_every_n_epoch": None},
            [f"{epoch}/2  step {step} of 3" for epoch, step in ((1, 2), (1, 3), (2, 1), (2, 3))],
        ),
        ({"max_epochs": -1, "max_steps": 4}, ["1/2  step 3 of 3", "2/2  step 1 of 1"]),
        ({"fast_dev_run": True}, ["1/1  step 1 of 1"]),
    ],
)
def test_steps_are_those_of_the_epoch_and_validations_have_lines(options: dict[str, Any], expected: list[str]) -> None:
    lines = staying(Run(**options).fit())
    assert ["  ".join(line.split("  ")[:2]) for line in lines] == [f"epoch {each}" for each in expected]


def test_the_metrics_of_an_earlier_validation_are_not_told_again() -> None:
    for monitor in ("val/loss", "train/loss"):
        model = MLP(4, 3, optimizer=torch.optim.SGD, monitor=monitor)
        lines = staying(Run(model=model, max_epochs=3, check_val_every_n_epoch=2).fit())
        assert ["val/loss" in line for line in lines] == [False, True, False]


def test_on_a_screen_validations_within_an_epoch_tell_the_step() -> None:
    run = Run(terminal=True, max_epochs=1, val_check_interval=1)
    run.fit()
    assert [line[:16] for line in run.terminal.lines if line] == [f"epoch 1/1  {step}/3  " for step in (1, 2, 3)]


def test_what_has_no_known_length_tells_how_long_it_has_taken() -> None:
    lines = Run(train=DataLoader(Endless(), batch_size=None), max_epochs=2).fit()
    assert any(line.startswith("epoch 1/2  step 1  0:00 so far") for line in lines)
    assert staying(lines)[1].startswith("epoch 2/2  step 4  ")
    timed = Run(max_epochs=-1, max_time={"seconds": 1}, every=0.0).fit()
    assert timed[2].startswith("epoch 1  step 1 of 3  0:01 left  loss")
    assert staying(timed)[-1].split("  ")[2] == "0:00 left"


def test_the_time_left_is_the_whole_runs_validations_included(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    class Slow(MLP):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            nonlocal now
            now += 60.0 if self.global_step == 0 else 10.0  # the first is no measure
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            nonlocal now
            now += 1.0 if not self.trainer.sanity_checking else 0.0
            super().validation_step(batch, batch_idx)

    lines = Run(model=Slow(4, 3, optimizer=torch.optim.SGD), num_sanity_val_steps=0).fit()
    times = [re.search(r"\S+ left", line) for line in lines]
    assert [found and found[0].split()[0] for found in times] == [
        *(None, "0:40", "0:30"),  # further steps of ten seconds
        *("0:33", "0:32"),  # batches of the validations are known, too: two of a second each, and of another one
        "0:32",
        *("0:22", "0:12", "0:02"),
        *("0:01", "0:00"),
        "0:00",
    ]
    assert [re.findall(r"took [\d:. s]+", line)[0].strip() for line in staying(lines)] == ["took 1:22", "took 32 s"]


def test_what_is_not_trained_for_its_weights_leaves_no_lines() -> None:
    run = Run(every=1000.0)
    run.progress.lines_stay = False
    assert run.fit() == []


def test_only_the_first_process_shows_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    monkeypatch.setattr(type(run.trainer), "is_global_zero", False)
    assert run.fit() == []


def test_an_error_comes_below_what_is_shown_and_the_bar_is_gone() -> None:
    class Failing(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            if trainer.global_step == 5:
                raise RuntimeError

    run = Run(terminal=True, width=60, every=0.0, callbacks=(Failing(),))
    with pytest.raises(RuntimeError):
        run.fit()
    run.lines()
    assert [line.split("  ")[0] for line in run.terminal.lines if line] == ["epoch 1/2"]
    assert run.progress.screen.bar is None


def test_what_a_model_prepares_is_shown() -> None:
    class Prepared(MLP):
        def on_train_start(self) -> None:
            for done in range(3):
                self.report_preparation("training the judge", done, 3)

    lines = Run(model=Prepared(4, 3, optimizer=torch.optim.SGD), max_epochs=1, num_sanity_val_steps=0).fit()
    assert lines[0] == "training the judge  step 0 of 3"
    assert lines[2] == "training the judge  step 2 of 3  0:00 left"


def test_a_run_that_is_resumed_in_the_middle_of_an_epoch_goes_on_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Progress, "EVERY_PLAIN", 0.0)
    options = {"data": {"batch_size": 32}, "trainer": {"max_epochs": 2, "accelerator": "cpu"}}
    with signalled(17), pytest.raises(SystemExit):
        Experiment("mlp", logs=str(tmp_path), **options).fit()
    before = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert before[-1].startswith("epoch 2/2  step 5 of 12  ")
    Experiment(resume=str(tmp_path / "mlp" / "version_0")).fit()
    after = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert after[0].startswith("epoch 2/2  step 6 of 12  loss ")
    assert after[1].startswith("epoch 2/2  step 7 of 12  0:00 left  loss ")
    assert after[-1].startswith("epoch 2/2  step 12 of 12  0:00 left  took ")

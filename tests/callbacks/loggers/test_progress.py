import io
import re
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from rich.console import Console
from torch.utils.data import DataLoader

from callbacks.loggers.progress import Progress
from lightning_modules.mlp import MLP


def shown(terminal: bool, every: float, epochs: int = 2, width: int = 150) -> str:
    """What a run of three steps an epoch, two validation and four test batches writes on the screen."""
    progress = Progress()
    screen = io.StringIO()
    progress.console = Console(file=screen, force_terminal=terminal, width=width)
    progress.EVERY = progress.EVERY_PLAIN = every
    model = MLP(4, 3, optimizer=torch.optim.SGD)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[progress],
    )

    def batches(batch: Any, count: int) -> DataLoader[Any]:
        return DataLoader([batch] * count, batch_size=None)  # type: ignore[arg-type]

    labelled = (torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1]))

    trainer.fit(model, batches(labelled, 3), batches(labelled, 2))
    trainer.test(model, batches(labelled, 4), verbose=False)
    trainer.predict(model, batches(torch.randn(5, 4), 2))
    return screen.getvalue()


def test_a_file_gets_plain_lines_with_epoch_step_and_metrics() -> None:
    lines = shown(terminal=False, every=0.0).splitlines()
    assert lines[0].split("  ")[:2] == ["epoch 1/2", "step 1 of 6"]
    assert lines[3].startswith("epoch 1/2 (validating)  step 3 of 6")
    assert any(line.startswith("epoch 2/2  step 4 of 6  ") and "val/accuracy" in line for line in lines)
    assert lines[-6:-2] == [f"testing  step {step} of 4" for step in (1, 2, 3, 4)]
    assert lines[-2:] == [f"predicting  step {step} of 2" for step in (1, 2)]
    assert len(lines) == 2 * (3 + 2) + 4 + 2


def test_a_screen_gets_a_bar_that_leaves_nothing_behind() -> None:
    text = shown(terminal=True, every=0.0)
    assert "epoch 2/2" in text
    assert "6/6" in text
    assert "testing" in text
    assert "4/4" in text
    assert "predicting" in text
    assert text.endswith("\x1b[1A\x1b[2K")  # up a line and wipe it


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_drawn_before_it_is_time(terminal: bool) -> None:
    text = shown(terminal, every=1000.0)
    assert "step" not in text
    assert "1/6" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_shows_the_steps_the_time_and_the_monitored_metric(width: int) -> None:
    lines = [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line) for line in shown(True, 0.0, width=width).split("\r")]
    trained = [line.strip("\n") for line in lines if "epoch 2/2" in line]
    assert all(len(line) <= width for line in trained)
    last = trained[-1]
    assert re.search(r"epoch 2/2( \(validating\))? +[━╸╺ ]+ +\d/6 +[\d:-]+ +val/loss \d", last), last
    assert "lr-" not in "".join(lines)

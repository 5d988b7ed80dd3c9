from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from callbacks.run.throughput import Throughput, batch_size_of
from datamodules.reading import Answers
from lightning_modules.mlp import MLP


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(7, 2),
        (torch.zeros(30, 2), torch.zeros(7)),
        [torch.zeros(30, 2), torch.zeros(7, 5)],
        ("pairs", ["a reference"] * 7),
        ("passages", Answers(torch.zeros(7, 2), [[]] * 7)),
    ],
)
def test_counts_the_examples_of_every_type_of_batch(batch: Any) -> None:
    assert batch_size_of(batch) == 7


def test_a_test_of_an_earlier_checkpoint_does_not_change_the_counts(tmp_path: Path) -> None:
    counted = Throughput()
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    trainer = Trainer(**quiet, enable_checkpointing=False, max_epochs=4, log_every_n_steps=1, callbacks=[counted])
    batch: Any = (torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    batches: DataLoader[Any] = DataLoader([batch] * 2, batch_size=None)  # type: ignore[arg-type]

    class Saving(MLP):
        def on_train_epoch_end(self) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")

    model = Saving(2, 2, optimizer=partial(torch.optim.SGD, lr=0.1))
    trainer.fit(model, batches, batches)
    seconds = counted.train_seconds
    assert counted.examples == 4 * 2 * 3
    trainer.test(model, batches, ckpt_path=tmp_path / "0.ckpt", weights_only=True, verbose=False)
    assert (counted.examples, counted.train_seconds) == (4 * 2 * 3, seconds)
    other = Throughput()
    other.load_state_dict(counted.state_dict())
    assert other.examples == 4 * 2 * 3  # as in a resumed run

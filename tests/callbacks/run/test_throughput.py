from functools import partial

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
def test_counts_the_examples_of_every_kind_of_batch(batch):
    assert batch_size_of(batch) == 7


def test_a_test_of_an_earlier_checkpoint_leaves_what_training_came_to(tmp_path):
    counted = Throughput()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(**quiet, enable_checkpointing=False, max_epochs=4, log_every_n_steps=1, callbacks=[counted])
    batches = DataLoader([(torch.zeros(3, 2), torch.tensor([0, 1, 1]))] * 2, batch_size=None)
    model = MLP(2, 2, optimizer=partial(torch.optim.SGD, lr=0.1))
    model.on_train_epoch_end = lambda: trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch}.ckpt")
    trainer.fit(model, batches, batches)
    seconds = counted.train_seconds
    assert counted.examples == 4 * 2 * 3
    trainer.test(model, batches, ckpt_path=tmp_path / "0.ckpt", weights_only=True, verbose=False)
    assert (counted.examples, counted.train_seconds) == (4 * 2 * 3, seconds)
    other = Throughput()
    other.load_state_dict(counted.state_dict())
    assert other.examples == 4 * 2 * 3  # as a run does that goes on

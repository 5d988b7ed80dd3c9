"""Checkpoints that are kept beside the best and the last."""

import signal
from pathlib import Path

import pytest

from callbacks.keep_checkpoints import KeepCheckpoints
from callbacks.run.checkpoint_file import read_checkpoint, verify
from tests.helpers.stopping import SHORT, compare, in_pieces, train

KEEP = ["--checkpoint.keep", "2", "--trainer.max_epochs", "4", "--data.batch_size", "8"]


def names(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir()} - {"best.ckpt", "last.ckpt", "previous.ckpt"}


def test_the_best_and_each_epochs_are_kept(tmp_path: Path) -> None:
    assert train(["--model", "mlp", *SHORT, *KEEP, "--checkpoint.every_epoch", "true", "--logs", str(tmp_path)]) == 0
    run = tmp_path / "mlp" / "version_0"
    epochs = {f"epoch_{epoch:04d}.ckpt" for epoch in range(1, 5)}
    best = names(run) - epochs
    assert epochs < names(run)
    assert len(best) == 2
    kept = read_checkpoint(run / "checkpoints" / "last.ckpt")["callbacks"]["KeepCheckpoints"]["kept"]
    assert [name for _, name in kept] == sorted(best, key=lambda name: float(name.split("_")[2]))
    for name in names(run):
        verify(run / "checkpoints" / name)
    for epoch in range(1, 5):
        assert read_checkpoint(run / "checkpoints" / f"epoch_{epoch:04d}.ckpt")["global_step"] == 4 * epoch
    top = read_checkpoint(run / "checkpoints" / kept[0][1])
    assert top["global_step"] == read_checkpoint(run / "checkpoints" / "best.ckpt")["global_step"]


def test_a_stopped_run_keeps_what_an_unstopped_one_does(tmp_path: Path) -> None:
    whole, pieces = in_pieces("mlp", tmp_path, [6], [*KEEP, "--trainer.limit_train_batches", "4"], signal.SIGTERM)
    assert compare(whole, pieces) == []
    assert names(whole) == names(pieces)


def test_a_number_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--checkpoint.keep: expected at least 1, got 0"):
        KeepCheckpoints(keep=0)

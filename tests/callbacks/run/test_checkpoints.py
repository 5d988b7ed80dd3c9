import errno
import os
import stat
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from callbacks.run import checkpoint_file, checkpoints
from callbacks.run.checkpoint_file import AtomicCheckpointIO, RefusedError, UnsavedError
from callbacks.run.checkpoints import Checkpoints, NonFiniteError, SaveEvery
from callbacks.run.run_folder import RunFolder
from callbacks.run.signals import Signals
from datamodules.storage import atomic_file
from lightning_modules.mlp import MLP
from scripts.cli.command_line.ranges import save_every


def run(folder: Path, scores: list[float], mode: str = "max", **options: Any) -> tuple[Trainer, Checkpoints]:
    """Train an epoch for each score, which is that of its validation."""
    torch.manual_seed(0)

    class Scored(MLP):
        def on_validation_epoch_end(self) -> None:
            self.log("val/score", scores[self.current_epoch])

    model = Scored(4, 2, optimizer=partial(torch.optim.SGD, lr=0.1))
    keeper = Checkpoints(RunFolder(folder), "val/score", mode, SaveEvery(epoch_seconds=0))
    batch: Any = (torch.randn(8, 4), torch.randint(0, 2, (8,)))
    batches: DataLoader[Any] = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]
    trainer = Trainer(
        max_epochs=len(scores),
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        callbacks=[keeper],
        plugins=[AtomicCheckpointIO(**options)],
    )
    trainer.fit(model, batches, batches)
    return trainer, keeper


def epoch_of(path: Path) -> int:
    return torch.load(path, weights_only=True)["epoch"]


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
@pytest.mark.parametrize(
    ("mode", "scores", "best"),
    [("max", [1, 3, 2, 3], 1), ("min", [3, 1, 2, 1], 1), ("max", [float("nan"), 2, 1], 1), ("max", [1, 2, 3], 2)],
)
def test_best_is_the_first_best_and_last_is_the_last(
    tmp_path: Path, mode: str, scores: list[float], best: int, seconds: float
) -> None:
    _, keeper = run(tmp_path, scores, mode, seconds=seconds)
    assert epoch_of(tmp_path / "checkpoints" / "best.ckpt") == best + 1  # so many are done
    assert epoch_of(tmp_path / "checkpoints" / "last.ckpt") == len(scores)  # all of them done
    assert keeper.best_score == scores[best]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    assert epoch_of(tmp_path / "checkpoints" / "previous.ckpt") == len(scores) - 1


def test_a_pending_checkpoint_has_the_weights_of_its_own_moment(tmp_path: Path) -> None:
    run(tmp_path / "now", [1, 3, 2, 1], seconds=0.0)
    run(tmp_path / "later", [1, 3, 2, 1], seconds=3600.0)
    now, later = (
        torch.load(tmp_path / name / "checkpoints" / "best.ckpt", weights_only=True) for name in ("now", "later")
    )
    for name, weight in now["state_dict"].items():
        torch.testing.assert_close(later["state_dict"][name], weight, rtol=0, atol=0)


def test_what_is_pending_is_written_when_the_run_fails(tmp_path: Path) -> None:
    class BreaksOff(list[float]):
        """Two scores for five epochs."""

        def __len__(self) -> int:
            return 5

    with pytest.raises(IndexError):
        run(tmp_path, BreaksOff([1.0, 2.0]), seconds=3600.0)
    assert epoch_of(tmp_path / "checkpoints" / "best.ckpt") == 2


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.ckpt"
    io = AtomicCheckpointIO(seconds=0)
    io.save_checkpoint({"value": 1}, path)

    def broken(content: Any, file: Any) -> None:
        file.write(b"half of i")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="disk is full"):
        io.save_checkpoint({"value": 2}, path)
    assert io.load_checkpoint(path) == {"value": 1, "format": 1}
    assert os.listdir(tmp_path) == ["best.ckpt"]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EDQUOT, "your quota on this disk is used up"),
        (errno.EROFS, "Read-only file system"),
        (errno.EPERM, "not permitted"),
    ],
)
def test_a_file_system_that_refuses_a_checkpoint_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: str
) -> None:
    path = tmp_path / "best.ckpt"
    io = AtomicCheckpointIO(seconds=0)
    io.save_checkpoint({"value": 1}, path)

    def refused(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(RefusedError, match=rf"best\.ckpt: .*{expected}.*; the older checkpoints are kept$"):
        io.save_checkpoint({"value": 2}, path)
    assert io.load_checkpoint(path) == {"value": 1, "format": 1}
    assert os.listdir(tmp_path) == ["best.ckpt"]


def test_a_checkpoint_may_be_read_by_others(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint({}, tmp_path / "x.ckpt")
    assert stat.S_IMODE((tmp_path / "x.ckpt").stat().st_mode) == 0o644


@pytest.fixture
def unsteady(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of writes that a network file system fails from now on."""
    monkeypatch.setattr(atomic_file, "WAITS", (0.0, 0.0))
    left, sync = [0], os.fsync

    def fsync(descriptor: int) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return left


def test_a_save_that_a_network_file_system_fails_is_retried_by_the_next(
    tmp_path: Path, unsteady: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    io, path = AtomicCheckpointIO(seconds=0), tmp_path / "last.ckpt"
    io.save_checkpoint({"value": 1}, path)
    unsteady[0] = 6  # three attempts each
    for value in (2, 3):
        io.save_checkpoint({"value": value}, path)
        io.flush()
        assert io.load_checkpoint(path)["value"] == 1
    (line,) = capsys.readouterr().err.splitlines()  # once
    assert line.startswith(f"warning: {path}: cannot be saved (Input/output error); the older checkpoints are kept")
    io.save_checkpoint({"value": 4}, path)
    io.flush(final=True)
    assert io.load_checkpoint(path)["value"] == 4
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_the_last_save_of_all_is_tried_again_and_must_succeed(tmp_path: Path, unsteady: list[int]) -> None:
    io, path = AtomicCheckpointIO(seconds=0), tmp_path / "last.ckpt"
    unsteady[0] = 3
    io.save_checkpoint({"value": 1}, path)
    io.flush(final=True)
    assert io.load_checkpoint(path)["value"] == 1
    unsteady[0] = 99
    io.save_checkpoint({"value": 2}, path)
    with pytest.raises(UnsavedError, match=r"last\.ckpt: cannot be saved"):
        io.flush(final=True)
    assert io.load_checkpoint(path)["value"] == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_written_a_tensor_at_a_time_is_the_same_file(tmp_path: Path, is_first: bool) -> None:
    number = torch.tensor(3, dtype=torch.int8)
    content: dict[str, Any] = {
        "a": torch.arange(6.0).view(2, 3).T,
        "b": [number, {"c": torch.ones(5, dtype=torch.bfloat16), "same": number}, torch.empty(0), "text", None],
    }
    io, path = AtomicCheckpointIO(seconds=0), tmp_path / "last.ckpt"
    io.save_shards(content, path, is_first)
    if not is_first:
        assert os.listdir(tmp_path) == []
        return
    found = io.load_checkpoint(path)  # its checksum, too
    assert torch.equal(found["a"], content["a"])
    number, named, nothing, *others = found["b"]
    assert (number, named["same"], nothing.shape, others) == (3, 3, (0,), ["text", None])
    assert number.dtype == torch.int8
    assert torch.equal(named["c"], torch.ones(5, dtype=torch.bfloat16))
    assert found["format"] == 1


def test_each_process_takes_part_in_a_save_that_fails(
    tmp_path: Path, unsteady: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Shard(torch.Tensor):
        def full_tensor(self) -> torch.Tensor:
            asked.append(1)
            return torch.ones(3)

    monkeypatch.setattr(checkpoint_file, "is_shard", lambda value: isinstance(value, Shard))
    io, path = AtomicCheckpointIO(seconds=0), tmp_path / "last.ckpt"
    content = {str(index): torch.ones(3).as_subclass(Shard) for index in range(4)}
    io.save_shards(content | {"step": 1}, path, True)
    unsteady[0] = 1
    io.save_shards(content | {"step": 2}, path, True)
    assert capsys.readouterr().err.startswith(f"warning: {path}: cannot be saved (Input/output error)")
    assert io.load_checkpoint(path)["step"] == 1
    assert len(asked) == 8

    def refused(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint_file, "save_without_data", refused)
    with pytest.raises(RefusedError, match="disk is full"):
        io.save_shards(content, path, True)
    assert len(asked) == 12
    assert io.load_checkpoint(path)["step"] == 1


def test_a_run_continues_while_its_disk_fails_and_is_complete_when_it_is_back(
    tmp_path: Path, unsteady: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    unsteady[0] = 6
    run(tmp_path, [1, 3, 2], seconds=0.0)
    assert capsys.readouterr().err.count("warning: ") == 2  # the best and the last
    assert epoch_of(tmp_path / "checkpoints" / "best.ckpt") == 2
    assert epoch_of(tmp_path / "checkpoints" / "last.ckpt") == 3


def test_a_run_whose_last_checkpoint_cannot_be_saved_says_so(tmp_path: Path, unsteady: list[int]) -> None:
    unsteady[0] = 999
    with pytest.raises(UnsavedError, match="cannot be saved"):
        run(tmp_path, [1, 3], seconds=0.0)
    assert os.listdir(tmp_path / "checkpoints") == []


@pytest.mark.parametrize(
    ("every", "epoch", "steps", "expected"),
    [
        ("0.2 minutes", 10, 10, [3, 6, 9, 10]),
        ("10 minutes", 7, 28, [14, 28]),  # an epoch of 28 s does not save, two do
        ("10 minutes", 8, 24, [8, 16, 24]),
        ("10 minutes", 160, 160, [150, 160]),
        ("20 steps", 8, 24, [8, 16, 24]),
        ("5 steps", 8, 24, [5, 10, 15, 20, 24]),  # no epoch ends half a minute after a save
        ("5 steps", 160, 12, [5, 10, 12]),
    ],
)
def test_the_last_is_saved_by_the_clock_by_steps_and_at_the_ends_of_epochs(
    every: str, epoch: int, steps: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes four seconds, of a clock that nothing else moves."""
    keeper = Checkpoints(RunFolder(tmp_path), "val/score", "max", save_every(every))
    batch: Any = (torch.randn(2, 4), torch.tensor([0, 1]))
    trainer = Trainer(
        max_steps=steps,
        limit_val_batches=0,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[keeper],
    )
    saved: list[int] = []
    monkeypatch.setattr(trainer, "save_checkpoint", lambda path: saved.append(trainer.global_step))
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: 4.0 * trainer.global_step))
    model = MLP(4, 2, hidden_size=2, optimizer=partial(torch.optim.SGD, lr=0.1))
    batches: DataLoader[Any] = DataLoader([batch] * epoch, batch_size=None)  # type: ignore[arg-type]
    trainer.fit(model, batches, batches)
    assert list(dict.fromkeys(saved)) == expected


@pytest.mark.parametrize(
    ("every", "signal_at", "named", "saved"),
    [
        ("600 steps", None, 10, []),
        ("1 step", None, 3, [1, 2]),
        ("2 steps", None, 4, [2]),
        ("600 steps", 5, 5, []),  # a signal saves, too
    ],
)
def test_a_loss_on_a_gpu_is_checked_at_intervals_and_before_each_save(
    every: str, signal_at: int | None, named: int, saved: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check waits for the GPU. The loss is not finite from the third step on; every tenth is checked."""

    class Loss(float):
        """Of a step on a GPU."""

        device = torch.device("cuda")

    signals = Signals()
    keeper = Checkpoints(RunFolder(tmp_path), "val/score", "max", save_every(every), signals)
    monkeypatch.setattr(checkpoints, "between_steps", lambda trainer: nullcontext())
    monkeypatch.setattr(checkpoints, "accumulates", lambda trainer: False)
    done: list[int] = []
    trainer: Any = SimpleNamespace(
        global_step=0, log_every_n_steps=10, is_global_zero=True, world_size=1, callback_metrics={},
        fast_dev_run=False, strategy=SimpleNamespace(checkpoint_io=None),
        save_checkpoint=lambda path: done.append(trainer.global_step),
    )  # fmt: skip
    model = MLP(4, 2)

    def train() -> None:
        for step in range(1, 30):
            keeper.on_train_batch_start(trainer, model, None, 0)
            trainer.global_step = step
            keeper.on_train_batch_end(trainer, model, {"loss": Loss("nan" if step >= 3 else 1)}, None, 0)
            signals.received = 15 * (step == signal_at)

    with pytest.raises(NonFiniteError, match=f"at step {named};"):
        train()
    assert done == saved

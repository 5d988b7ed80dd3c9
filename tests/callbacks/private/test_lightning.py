"""What is private in Lightning still does what callbacks/private/lightning.py takes it to do."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loops import evaluation_loop, training_epoch_loop
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer import call
from torch import distributed
from torch.utils.data import DataLoader

from callbacks.private import lightning as private
from callbacks.private.lightning import accumulates, between_steps, timeout_of
from lightning_modules.mlp import MLP


class Recorder(Callback):
    """Records after which steps a validation began, and calls a function before each step and after it."""

    def __init__(self, before: Callable[[Trainer], None] | None = None) -> None:
        self.before = before
        self.batches: list[int] = []
        self.accumulated: list[bool] = []
        self.validations: list[int] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        if self.before:
            self.before(trainer)
        self.batches.append(batch_idx)

    def on_train_batch_end(self, trainer: Trainer, *args: object) -> None:
        self.accumulated.append(accumulates(trainer))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.validations.append(trainer.global_step)


def fit(*callbacks: Callback, checkpoint: Path | None = None, accumulate: int = 1, model: type[MLP] = MLP) -> Trainer:
    """Train two epochs of four batches, with a validation after every second batch."""
    torch.manual_seed(0)
    batch = (torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
    batches: DataLoader[Any] = DataLoader([batch] * 4, batch_size=None)  # type: ignore[arg-type]
    trainer = Trainer(
        max_epochs=2,
        accumulate_grad_batches=accumulate,
        val_check_interval=2,
        num_sanity_val_steps=0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[*callbacks],
    )
    network = model(3, 2, hidden_size=2, optimizer=partial(torch.optim.SGD, lr=0.1))
    trainer.fit(network, batches, batches, ckpt_path=checkpoint, weights_only=True)
    return trainer


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before")  # all batches are the same
@pytest.mark.parametrize("step", range(1, 8))  # with and without a validation before it, and at an epoch's start
def test_a_run_resumes_from_between_two_steps_with_the_second(step: int, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def save(trainer: Trainer) -> None:
        if trainer.global_step == step:
            with between_steps(trainer):
                trainer.save_checkpoint(path)

    uninterrupted, resumed = Recorder(save), Recorder()
    fit(uninterrupted)
    assert uninterrupted.validations == [2, 4, 6, 8]
    assert fit(resumed, checkpoint=path).global_step == 8
    assert resumed.batches == uninterrupted.batches[step:]
    assert resumed.validations == [done for done in uninterrupted.validations if done > step]


def test_gradients_are_accumulated_until_a_step() -> None:
    recorder = Recorder()
    fit(recorder, accumulate=2)
    assert recorder.accumulated == [True, False] * 4


@pytest.mark.parametrize("seconds", [None, 90])
def test_the_timeout_is_that_of_the_strategy_or_of_torch(seconds: int | None) -> None:
    timeout = None if seconds is None else timedelta(seconds=seconds)
    assert timeout_of(DDPStrategy(timeout=timeout)) == (timeout or distributed.default_pg_timeout)


class Told(Callback):
    """Records its hooks, among them one that only this object has."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told
        vars(self)["on_train_epoch_end"] = partial(self.tell, "own")

    def tell(self, hook: str, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        self.told.append(f"{self.name} {hook} {pl_module._current_fx_name} {len(args)}")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: object) -> None:
        self.tell("batch", trainer, pl_module, *args)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.tell("validation", trainer, pl_module)


class ToldStopping(EarlyStopping):
    """One that Lightning calls with those that monitor."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.callbacks[0].told.append("stopping")  # type: ignore[attr-defined]


def test_callbacks_are_called_as_lightning_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        found: list[str] = []
        fit(Told("a", found), ToldStopping("train/loss", strict=False), Told("b", found), Callback())
        return found

    spec = find_spec("lightning.pytorch.trainer.call")
    assert spec is not None
    assert spec.loader is not None
    unchanged = module_from_spec(spec)
    spec.loader.exec_module(unchanged)
    monkeypatch.setattr(call, "_call_callback_hooks", unchanged._call_callback_hooks)
    expected = told()
    private.skip_idle_hooks()
    assert call._call_callback_hooks is private._call_defined_hooks
    assert told() == expected
    assert "stopping" in expected
    assert any("own" in each for each in expected)


class Telling(MLP):
    """Records its hooks, with the name under which Lightning calls them."""

    told: list[str]

    def tell(self, hook: str) -> None:
        self.told.append(f"{hook} {self._current_fx_name}")

    def on_train_batch_start(self, *args: object) -> None:
        self.tell("start")

    def on_after_backward(self) -> None:
        self.tell("backward")

    def on_validation_batch_end(self, *args: object) -> None:
        self.tell("validated")

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.tell("step")
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any) -> None:  # type: ignore[override]
        self.tell("validation")
        super().validation_step(batch, 0)


def test_a_models_hooks_are_called_as_lightning_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        monkeypatch.setattr(Telling, "told", [], raising=False)
        fit(model=Telling)
        return Telling.told

    for module in (call, training_epoch_loop, evaluation_loop):
        spec = find_spec(module.__name__)
        assert spec is not None
        assert spec.loader is not None
        unchanged = module_from_spec(spec)
        spec.loader.exec_module(unchanged)
        name = "_call_lightning_module_hook" if module is call else "is_param_in_hook_signature"
        monkeypatch.setattr(module, name, getattr(unchanged, name))
    expected = told()
    private.skip_idle_hooks()
    assert call._call_lightning_module_hook is private._call_module_hook
    assert told() == expected
    assert {each.split()[0] for each in expected} == {"start", "backward", "validated", "step", "validation"}


def test_what_a_model_does_not_define_does_nothing() -> None:
    for hook in private._IDLE.values():
        code = hook.__code__
        assert not code.co_names  # it calls and sets nothing
        assert not code.co_varnames[code.co_argcount :]

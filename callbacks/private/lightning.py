"""The private parts of Lightning 2.6 that a run reads or sets, each for want of a public one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, lru_cache
from typing import Any

from lightning.fabric.utilities.seed import _collect_rng_states, _set_rng_states
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from lightning.pytorch.loops import evaluation_loop, training_epoch_loop
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer import call
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import distributed


def random_states() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's random numbers."""
    return _collect_rng_states()


def set_random_states(states: dict[str, Any]) -> None:
    """Continue with the random numbers of `random_states`."""
    _set_rng_states(states)


def accumulates(trainer: Trainer) -> bool:
    """Whether the newest batch's gradients wait for those of further batches; no checkpoint would contain them."""
    return trainer.fit_loop._should_accumulate()


def logged_step(trainer: Trainer) -> int:
    """The step that Lightning logs scalars at, until it has completed: of a batch with several optimizers, too, one."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


@contextmanager
def between_steps(trainer: Trainer) -> Iterator[None]:
    """Set the loops' state to that between two steps, while the second has its batch but has not begun.

    A run that resumes from there has completed the first step: its logs, its validation, its epoch's end. Lightning
    saves its state in the middle of a step only.
    """
    loop = trainer.fit_loop.epoch_loop
    progress = loop.batch_progress
    is_last, stepped = progress.is_last_batch, loop._batches_that_stepped
    for count in (progress.total, progress.current):
        count.ready -= 1
    progress.is_last_batch = False
    # Where a validation would be due, Lightning takes it for the interrupted one, skips it, and counts a step.
    loop._batches_that_stepped -= loop._should_check_val_fx(None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        progress.is_last_batch, loop._batches_that_stepped = is_last, stepped
        for count in (progress.total, progress.current):
            count.ready += 1


def skip_idle_hooks() -> None:
    """Let trainers call only those hooks that a callback or the model defines: entering all is a fifth of a small step.

    What arguments a model's step takes is found out once, not from its source's signature at every step.
    """
    call._call_callback_hooks = _call_defined_hooks
    call._call_lightning_module_hook = _call_module_hook
    for loop in (training_epoch_loop, evaluation_loop):
        loop.is_param_in_hook_signature = _takes  # type: ignore[attr-defined]


def _call_defined_hooks(
    trainer: Any, hook_name: str, *args: Any, monitoring_callbacks: bool | None = None, **kwargs: Any
) -> None:
    called = _defining(trainer, hook_name, monitoring_callbacks)
    if not called:
        return
    model = trainer.lightning_module
    outer, model._current_fx_name = model._current_fx_name, hook_name
    for callback in called:
        with trainer.profiler.profile(f"[Callback]{callback.state_key}.{hook_name}"):
            getattr(callback, hook_name)(trainer, model, *args, **kwargs)
    model._current_fx_name = outer


def _defining(trainer: Any, hook_name: str, monitoring: bool | None) -> list[Callback]:
    known = vars(trainer).setdefault("_defining", {})  # all callbacks, and those of them that define the hook
    callbacks, called = known.get((hook_name, monitoring), (None, []))
    if callbacks != trainer.callbacks:
        called = [
            each
            for each in trainer.callbacks
            if (_defines(each.__class__, hook_name) or hook_name in vars(each))
            and monitoring in (None, isinstance(each, EarlyStopping | Checkpoint))
        ]
        known[hook_name, monitoring] = [*trainer.callbacks], called
    return called


@cache
def _defines(callback: Any, hook_name: str) -> bool:
    return getattr(callback, hook_name) is not getattr(Callback, hook_name)


_IDLE = {  # what a LightningModule does not define does nothing
    name: getattr(LightningModule, name)
    for step in ("train", "validation", "test", "predict")
    for name in (f"on_{step}_batch_start", f"on_{step}_batch_end")
} | {
    name: getattr(LightningModule, name)
    for name in ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
}


def _call_module_hook(trainer: Any, hook_name: str, *args: Any, pl_module: Any = None, **kwargs: Any) -> Any:
    model = pl_module or trainer.lightning_module
    hook = getattr(model, hook_name)
    if getattr(hook, "__func__", None) is _IDLE.get(hook_name, _IDLE) or not callable(hook):
        return None
    state = vars(model)  # setting an attribute of a module is slower than some hooks are
    outer, state["_current_fx_name"] = state.get("_current_fx_name"), hook_name
    with trainer.profiler.profile(f"[LightningModule]{type(model).__name__}.{hook_name}"):
        output = hook(*args, **kwargs)
    state["_current_fx_name"] = outer
    return output


def _takes(hook: Any, *args: Any, **kwargs: Any) -> bool:
    return _function_takes(getattr(hook, "__func__", hook), *args, **kwargs)


_function_takes = lru_cache(maxsize=256)(is_param_in_hook_signature)


def timeout_of(strategy: DDPStrategy) -> timedelta:
    """The timeout of a strategy's process group, before it is created."""
    return strategy._timeout or distributed.default_pg_timeout

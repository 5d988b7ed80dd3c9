"""Fits classical baselines to the training split at a run's first test, and keeps them in the run's folder."""

import io
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from datamodules.loading.sampling import sample
from datamodules.storage.atomic_file import write_file
from lightning_modules.tasks.task import Task

FILE = "baselines.pt"
AT_ONCE = 1024  # examples of a batch that is fitted to
MAX_REASON = 120  # characters

Facts = dict[str, dict[str, Any]]  # of each baseline: how many examples it was fitted to, or why it is left out


class FitBaselines(Callback):
    """Fits the baselines that the task can compare itself with, in the first process, and gives them to all.

    They are fitted when training is over, so that no random number of it is another one; what cannot be fitted is left
    out with the reason.

    Args:
        enabled: whether there are to be any.
        kept: gives the path of the file that they are kept in; None where there is no run.
        read: whether the file is read where there is one; otherwise it is written.
    """

    def __init__(self, enabled: bool, kept: Callable[[], Path | None], read: bool = False) -> None:
        self.enabled = enabled
        self.kept = kept
        self.read = read
        self.facts: Facts = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Fit them, or read them, and hand them to the task."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, Task) or not isinstance(data, DataModule):
            return
        known = pl_module.learnable(data) if self.enabled else {}
        found = self._found(trainer, data, known) if known and trainer.is_global_zero else ({}, {})
        fitted, self.facts = trainer.strategy.broadcast(found) if known else found
        pl_module.learned = {name: known[name].predictor(each) for name, each in fitted.items()}

    def _found(self, trainer: Trainer, data: DataModule, known: dict[str, Baseline]) -> tuple[dict[str, Any], Facts]:
        path = self.kept()
        if self.read and path is not None and (earlier := read_kept(path)):
            return of_other_data(earlier, data, known)
        if reason := limited(trainer, data):
            return {}, {name: {"left_out": reason} for name in known}
        fitted, facts = {}, {}
        for name, baseline in known.items():
            try:
                fitted[name], facts[name] = fitted_to(baseline, data)
            except Exception as error:  # scikit-learn, scipy and the data raise errors of many types
                facts[name] = {"left_out": reason_of(error)}
        if not self.read and path is not None and path.parent.is_dir():  # a deleted one is not to come back
            try:
                write_kept(path, fitted, facts)
            except OSError as error:  # the other processes wait for this one
                data.note(
                    f"{FILE} cannot be written ({error.strerror or error}): a test on other data has no baselines"
                )
        return fitted, facts


def limited(trainer: Any, data: DataModule) -> str:
    """Why a comparison with baselines would not be fair or not be possible; empty where it is."""
    if not len(data.splits.train):
        return f"there is no {FILE} beside the checkpoint, and this data has no training split"
    limit, batches = trainer.limit_train_batches, data.num_batches("train")
    if trainer.fast_dev_run or trainer.overfit_batches:
        return "the run is only a trial"
    if limit is not None and (limit < 1 if isinstance(limit, float) else batches is not None and limit < batches):
        return "--trainer.limit_train_batches has kept part of the training split from the model"
    return ""


def fitted_to(baseline: Baseline, data: DataModule) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a baseline learns from the training split, or a sample of it; and how many examples, of how many."""
    began, train = time.perf_counter(), data.splits.train
    rows = sample(train, baseline.max_examples, data.class_of_rows(train))
    facts = {"examples": len(rows), "of": len(train)}
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = baseline.fit(batches_of(data, rows))
        baseline.predictor(fitted)(next(batches_of(data, rows[:2])))  # what fails fails here, not in the test
    remarks = []
    for warning in caught:
        if warning.category.__name__ == "ConvergenceWarning":  # a bound on the iterations is one on the seconds
            remarks.append(str(warning.message).splitlines()[0])
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return fitted, facts | {"seconds": time.perf_counter() - began} | ({"remark": remarks[0]} if remarks else {})


def batches_of(data: DataModule, rows: Tensor) -> Iterator[Any]:
    """Batches of some examples as a model gets them in evaluation."""
    examples = data.examples(rows)
    for part in torch.arange(len(rows)).split(AT_ONCE):
        yield data.on_after_batch_transfer(examples[part], 0)


def of_other_data(kept: dict[str, Any], data: DataModule, known: dict[str, Baseline]) -> tuple[dict[str, Any], Facts]:
    """What was kept by a run, without what says nothing of this data."""
    fitted = {name: each for name, each in kept["fitted"].items() if name in known}
    facts = dict(kept["facts"])
    for name in facts.keys() - known.keys():
        facts[name] = {"left_out": "a checkpoint does not have the pretrained network"}
    for name in [name for name in fitted if not known[name].transfers and not len(data.splits.train)]:
        del fitted[name]
        facts[name] = {"left_out": "it knows only the data that it was fitted to"}
    return fitted, facts


def reason_of(error: Exception) -> str:
    """An error in a line."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}…"


def write_kept(path: Path, fitted: dict[str, Any], facts: Facts) -> None:
    """Keep fitted baselines, plain types and tensors."""
    buffer = io.BytesIO()
    torch.save({"fitted": fitted, "facts": facts}, buffer)
    write_file(path, lambda file: file.write(buffer.getvalue()))


def read_kept(path: Path) -> dict[str, Any] | None:
    """What `write_kept` has written; None where there is no such file, or it is damaged."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises whatever the bytes lead it into
        return None
    return content if isinstance(content, dict) and {"fitted", "facts"} <= {*content} else None

"""Test what checkpoints describe."""

import sys
import tempfile
from pathlib import Path

from callbacks.run.baselines import FILE, FitBaselines
from datamodules.files.paths import printable
from scripts.cli.distributed.launch import wait_for_others
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.evaluate.ensemble import load_all
from scripts.cli.evaluate.typed_input import STANDARD_INPUT
from scripts.cli.run.baselines import lines_of
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.limits import partial
from scripts.cli.run.report import details, named, partly, scores, shown, tables, units


def test_each(words: list[str], checkpoint: list[str], average: str | None, data: list[str]) -> None:
    """Test on the data of training, or on other data: each file or folder by itself, or `-`, the standard input.

    Args:
        words: options that differ from training.
        checkpoint: one or several.
        average: how several are averaged.
        data: none for what it was trained on.

    Raises:
        UserError: as for `test`, or the standard input is not the only data, or cannot be shared by processes.
    """
    if STANDARD_INPUT in data and len(data) > 1:
        raise UsageError("--data -: the standard input is one file; give it alone")
    if data == [STANDARD_INPUT]:
        trained = Experiment.load(checkpoint[0], options=words)
        if trained.trainer.world_size > 1:
            raise UsageError(
                f"--data -: {trained.trainer.world_size} processes cannot share the standard input; give a file"
            )
        with tempfile.TemporaryDirectory() as folder, user_errors():
            file = trained.data.save_typed(sys.stdin.buffer.read(), Path(folder), "--data -")
            _test(words, checkpoint, average, str(file), "the standard input")
        return
    for index, source in enumerate(data or [None]):
        if index:
            print()
        test(words, checkpoint, average, source)


def test(words: list[str], checkpoint: list[str], average: str | None, data: str | None) -> dict[str, float]:
    """Print, and return, the test metrics of a checkpoint, or of several as one, with the baselines'.

    Other data than it was trained on is tested completely, unless it has a test split of its own.

    Args:
        words: options that differ from training.
        checkpoint: one or several.
        average: how several are averaged.
        data: other data than it was trained on.

    Raises:
        UserError: a checkpoint, the data or an option is not what it has to be.
    """
    return _test(words, checkpoint, average, data, "")


def _test(
    words: list[str], checkpoint: list[str], average: str | None, data: str | None, shown_as: str
) -> dict[str, float]:
    experiment = load_all(checkpoint, average, data, words)
    with user_errors():
        experiment.data.prepare_data()
        if data is None:
            experiment.data.setup("test")
        else:
            experiment.data.setup_test()
    folder = experiment.checkpoint.parent.parent if experiment.checkpoint else None
    fit = FitBaselines(experiment.options.baselines, lambda: folder and folder / FILE, read=True)
    experiment.trainer.callbacks.append(fit)  # type: ignore[attr-defined]
    metrics = dict(experiment.trainer.test(experiment.model, experiment.data, verbose=False)[0])
    tested = scores(metrics, experiment.model)
    size = len(experiment.data.splits.test) if experiment.data.splits else 0
    if experiment.trainer.is_global_zero:
        what = " + ".join(shown(Path(each)) for each in checkpoint)
        print(f"{what} on {size} test examples of {shown_as or printable(experiment.data.dataset)}\n")
        baseline = named(metrics, "baseline/")
        monitor = str(getattr(experiment.model, "monitor", ""))
        remarks = lines_of(tested, baseline, fit.facts, experiment.model, monitor)
        further = details(experiment.model) | {"units": units(experiment.model, experiment.data)}
        print(tables(tested, baseline, further, remarks))
        for line in partly(partial(experiment.trainer, experiment.data, ("test",)), experiment.trainer):
            print(f"\n{line}")
    wait_for_others(experiment.trainer)
    return tested

"""Test what checkpoints describe."""

from pathlib import Path

from datamodules.files.paths import printable
from scripts.cli.distributed.launch import wait_for_others
from scripts.cli.errors import user_errors
from scripts.cli.evaluate.ensemble import load_all
from scripts.cli.run.limits import partial
from scripts.cli.run.report import details, named, partly, scores, shown, tables


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
    experiment = load_all(checkpoint, average, data, words)
    with user_errors():
        experiment.data.prepare_data()
        if data is None:
            experiment.data.setup("test")
        else:
            experiment.data.setup_test()
    metrics = dict(experiment.trainer.test(experiment.model, experiment.data, verbose=False)[0])
    tested = scores(metrics, experiment.model)
    size = len(experiment.data.splits.test) if experiment.data.splits else 0
    if experiment.trainer.is_global_zero:
        what = " + ".join(shown(Path(each)) for each in checkpoint)
        print(f"{what} on {size} test examples of {printable(experiment.data.dataset)}\n")
        print(tables(tested, named(metrics, "baseline/"), details(experiment.model)))
        for line in partly(partial(experiment.trainer, experiment.data, ("test",))):
            print(f"\n{line}")
    wait_for_others(experiment.trainer)
    return tested

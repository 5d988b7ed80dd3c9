"""Test what checkpoints describe."""

from pathlib import Path

from datamodules.files.paths import printable
from scripts.cli.distributed.launch import wait_for_others
from scripts.cli.errors import one_line_errors
from scripts.cli.evaluate.ensemble import load_all
from scripts.cli.run.report import shown, tables
from scripts.cli.run.training import details


def test(
    checkpoints: list[str], average: str | None, dataset: str | None, arguments: list[str], debug: bool
) -> dict[str, float]:
    """Print, and return, the test metrics of a checkpoint, or of several as one, beside the baseline's.

    Data other than it was trained on is tested whole, unless it has a test split of its own.
    """
    with one_line_errors(debug, (ValueError, OSError)):
        trained = load_all(checkpoints, average, dataset, arguments)
        trained.data.prepare_data()
        if dataset is None:
            trained.data.setup("test")
        else:
            trained.data.setup_test()
    with one_line_errors(debug):
        metrics = dict(trained.trainer.test(trained.model, trained.data, verbose=False)[0])
    test_metrics = {name[5:]: value for name, value in metrics.items() if name.startswith("test/")}
    baseline = {name[9:]: value for name, value in metrics.items() if name.startswith("baseline/")}
    size = len(trained.data.splits.test) if trained.data.splits else 0
    if trained.trainer.is_global_zero:
        what = " + ".join(shown(Path(checkpoint)) for checkpoint in checkpoints)
        print(f"{what} on {size} test examples of {printable(trained.data.dataset)}\n")
        print(tables(test_metrics, baseline, details(trained.model)))
    wait_for_others(trained.trainer)
    return test_metrics

"""What `benchmark.py` is asked for: the table, one model, several devices, or how time and memory grow."""

from pathlib import Path

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.recipes import Request, resolve
from scripts.cli.errors import UsageError
from scripts.cli.measure.scaling import scaling


def benchmark(
    request: Request | list[str],
    devices: list[int],
    report: str | None,
    only: list[str],
    json: str | None,
    compare: str | None,
    growth: bool,
) -> None:
    """Measure; torch is imported where something is measured in this process.

    Args:
        request: what to train; or options of all runs that the table, or the growth, compares.
        devices: numbers of devices to compare; none for the plain loop.
        report: a file for the figures of one measurement, which the others ask for.
        only: rows of the table, or kinds of data; all by default.
        json: a file for the figures.
        compare: such a file of before.
        growth: measure how time and memory grow with the data.

    Raises:
        UserError: the request cannot be met.
    """
    if isinstance(request, Request):
        for option, given in (("only", only), ("json", json), ("compare", compare)):
            if given:
                raise UsageError(f"--{option}: belongs to the table of all models; leave out --model, or --{option}")
        of_model(request, devices, report, growth)
    elif devices or report:
        resolve(request)  # asks for a model
    elif growth:
        if json or compare:
            raise UsageError("--growth prints its figures; leave out --json and --compare")
        from scripts.cli.measure.growth import print_growth

        print_growth(request, only)
    else:
        from scripts.cli.measure.comparison import print_comparison

        print_comparison(request, only, json, compare)


def of_model(request: Request, devices: list[int], report: str | None, growth: bool) -> None:
    """Measure one model.

    Raises:
        UserError: the request cannot be met.
    """
    if devices:
        if CommandLine(request.arguments).mentions("--trainer.devices"):
            raise UsageError("--trainer.devices and --devices contradict each other; give --devices only")
        scaling(request.words, list(dict.fromkeys(devices)))
        return
    if growth and not report:
        raise UsageError("--growth: measures each kind of data with a model of its own; leave out --model")
    from scripts.cli.measure import benchmark  # imports torch, which only the measurements' own processes need

    if growth:
        from scripts.cli.measure.growth import measure

        measure(request, Path(report or "").absolute())
    elif report:
        benchmark.measure(request, Path(report).absolute())
    else:
        benchmark.benchmark(request)

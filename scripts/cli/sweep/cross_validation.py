"""Cross-validation: one run for each fold, which is tested on that fold."""

import statistics
import sys
from pathlib import Path

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.options import parse, resolved
from scripts.cli.command_line.recipes import dump, resolve
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.run.files import logs_at, write_whole
from scripts.cli.run.folder import lock
from scripts.cli.run.report import shown
from scripts.cli.spreadsheet import write_csv
from scripts.cli.sweep.plan import FoldsPlan
from scripts.cli.sweep.resumable import allowed_names, claim_locked, refuse_others, reopen, running, write_plan
from scripts.cli.sweep.subprocess_run import SubprocessRun, results_of
from scripts.cli.text_table import aligned

SETTINGS = "config.yaml"  # of every fold, whatever becomes of the recipe and of the files that the words name


def cross_validate(words: list[str], folds: int | None, resume: str | None) -> None:
    """Start a cross-validation, or resume one.

    Args:
        words: options of fit.py; of one that is resumed, `--allow` alone.
        folds: number of folds.
        resume: the folder of one that was stopped, with the settings that it had.

    Raises:
        UserError: an option is wrong, contradicts another one, or is missing.
    """
    if resume is not None:
        refuse_others(resume, words, folds=folds)
        with user_errors():
            plan, folder = reopen(FoldsPlan, resume, allowed_names(words))
            lock(folder, None)
        carry_out(plan, folder)
        return
    if folds is None:
        raise UsageError("how many folds? Give --folds, a number")
    with user_errors():
        line = CommandLine(words)
        for option in ("--data.num_folds", "--data.fold"):
            if line.mentions(option):
                raise UsageError(f"{option}: is set by --folds {folds} here; leave it out")
        logs = logs_at(line.value("--logs"))
        request = resolve(line.words)
        request.arguments += ["--data.num_folds", str(folds), "--data.fold", "0"]
        _, config = parse(request)  # refuses here what every fold would refuse
        allowed = list(line.values("--allow"))
        plan = FoldsPlan(request.name, line.words, str(Path.cwd()), folds, allowed=allowed)
        folder = claim_locked(plan, logs)
        write_whole(folder / SETTINGS, dump(resolved(request, config)))
        write_plan(plan, folder)
    carry_out(plan, folder)


def carry_out(plan: FoldsPlan, folder: Path) -> None:
    """Train the folds that are left, and print the results of all."""
    failed = False
    with running(plan, folder) as signals:
        for fold in range(plan.folds):
            if scores_of(plan, folder, fold) is None and not signals.received:
                run = start(plan, folder, fold)
                run.watch(lambda values: False, lambda: bool(signals.received))
                if scores_of(plan, folder, fold) is None and not signals.received:
                    failed = True
                    print(f"fold {fold}: failed: {run.cause()}", file=sys.stderr, flush=True)
            scores = scores_of(plan, folder, fold)
            if scores is not None:
                text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
                print(f"fold {fold}: {text}", flush=True)
        summarize(plan, folder)
    if failed:
        sys.exit(1)


def start(plan: FoldsPlan, folder: Path, fold: int) -> SubprocessRun:
    """Start a fold's run, or resume it; with the settings of the cross-validation's start."""
    words = ["--config", str(folder / SETTINGS)] if (folder / SETTINGS).exists() else list(plan.words)
    words += ["--data.num_folds", str(plan.folds), "--data.fold", str(fold)]
    run = run_of(plan, folder, fold)
    if (run / "checkpoints" / "last.ckpt").exists():
        words = ["--resume", str(run)]
    elif run.exists():  # it was killed before there was anything to resume
        run.rename(run.with_name(f"killed_{len([*run.parent.glob('killed_*')])}"))
    words += [word for word in plan.words if word == "--inexact"]  # it is not among a run's settings
    return SubprocessRun(plan, words, folder / f"fold_{fold}")


def run_of(plan: FoldsPlan, folder: Path, fold: int) -> Path:
    """The folder of a fold's run."""
    return folder / f"fold_{fold}" / plan.name / "version_0"


def scores_of(plan: FoldsPlan, folder: Path, fold: int) -> dict[str, float] | None:
    """A fold's test metrics; None before its end."""
    results = results_of(run_of(plan, folder, fold))
    return None if results is None else results["test"]


def summarize(plan: FoldsPlan, folder: Path) -> None:
    """Write and print the mean and the standard deviation over the folds that are done."""
    done = {fold: scores for fold in range(plan.folds) if (scores := scores_of(plan, folder, fold)) is not None}
    if not done:
        return
    names = list(next(iter(done.values())))
    columns = {name: [scores[name] for scores in done.values()] for name in names}
    mean = {name: statistics.fmean(values) for name, values in columns.items()}
    std = {name: statistics.stdev(values) if len(values) > 1 else 0.0 for name, values in columns.items()}
    rows = [*done.items(), ("mean", mean), ("standard deviation", std)]
    write_csv(folder / "scores.csv", [{"fold": row, **values} for row, values in rows])
    lines = [[f"{len(done)} of {plan.folds} folds", "mean", "std"]]
    lines += [[name, f"{mean[name]:.4g}", f"{std[name]:.4g}"] for name in names]
    print(f"\n{aligned(lines, left=1)}\n\nscores: {shown(folder / 'scores.csv')}", flush=True)

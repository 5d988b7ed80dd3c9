"""As many runs as there are folds, each tested on another one."""

import io
import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from datamodules.files.paths import relative, user_path
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.options import parse, resolved
from scripts.cli.command_line.recipes import resolve
from scripts.cli.errors import UsageError, one_line_errors
from scripts.cli.run.build import quiet
from scripts.cli.run.folder import claim, lock, logs_at, read_json, release, write_whole
from scripts.cli.run.report import shown
from scripts.cli.run.training import dump
from scripts.cli.shell import command_line
from scripts.cli.spreadsheet import Sheet
from scripts.cli.sweep.plan import allow_words, check_allowed, read_plan
from scripts.cli.sweep.subprocess_run import TrialRun, minded

PLAN = "folds.yaml"
SETTINGS = "config.yaml"  # of every fold, whatever becomes of the recipe and of the files that the words name


@dataclass
class Plan:
    """What a cross-validation is, as its folder says it.

    Args:
        name: of the model.
        words: options of fit.py.
        folds: how many.
        place: the folder that paths are relative to.
        allowed: what `--allow` named when it began, which whoever resumes it has to give anew.
    """

    name: str
    words: list[str]
    folds: int
    place: str
    allowed: list[str] = field(default_factory=list)


def cross_validate(words: list[str], folds: int, debug: bool) -> None:
    """Begin a cross-validation.

    Args:
        words: options of fit.py.
        folds: how many.
        debug: let errors through.
    """
    quiet()
    with one_line_errors(debug, (ValueError, OSError)):
        line = CommandLine(words)
        for option in ("--data.num_folds", "--data.fold"):
            if line.mentions(option):
                raise UsageError(f"{option}: is said by --folds {folds} here; leave it out")
        logs = logs_at(line.value("--logs"))
        request = resolve(line.words)
        request.arguments += ["--data.num_folds", str(folds), "--data.fold", "0"]
        _, config = parse(request)  # refuses here what every fold would refuse
        allowed = list(line.values("--allow"))
        plan = Plan(request.name, line.words, folds, str(Path.cwd()), allowed)
        folder = claim(logs, plan.name, "folds")
        lock(folder, None)
        write_whole(folder / SETTINGS, dump(resolved(request, config)))
        write_whole(folder / PLAN, dump(asdict(plan)))
    carry_out(plan, folder, debug)


def go_on(resumed: str, allowed: list[str], debug: bool) -> None:
    """Resume a cross-validation that was stopped.

    Args:
        resumed: its folder.
        allowed: what `--allow` names.
        debug: let errors through.
    """
    quiet()
    with one_line_errors(debug, (ValueError, OSError)):
        folder = user_path(resumed, "--resume").absolute()
        if not (folder / PLAN).is_file():
            raise UsageError(f"--resume {resumed}: expected a folder such as lightning_logs/gat/folds_0")
        plan = read_plan(Plan, folder / PLAN)
        check_allowed(resumed, plan.allowed, allowed, plan.place)
        lock(folder, None)
        plan.allowed = allowed
    carry_out(plan, folder, debug)


def carry_out(plan: Plan, folder: Path, debug: bool) -> None:
    """Train the folds that are left, and say what came of all."""
    try:
        with one_line_errors(debug, (UsageError, OSError)), minded() as signals:
            failed = False
            for fold in range(plan.folds):
                if scores_of(plan, folder, fold) is None and not signals.received:
                    run = started(plan, folder, fold)
                    run.watch(lambda values: False, lambda: bool(signals.received))
                    if scores_of(plan, folder, fold) is None and not signals.received:
                        failed = True
                        print(f"fold {fold}: failed: {run.cause()}", file=sys.stderr, flush=True)
                        continue
                scores = scores_of(plan, folder, fold)
                if scores is not None:
                    told = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
                    print(f"fold {fold}: {told}", flush=True)
            summary(plan, folder)
    finally:
        release()
    if signals.received:
        again = command_line(["--resume", relative(folder), *allow_words(plan.allowed)])
        print(f"stopped; python scripts/cross_validate.py {again} goes on", file=sys.stderr)
        sys.exit(128 + signals.received)
    if failed:
        sys.exit(1)


def started(plan: Plan, folder: Path, fold: int) -> TrialRun:
    """A fold's run, which is resumed where an earlier one was stopped; with the settings of the beginning."""
    place = folder / f"fold_{fold}"
    words = ["--config", str(folder / SETTINGS)] if (folder / SETTINGS).exists() else list(plan.words)
    words += ["--data.num_folds", str(plan.folds), "--data.fold", str(fold)]
    run = place / plan.name / "version_0"
    if (run / "checkpoints" / "last.ckpt").exists():
        words = ["--resume", str(run)]
    elif run.exists():  # it was killed before there was anything to resume
        run.rename(run.with_name(f"killed_{len([*run.parent.glob('killed_*')])}"))
    words += [word for word in plan.words if word == "--inexact"]  # it is not among a run's settings
    if not CommandLine(plan.words).mentions("--trainer.enable_progress_bar"):
        words += ["--trainer.enable_progress_bar", "false"]
    return TrialRun(words, place, plan.name, "", plan.place, plan.allowed)


def scores_of(plan: Plan, folder: Path, fold: int) -> dict[str, float] | None:
    """A fold's test metrics, once it has come to its end."""
    path = folder / f"fold_{fold}" / plan.name / "version_0" / "results.json"
    return read_json(path)["test"] if path.exists() else None


def summary(plan: Plan, folder: Path) -> None:
    """Write and print the mean and the standard deviation of what is done."""
    done = {fold: scores for fold in range(plan.folds) if (scores := scores_of(plan, folder, fold)) is not None}
    if not done:
        return
    names = list(next(iter(done.values())))
    columns = {name: [scores[name] for scores in done.values()] for name in names}
    mean = {name: statistics.fmean(values) for name, values in columns.items()}
    deviation = {name: statistics.stdev(values) if len(values) > 1 else 0.0 for name, values in columns.items()}
    text = io.StringIO()
    sheet = Sheet(text, ["fold", *names])
    for row, values in [*done.items(), ("mean", mean), ("standard deviation", deviation)]:
        sheet.write({"fold": row, **values})
    write_whole(folder / "scores.csv", text.getvalue())
    width = max(map(len, names))
    print(f"\n{len(done)} of {plan.folds} folds{'':{width}}  {'mean':>10}  {'deviation':>10}")
    for name in names:
        print(f"{name:{width + 13}}  {mean[name]:>10.4g}  {deviation[name]:>10.4g}")
    print(f"\nscores: {shown(folder / 'scores.csv')}", flush=True)

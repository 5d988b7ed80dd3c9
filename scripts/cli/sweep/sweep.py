"""Sweeps: the best settings, found by trials that are processes of their own.

Optuna suggests what to try and says which trial to prune (Akiba et al. 2019, https://arxiv.org/abs/1907.10902).
What it knows is a file in the sweep's folder, to which lines are only appended: a killed sweep resumes from it.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datamodules.files.paths import user_path
from datamodules.storage.locks import exclusive
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.classes import class_at
from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import Request, read_yaml, resolve
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.run.files import logs_at
from scripts.cli.run.report import shown
from scripts.cli.sweep.plan import SweepPlan
from scripts.cli.sweep.report import draw, table, write_table
from scripts.cli.sweep.resumable import allowed_names, claim_locked, refuse_others, reopen, running, write_plan
from scripts.cli.sweep.search_space import Dimension, around, read_space, without_given
from scripts.cli.sweep.trials import ended, forget_interrupted, open_study, ranked, run_trial
from scripts.cli.sweep.workers import join, of_array

UNPRUNED = 5  # trials, by default


def sweep(
    words: list[str],
    trials: int | None,
    space: str | None,
    unpruned: int | None,
    resume: str | None,
    worker: int | None = None,
) -> None:
    """Start a sweep, or resume one, try more, or join one.

    Args:
        words: options of fit.py; of one that is resumed, `--allow` alone.
        trials: number of trials in all; None for as many as planned.
        space: a file with the search space; None for the recipe's own.
        unpruned: number of trials that run to their end before any is pruned; UNPRUNED by default.
        resume: the folder of one that was stopped, or that other workers carry out, with the settings that it had.
        worker: the number of this process among those that carry it out together; None to be alone.

    Raises:
        UserError: an option is wrong, contradicts another one, or is missing.
    """
    need_optuna()
    if resume is not None:
        refuse_others(resume, words, space=space, unpruned=unpruned)
        with user_errors():
            plan, folder = reopen(SweepPlan, resume, allowed_names(words))
            join(folder, worker)
            if trials is not None:
                plan.trials = trials
                write_plan(plan, folder)
        carry_out(plan, folder, worker)
        return
    if trials is None:
        raise UsageError("how often? Give --trials, a number")
    with user_errors():
        line = CommandLine(words)
        logs = logs_at(line.value("--logs"))
        plan = planned(line.words, trials, space, unpruned or UNPRUNED)
        if worker is None:
            folder = claim_locked(plan, logs)
            write_plan(plan, folder)
        else:
            folder = of_array(plan, logs, worker)
            join(folder, worker)
    searched = "\n".join(f"  {each.option}: {each.distribution} {list(each.values)}" for each in plan.dimensions)
    print(f"{plan.name}: {trials} trials, best {plan.monitor} ({plan.mode}), {shown(folder)}\n{searched}", flush=True)
    carry_out(plan, folder, worker)


def need_optuna() -> None:
    """Refuse to continue without Optuna.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("optuna") is None:
        raise UsageError('needs optuna, which is not installed: pip install -e ".[sweep]"')


def planned(words: list[str], trials: int, space: str | None, unpruned: int) -> SweepPlan:
    """The plan that a command line describes; every bound of the search space is tried on the parser.

    Raises:
        UsageError: an option is wrong, or the space is.
    """
    request = resolve(words)
    _, config = parse(request)
    if "csv" not in map(str.strip, config.logger.split(",")):
        raise UsageError(f"--logger {config.logger}: a sweep reads each trial's metrics.csv; add csv")
    line = CommandLine(list(words))
    allowed = list(line.values("--allow"))
    dimensions = chosen_space(request, config, space)
    searched = without_given(dimensions, words)
    if not searched:
        raise UsageError(f"nothing to try: the options given settle {', '.join(each.option for each in dimensions)}")
    for each in searched:
        for value in each.values:
            parse(resolve([*words, *each.words(value)]))
    task = class_at(request.model)
    monitor = str(config.model.get("monitor") or task.default_monitor)
    return SweepPlan(
        name=request.name,
        words=line.words,
        place=str(Path.cwd()),
        trials=trials,
        unpruned=unpruned,
        space={each.option: {each.distribution: list(each.values)} for each in searched},
        monitor=monitor,
        mode="min" if monitor.split("/")[-1] in task.lower_is_better else "max",
        seed=int(config.seed_everything),
        allowed=allowed,
    )


def chosen_space(request: Request, config: Any, space: str | None) -> list[Dimension]:
    """A file's search space, the recipe's, or the default one.

    Raises:
        UsageError: it is not one, or there is no learning rate for the default.
    """
    if space is not None:
        return read_space(read_yaml(user_path(space, "--space"), "--space"), f"--space {space}")
    if "sweep" in request.about:
        return read_space(request.about["sweep"], f"recipe {request.name}, sweep")
    optimizer = config.model.get("optimizer")
    rate = optimizer.init_args.get("lr") if optimizer and optimizer.get("init_args") else None
    if not isinstance(rate, float):
        raise UsageError(
            f"--model {request.name}: its recipe has no `sweep:` section and no learning rate; give --space"
        )
    return around(rate)


def carry_out(plan: SweepPlan, folder: Path, worker: int | None = None) -> None:
    """Run the trials that are left, or a worker's share of them, and print the results of all."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with running(plan, folder, [] if worker is None else ["--worker", str(worker)]) as signals:
        with exclusive(folder / ".trials.lock"):
            study = open_study(plan, folder, worker)
        while not signals.received and run_trial(study, plan, folder, signals, worker):
            pass
        with exclusive(folder / ".trials.lock"):
            elsewhere = forget_interrupted(study, folder, worker)
            completed = study.get_trials(states=(TrialState.COMPLETE,))
            write_table(study, plan, folder)
            if completed:
                draw(study, plan, folder)
        if completed:
            print(f"\n{table(study, plan)}\n\nbest: {plan.command(ranked(study)[0])}")
            print(f"table and plot: {shown(folder / 'trials.csv')}, {shown(folder / 'trials.png')}", flush=True)
        if elsewhere:
            print(f"{len(elsewhere)} of {plan.trials} trials are still tried by other workers", flush=True)
    if not completed and not elsewhere:
        print(f"error: none of {len(ended(study))} trials came to its end; see {shown(folder)}", file=sys.stderr)
        sys.exit(1)

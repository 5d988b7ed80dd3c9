"""Sweeps: which settings are best, found by trials that are processes of their own.

Optuna suggests what to try and says which trial is hopeless (Akiba et al. 2019, https://arxiv.org/abs/1907.10902).
What it knows is a file in the sweep's folder, to which lines are only added: a sweep that was killed goes on from it.
"""

import math
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callbacks.run.signals import Signals
from datamodules.files.paths import relative, user_path
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.options import class_at, parse
from scripts.cli.command_line.recipes import Request, read_yaml, resolve
from scripts.cli.errors import UsageError, one_line_errors
from scripts.cli.run.build import quiet
from scripts.cli.run.folder import claim, lock, logs_at, release, write_whole
from scripts.cli.run.report import shown
from scripts.cli.run.training import dump
from scripts.cli.shell import command_line
from scripts.cli.sweep.plan import Plan, allow_words, check_allowed, read_plan
from scripts.cli.sweep.report import CAUSE, draw, ended, ranked, table, write_table
from scripts.cli.sweep.search_space import Dimension, around, read_space, without_given
from scripts.cli.sweep.subprocess_run import TrialRun, minded

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

WARM_UP = 2  # validations before a trial may be stopped


def sweep(words: list[str], trials: int, space: str | None, unpruned: int, debug: bool) -> None:
    """Begin a sweep.

    Args:
        words: options of fit.py.
        trials: how many.
        space: a file with what to try; None for the recipe's own.
        unpruned: how many run to their end before any is stopped early.
        debug: let errors through.
    """
    quiet()
    with one_line_errors(debug, (ValueError, OSError)):
        need_optuna()
        line = CommandLine(words)
        logs = logs_at(line.value("--logs"))
        plan, said = planned(line.words, trials, space, unpruned)
        folder = claim(logs, plan.name, "sweep")
        lock(folder, None)
        write_whole(folder / "sweep.yaml", dump(asdict(plan)))
    print(f"{plan.name}: {trials} trials, best {plan.monitor} ({plan.mode}), {shown(folder)}\n{said}", flush=True)
    carry_out(plan, folder, debug)


def go_on(resumed: str, trials: int | None, allowed: list[str], debug: bool) -> None:
    """Resume a sweep that was stopped, or try more.

    Args:
        resumed: its folder.
        trials: how many in all; None for as many as it was to have.
        allowed: what `--allow` names.
        debug: let errors through.
    """
    quiet()
    with one_line_errors(debug, (ValueError, OSError)):
        need_optuna()
        folder = user_path(resumed, "--resume").absolute()
        if not (folder / "sweep.yaml").is_file():
            raise UsageError(
                f"--resume {resumed}: no sweep there; expected a folder such as lightning_logs/mlp/sweep_0"
            )
        plan = read_plan(Plan, folder / "sweep.yaml")
        check_allowed(resumed, plan.allowed, allowed, plan.place)
        lock(folder, None)
        plan.allowed = allowed
        if trials is not None:
            plan.trials = trials
            write_whole(folder / "sweep.yaml", dump(asdict(plan)))
    carry_out(plan, folder, debug)


def need_optuna() -> None:
    """Refuse to go on without Optuna.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("optuna") is None:
        raise UsageError('needs optuna, which is not installed: pip install -e ".[sweep]"')


def planned(words: list[str], trials: int, space: str | None, unpruned: int) -> tuple[Plan, str]:
    """What a command line asks for, and what is to be said of it; every bound of the space is tried on the parser.

    Raises:
        UsageError: an option is wrong, or the space is.
    """
    request = resolve(words)
    _, config = parse(request)
    line = CommandLine(list(words))
    allowed = list(line.values("--allow"))
    dimensions = chosen_space(request, config, space)
    searched = without_given(dimensions, words)
    if not searched:
        raise UsageError(f"nothing to try: the options given settle {', '.join(each.option for each in dimensions)}")
    for each in searched:
        for value in each.values:
            parse(resolve([*words, *each.words(value)]))
    kind = class_at(request.model)
    monitor = str(config.model.get("monitor") or kind.default_monitor)
    plan = Plan(
        name=request.name,
        words=line.words,
        place=str(Path.cwd()),
        trials=trials,
        unpruned=unpruned,
        space={each.option: {each.kind: list(each.values)} for each in searched},
        monitor=monitor,
        mode="min" if monitor.split("/")[-1] in kind.lower_is_better else "max",
        seed=int(config.seed_everything),
        allowed=allowed,
    )
    said = [f"  {each.option}: {each.kind} {list(each.values)}" for each in searched]
    return plan, "\n".join(said)


def chosen_space(request: Request, config: Any, space: str | None) -> list[Dimension]:
    """A file's search space, the recipe's, or the default one.

    Raises:
        UsageError: it is none, or there is no learning rate to make one of.
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


def carry_out(plan: Plan, folder: Path, debug: bool) -> None:
    """Run the trials that are left, and show what came of all; then let others go on."""
    try:
        _carry_out(plan, folder, debug)
    finally:
        release()


def _carry_out(plan: Plan, folder: Path, debug: bool) -> None:
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with one_line_errors(debug, (UsageError, OSError)), minded() as signals:
        study = opened(plan, folder)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):  # when the sweep was killed
            give_back(study, trial)
        while len(ended(study)) < plan.trials and not signals.received:
            carry_out_one(study, plan, folder, signals)
        completed = study.get_trials(states=(TrialState.COMPLETE,))
        write_table(study, plan, folder)
        if completed:
            draw(study, plan, folder)
            print(f"\n{table(study, plan)}\n\nbest: {plan.command(ranked(study)[0])}")
            print(f"table and plot: {shown(folder / 'trials.csv')}, {shown(folder / 'trials.png')}", flush=True)
    if signals.received:
        again = command_line(["--resume", relative(folder), *allow_words(plan.allowed)])
        print(f"stopped; python scripts/sweep.py {again} goes on", file=sys.stderr)
        sys.exit(128 + signals.received)
    if not completed:
        print(f"error: none of {len(ended(study))} trials came to its end; see {shown(folder)}", file=sys.stderr)
        sys.exit(1)


def opened(plan: Plan, folder: Path) -> "Study":
    """What is known so far.

    Raises:
        UsageError: the file is damaged.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    file = folder / "trials.journal"
    mend(file)
    try:
        storage = JournalStorage(JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file))))
        return optuna.create_study(
            storage=storage,
            study_name=plan.name,
            direction="minimize" if plan.mode == "min" else "maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=plan.unpruned, n_warmup_steps=WARM_UP),
            load_if_exists=True,
        )
    except Exception as error:  # Optuna raises whatever the lines lead it into
        raise UsageError(f"{file}: not what a sweep has written ({type(error).__name__}: {error})") from None


def mend(file: Path) -> None:
    """Take away what a killed sweep may have left: half of a last line, and a lock of the file."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if file.exists():
        with file.open("rb+") as journal:
            content = journal.read()
            journal.truncate(content.rfind(b"\n") + 1)


def give_back(study: "Study", trial: "FrozenTrial") -> None:
    """Note that a trial was interrupted, and that its settings come next."""
    from optuna.trial import TrialState

    # First: whoever is killed between the two tries them twice, and not never.
    study.enqueue_trial(trial.system_attrs.get("fixed_params", {}) | trial.params)
    study.tell(trial.number, state=TrialState.FAIL)


def carry_out_one(study: "Study", plan: Plan, folder: Path, signals: Signals) -> None:
    """Run one trial, and note what came of it."""
    import optuna
    from optuna.trial import TrialState

    place = len(ended(study))
    # What is suggested depends on the seed and on what is known, and not on how often the sweep was stopped.
    study.sampler = optuna.samplers.TPESampler(seed=plan.seed + 1_000_003 * place)
    trial = study.ask()
    words = [word for each in plan.dimensions for word in each.suggested(trial)]
    bar = (
        []
        if CommandLine(plan.words).mentions("--trainer.enable_progress_bar")
        else ["--trainer.enable_progress_bar", "false"]
    )
    logs = folder / f"trial_{trial.number}"
    run = TrialRun([*plan.words, *words, *bar], logs, plan.name, plan.monitor, plan.place, plan.allowed)
    reported = 0

    def hopeless(values: list[float]) -> bool:
        nonlocal reported
        for number, value in enumerate(values[reported:], start=reported):
            reported = number + 1
            if math.isfinite(value):
                trial.report(value, number)
                if trial.should_prune():
                    return True
        return False

    pruned = run.watch(hopeless, lambda: bool(signals.received))
    best = run.best()
    if signals.received and best is None and not pruned:
        give_back(study, study.get_trials()[trial.number])
        return
    if pruned:
        study.tell(trial, state=TrialState.PRUNED)
        came = f"stopped after {reported} validations"
    elif best is not None and run.process.returncode == 0:
        study.tell(trial, best)
        came = f"{plan.monitor} {best:.4g}"
    else:
        trial.set_user_attr(CAUSE, run.cause())
        study.tell(trial, state=TrialState.FAIL)
        came = f"failed: {run.cause()}"
    print(f"trial {place + 1} of {plan.trials}: {' '.join(words)}: {came}", flush=True)

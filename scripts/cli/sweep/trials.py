"""The trials of a sweep: a study of Optuna in the sweep's folder, and one trial's run."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from callbacks.run.signals import Signals
from datamodules.storage.locks import exclusive
from scripts.cli.errors import UsageError
from scripts.cli.sweep.plan import SweepPlan
from scripts.cli.sweep.subprocess_run import SubprocessRun, results_of
from scripts.cli.sweep.workers import workers_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

WARM_UP = 2  # validations before a trial may be pruned
WORKER = "worker"  # attribute of a trial: the number of the worker that tries it; none of a sweep's that has no workers
CAUSE = "cause"  # attribute of a failed trial: why it failed; an interrupted one has none


def open_study(plan: SweepPlan, folder: Path, worker: int | None = None) -> "Study":
    """The results so far; a trial that ran when the sweep was killed is recorded as interrupted.

    Args:
        plan: of the sweep.
        folder: of the sweep.
        worker: the number of this process; None where it is alone.

    Raises:
        UsageError: the file is damaged.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    file = folder / "trials.journal"
    if not others(folder, worker):
        repair(file)
    try:
        storage = JournalStorage(JournalFileBackend(str(file), lock_obj=JournalFileOpenLock(str(file))))
        study = optuna.create_study(
            storage=storage,
            study_name=plan.name,
            direction="minimize" if plan.mode == "min" else "maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=plan.unpruned, n_warmup_steps=WARM_UP),
            load_if_exists=True,
        )
        forget_interrupted(study, folder, worker)
    except Exception as error:  # Optuna raises whatever the lines lead it into
        raise UsageError(f"{file}: not what a sweep has written ({type(error).__name__}: {error})") from None
    return study


def others(folder: Path, worker: int | None) -> set[int]:
    """The other workers that live; none beside a process that is alone."""
    return set() if worker is None else {*workers_of(folder)} - {worker}


def forget_interrupted(study: "Study", folder: Path, worker: int | None) -> list["FrozenTrial"]:
    """Record the trials whose process is gone as interrupted; those that other workers try now are returned."""
    from optuna.trial import TrialState

    living = others(folder, worker)
    running = study.get_trials(states=(TrialState.RUNNING,))
    for trial in running:
        if trial.user_attrs.get(WORKER) not in living:
            study.tell(trial.number, state=TrialState.FAIL)
    return [trial for trial in running if trial.user_attrs.get(WORKER) in living]


def repair(file: Path) -> None:
    """Remove what a killed sweep may have left, which Optuna does not: half of a last line, and a lock of the file."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if file.exists():
        with file.open("rb+") as journal:
            content = journal.read()
            journal.truncate(content.rfind(b"\n") + 1)


def ended(study: "Study") -> list["FrozenTrial"]:
    """The trials that have ended in any way but an interruption, after which their settings are tried again."""
    from optuna.trial import TrialState

    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return [trial for trial in study.get_trials() if trial.state in states or CAUSE in trial.user_attrs]


def ranked(study: "Study") -> list["FrozenTrial"]:
    """The trials that have ended: the complete ones, the best first, and then the others."""
    sign = 1 if study.direction.name == "MINIMIZE" else -1

    def key(trial: "FrozenTrial") -> tuple[bool, float, int]:
        value = trial.value if trial.state.name == "COMPLETE" else None
        return value is None, sign * (value or 0), trial.number

    return sorted(ended(study), key=key)


def begin_trial(
    study: "Study", plan: SweepPlan, folder: Path, worker: int | None = None
) -> tuple["Trial", list[str]] | None:
    """The next trial and its words; None where all have ended or are tried by other workers.

    What is suggested depends on the seed, on the worker and on the trials that have ended. So one that is interrupted
    is recorded as a failure without a cause, which counts for nothing, and the next trial gets the same settings.
    """
    import optuna

    with exclusive(folder / ".trials.lock"):
        elsewhere = forget_interrupted(study, folder, worker)
        index = len(ended(study))
        if index + len(elsewhere) >= plan.trials:
            return None
        study.sampler = optuna.samplers.TPESampler(seed=plan.seed + 1_000_003 * index + 15_485_863 * (worker or 0))
        trial = study.ask()
        if worker is not None:
            trial.set_user_attr(WORKER, worker)
        return trial, [word for each in plan.dimensions for word in each.suggest(trial)]


def run_trial(study: "Study", plan: SweepPlan, folder: Path, signals: Signals, worker: int | None = None) -> bool:
    """Run one trial, and record its result; whether there was one."""
    from optuna.trial import TrialState

    begun = begin_trial(study, plan, folder, worker)
    if begun is None:
        return False
    trial, words = begun
    run = SubprocessRun(plan, [*plan.words, *words], folder / f"trial_{trial.number}", plan.monitor)
    reported = 0

    def should_prune(values: list[float]) -> bool:
        nonlocal reported
        for step, value in enumerate(values[reported:], start=reported):
            reported = step + 1
            if math.isfinite(value):
                trial.report(value, step)
                if trial.should_prune():
                    return True
        return False

    pruned = run.watch(should_prune, lambda: bool(signals.received))
    results = results_of(run.run)
    best = results["best"] if results is not None else None
    if signals.received and best is None and not pruned:
        study.tell(trial, state=TrialState.FAIL)
        return True
    if pruned:
        study.tell(trial, state=TrialState.PRUNED)
        result = f"pruned after {reported} validations"
    elif best is not None and run.process.returncode == 0:
        study.tell(trial, best)
        result = f"{plan.monitor} {best:.4g}"
    else:
        trial.set_user_attr(CAUSE, run.cause())
        study.tell(trial, state=TrialState.FAIL)
        result = f"failed: {run.cause()}"
    print(f"trial {trial.number}, {len(ended(study))} of {plan.trials}: {' '.join(words)}: {result}", flush=True)
    return True

"""Train, test the best checkpoint, and say what came of it."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import yaml
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer

from callbacks.run.checkpoint_file import UnsavedError, read_checkpoint
from callbacks.run.checkpoints import Checkpoints, NonFiniteError
from callbacks.run.processes import same_data
from callbacks.run.run_folder import FolderGoneError, RunFolder
from callbacks.run.signals import Stopped
from callbacks.run.throughput import Throughput
from datamodules.errors import DataError
from datamodules.files.paths import relative
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.options import AUTO, parse, resolved
from scripts.cli.command_line.recipes import Config, Request, read_yaml
from scripts.cli.command_line.resume_changes import differences, refuse_changes
from scripts.cli.distributed.launch import broadcast_from_rank_zero, job, started_again, wait_for_others
from scripts.cli.errors import UsageError, one_line_errors
from scripts.cli.run.batch_size import LEAST, settle_batch_size
from scripts.cli.run.build import Built, build, build_trainer, quiet, settle
from scripts.cli.run.failures import one_cause
from scripts.cli.run.folder import Found, claim, folder_of_job, go_on, lock, logs_at, release, write_json, write_whole
from scripts.cli.run.report import heading, report
from scripts.cli.shell import quoted

# What a user can mend while a run is at work.
MENDED = (UsageError, DataError, NonFiniteError, UnsavedError, FolderGoneError)


def fit(request: Request, debug: bool = False) -> dict[str, Any] | None:
    """Run what the request asks for.

    Returns:
        The content of the run's `results.json`; None where only the configuration was to be printed.

    Raises:
        SystemExit: with status 2, after one line on the screen, if the request cannot be met; with 128 and the
            signal's number, if a signal ended it.
    """
    try:
        return _fit(request, debug)
    finally:
        release()


def _fit(request: Request, debug: bool) -> dict[str, Any] | None:
    quiet()
    with one_line_errors(debug, (ValueError, OSError)):
        parser, config = parse(request)
        content = resolved(request, config)
        if config.print_config:
            print(dump(content), end="")
            return None
        wanted = config.data.batch_size
        if wanted == AUTO:
            config.data.batch_size = LEAST
        if request.resume:
            before = read_yaml(request.resume / "config.yaml", "--resume")
            refuse_changes(differences(before, content), config.inexact)
        run = build(request, parser, config)
        trainer = build_trainer(config, parser.instantiate(config), run)
        if wanted == AUTO:
            settle_batch_size(config, trainer, run, begun_before(request, config))
            content = resolved(request, config)
        run.data.check_processes(trainer.world_size)
        folder, checkpoint = broadcast_from_rank_zero(trainer, lambda: place(request, config, content))
        if checkpoint is not None:
            refuse_changes(changed(checkpoint, trainer, run), config.inexact)
        best = settle(trainer, config, content, run.model, folder)
    if trainer.is_global_zero:
        print(heading(request, run, trainer, folder, checkpoint), flush=True)
    try:
        with one_line_errors(debug, MENDED), one_cause(trainer, folder, config):
            trainer.fit(run.model, run.data, ckpt_path=checkpoint, weights_only=True)
            path = trainer.strategy.broadcast(to_be_tested(best) if trainer.is_global_zero else None)
            tested = trainer.test(run.model, run.data, ckpt_path=path, weights_only=True, verbose=False)[0]
            results = outcome(request, content, tested, trainer, best, path)
            if trainer.is_global_zero:
                best.run.check()
                write_json(folder / "results.json", results)
                print(report(results, folder), flush=True)
    except Stopped as stopped:
        leave(stopped, trainer, folder)
    finally:
        best.signals.uninstall()
    wait_for_others(trainer)
    return results


def to_be_tested(best: Checkpoints) -> Path | None:
    """The best checkpoint; the last one if the best is damaged or gone; None for the weights as they are now.

    Says which, where it is not the best.
    """
    best.run.check()
    if best.best_score is None:
        return None
    problem = best.problem(best.best_path)
    if problem is None:
        return best.best_path
    last = best.last_path if best.problem(best.last_path) is None else None
    print(f"note: {best.best_path}: {problem}; {last or 'what the run ended with'} is tested instead", file=sys.stderr)
    return last


def place(request: Request, config: Any, content: Config) -> Found:
    """Where the run goes: on in its own folder, if it is one that was stopped; else into a new one."""
    if request.resume:
        found = go_on(request.resume, job())
        if found.checkpoint is None:
            raise UsageError(f"--resume {request.resume}: no valid checkpoint in it, so there is nothing to go on with")
        return found
    earlier = begun_before(request, config)
    if earlier is not None:
        return go_on(earlier, job())
    folder = claim(logs_at(config.logs), request.name)
    run = RunFolder(folder)
    lock(folder, job())
    write_whole(folder / "config.yaml", dump(content))
    run.check()  # writing would have made it again, without its lock
    return Found(folder, None)


def begun_before(request: Request, config: Any) -> Path | None:
    """The folder of the run that this job has begun before SLURM or torchrun started it again."""
    this = job()
    return folder_of_job(logs_at(config.logs), request.name, this) if this is not None and started_again() else None


def changed(path: Path, trainer: Trainer, run: Built) -> list[str]:
    """What is not as it was when a checkpoint was saved, besides the settings."""
    checkpoint = read_checkpoint(path)
    done, most = checkpoint["epoch"], trainer.max_epochs
    if most is not None and 0 <= most < done:
        raise UsageError(f"--trainer.max_epochs {most}: expected at least {done}, which the run has done")
    changes = []
    if checkpoint["world_size"] != trainer.world_size:
        changes.append(f"{trainer.world_size} processes (was {checkpoint['world_size']})")
    same_data(trainer, run.data)
    learned = checkpoint.get(type(run.data).__qualname__, {})
    if found := run.data.changed_since(checkpoint["fingerprint"], learned):
        changes.append(f"other data in {run.data.dataset}: {found}")
    return changes


def leave(stopped: Stopped, trainer: Trainer, folder: Path) -> NoReturn:
    """End a run that a signal has stopped, with the signal's exit status.

    Processes that Lightning has started end with 0: it takes any other status for a failure, and kills the rest.
    """
    if trainer.is_global_zero:
        again = quoted(relative(folder))
        print(f"{stopped}; python scripts/fit.py --resume {again} goes on from there", file=sys.stderr)
    wait_for_others(trainer)
    environment = getattr(trainer.strategy, "cluster_environment", None)
    child = isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
    sys.exit(0 if child else stopped.status)


def dump(config: Config) -> str:
    """YAML in the order given."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def outcome(
    request: Request, config: Config, tested: Any, trainer: Trainer, best: Checkpoints, path: Path | None
) -> dict[str, Any]:
    """What `results.json` holds."""
    throughput = next(callback for callback in trainer.callbacks if isinstance(callback, Throughput))  # type: ignore[attr-defined]
    return {
        "model": request.name,
        "data": config["data"]["init_args"]["dataset"],
        "seed": config["seed_everything"],
        "test": _named(tested, "test/"),
        "baseline": _named(tested, "baseline/"),
        "monitor": best.monitor,
        "best": best.best_score,
        "train_seconds": throughput.train_seconds,
        "examples_per_second": throughput.examples_per_second,
        "best_checkpoint": str(path) if path else None,
        **details(trainer.lightning_module),
    }


def details(model: Any) -> dict[str, Any]:
    """What a model says of the test besides its metrics."""
    return model.details() if isinstance(model, Task) else {}


def _named(metrics: dict[str, float], split: str) -> dict[str, float]:
    return {name.removeprefix(split): value for name, value in metrics.items() if name.startswith(split)}

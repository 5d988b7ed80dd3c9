"""Train, test the best checkpoint, and say what came of it."""

import os
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer

from callbacks.checkpoints import Checkpoints
from callbacks.description import Description
from callbacks.throughput import Throughput
from scripts.cli.build import Built, build, build_trainer, quiet
from scripts.cli.errors import one_line_errors
from scripts.cli.options import parse, resolved
from scripts.cli.recipes import Config, Request
from scripts.cli.runs import LOGS, claim, write_json, write_whole


def fit(request: Request, debug: bool = False) -> dict[str, Any] | None:
    """Run what the request asks for.

    Returns:
        The content of the run's `results.json`; None where only the configuration was to be printed.

    Raises:
        SystemExit: with status 2, after one line on the screen, if the request cannot be met.
    """
    quiet()
    with one_line_errors(debug, (ValueError, OSError)):
        parser, config = parse(request)
        content = resolved(request, config)
        if config.print_config:
            print(dump(content), end="")
            return None
        run = build(request, parser, config)
        logs = Path(config.logs).expanduser().absolute() if config.logs else LOGS
        folder = claim(logs, request.name)
        ready = parser.instantiate(config)
        try:
            trainer = build_trainer(config, ready, run.model, run.data, folder)
        except ValueError:
            folder.rmdir()  # nothing came of this run
            raise
        write_whole(folder / "config.yaml", dump(content))
    monitor, mode = str(run.model.monitor), str(run.model.mode)
    trainer.callbacks.insert(0, Description(content, monitor, mode))  # type: ignore[attr-defined]
    print(heading(request, run, trainer, folder), flush=True)
    with one_line_errors(debug):
        trainer.fit(run.model, run.data)
        best = found(trainer)
        checkpoint = best.best_path if best.best_score is not None else None
        tested = trainer.test(run.model, run.data, ckpt_path=checkpoint, verbose=False)[0]
    results = outcome(request, content, tested, trainer, best, folder)
    write_json(folder / "results.json", results)
    print(report(results, folder), flush=True)
    return results


def dump(config: Config) -> str:
    """YAML in the order given."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def found(trainer: Trainer) -> Checkpoints:
    """The run's callback that keeps the checkpoints."""
    return next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))  # type: ignore[attr-defined]


def heading(request: Request, run: Built, trainer: Trainer, folder: Path) -> str:
    """What is about to run: model, data, size, device, place."""
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    device = trainer.strategy.root_device.type
    place = f"{trainer.world_size} × {device}" if trainer.world_size > 1 else device
    return (
        f"{request.name} on {run.data.dataset}: {parameters:,} parameters, "
        f"{' / '.join(str(len(split)) for split in run.data.splits or ())} examples to train / validate / test on, "
        f"{place}, precision {trainer.precision}, {shown(folder)}"
    )


def shown(path: Path) -> str:
    """The path as seen from here, if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)


def outcome(
    request: Request, config: Config, tested: Any, trainer: Trainer, best: Checkpoints, folder: Path
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
        "best_checkpoint": str(best.best_path) if best.best_score is not None else None,
    }


def _named(metrics: dict[str, float], split: str) -> dict[str, float]:
    return {name.removeprefix(split): value for name, value in metrics.items() if name.startswith(split)}


def table(test: dict[str, float], baseline: dict[str, float]) -> str:
    """Metrics, a line each, beside the baseline's; then those that only a baseline has."""
    further = {name: value for name, value in baseline.items() if name not in test}
    width = max(map(len, [*test, *further]))
    lines = [f"{'':{width}}  {'test':>10}  {'baseline':>10}" if baseline else f"{'':{width}}  {'test':>10}"]
    for name, value in test.items():
        beside = f"{baseline[name]:>10.4g}" if name in baseline else ""
        lines.append(f"{name:{width}}  {value:>10.4g}  {beside}".rstrip())
    lines += [f"{name:{width}}  {'':>10}  {value:>10.4g}" for name, value in further.items()]
    return "\n".join(lines)


def report(results: dict[str, Any], folder: Path) -> str:
    """The end of a run on the screen."""
    lines = [table(results["test"], results["baseline"]), ""]
    best = f", best {results['monitor']} {results['best']:.4g}" if results["best"] is not None else ""
    lines.append(
        f"trained in {results['train_seconds']:.1f} s, {results['examples_per_second']:,.0f} examples a second{best}"
    )
    if results["best_checkpoint"]:
        lines.append(f"checkpoint: {shown(Path(results['best_checkpoint']))}")
    lines.append(f"dashboard:  tensorboard --logdir {shown(folder.parent)}")
    return "\n".join(lines)

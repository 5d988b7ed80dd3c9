"""Which classes a configuration may name, and where. To import a module is to run it, so a name is checked before.

Three lines of defence: `check_names` reads the plain configuration and reports errors in our words; `only_trusted`
has jsonargparse refuse every other name at the one place where it imports, wherever a value may have come from; and
`check_parsed` looks at the result, before anything is built.
"""

import difflib
import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace, set_parsing_settings
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from torch import optim
from torch.optim import Optimizer

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.recipes import Loader
from scripts.cli.errors import UsageError

# Of lightning.pytorch.callbacks, those that were read and do no more with plain arguments than compute, log and print.
# Not here: what takes a function (LambdaCallback, BackboneFinetuning, ThroughputMonitor, ModelPruning), what writes
# to a path that it is given (ModelCheckpoint, OnExceptionCheckpoint, SpikeDetection), what sets attributes by their
# names (LearningRateFinder, BatchSizeFinder), and progress bars, of which a run has its own.
CALLBACKS = {
    "DeviceStatsMonitor": "device_stats_monitor",
    "EMAWeightAveraging": "weight_averaging",
    "EarlyStopping": "early_stopping",
    "GradientAccumulationScheduler": "gradient_accumulation_scheduler",
    "LearningRateMonitor": "lr_monitor",
    "ModelSummary": "model_summary",
    "RichModelSummary": "rich_model_summary",
    "StochasticWeightAveraging": "stochastic_weight_avg",  # its `avg_fn` is a function, which no setting gives
    "Timer": "timer",
    "WeightAveraging": "weight_averaging",
}

# What a run has in place of others.
INSTEAD = {
    "BackboneFinetuning": "--finetuning.freeze_epochs freezes the backbone",
    "BaseFinetuning": "--finetuning.freeze_epochs freezes the backbone",
    "BasePredictionWriter": "scripts/predict.py writes predictions",
    "BatchSizeFinder": "--data.batch_size auto finds the largest batch size",
    "LearningRateFinder": "scripts/find_rate.py finds a learning rate",
    "ModelCheckpoint": "the best and the last checkpoint are saved anyway; --checkpoint.keep 3 keeps the three best, "
    "--checkpoint.every_epoch true each epoch's, --save_every says how often the last is saved",
    "OnExceptionCheckpoint": "the last checkpoint is saved anyway, --save_every says how often",
    "ProgressBar": "a run has a progress bar, --trainer.enable_progress_bar false removes it",
    "RichProgressBar": "a run has a progress bar, --trainer.enable_progress_bar false removes it",
    "TQDMProgressBar": "a run has a progress bar, --trainer.enable_progress_bar false removes it",
    "ThroughputMonitor": "examples a second are logged anyway",
}


@dataclass(frozen=True)
class Place:
    """A setting that names a class.

    Args:
        base: what the class has to be derived from.
        names: the modules whose classes are accepted there, and single classes.
        expected: what is accepted there, in words.
        never: arguments that none of these classes is given, since they would have it write anywhere.
    """

    base: type
    names: tuple[str, ...]
    expected: str
    never: tuple[str, ...] = ()


PLACES = {
    "model": Place(LightningModule, ("lightning_modules",), "a LightningModule of lightning_modules"),
    "data": Place(LightningDataModule, ("datamodules",), "a LightningDataModule of datamodules"),
    "model.optimizer": Place(
        Optimizer,
        ("torch.optim", "lightning_modules.optim.muon"),
        "an Optimizer of torch.optim",
    ),
    "trainer.callbacks": Place(
        Callback,
        (
            "callbacks",
            *(f"lightning.pytorch.callbacks.{name}" for name in CALLBACKS),
            *(f"lightning.pytorch.callbacks.{module}.{name}" for name, module in CALLBACKS.items()),
        ),
        f"a Callback of callbacks, or of lightning.pytorch.callbacks one of {', '.join(CALLBACKS)}",
    ),
    # The other strategies read and write files that they are given, or take policies and plugins that are objects.
    "trainer.strategy": Place(
        Strategy,
        ("lightning.pytorch.strategies.DDPStrategy", "lightning.pytorch.strategies.ddp.DDPStrategy"),
        "a strategy's name, such as ddp, or lightning.pytorch.strategies.DDPStrategy",
    ),
    "trainer.profiler": Place(
        Profiler,
        tuple(
            f"lightning.pytorch.profilers.{name}"
            for name in ("SimpleProfiler", "AdvancedProfiler", "simple.SimpleProfiler", "advanced.AdvancedProfiler")
        ),
        "a profiler's name, such as simple, or of lightning.pytorch.profilers SimpleProfiler or AdvancedProfiler",
        never=("dirpath", "filename"),
    ),
    # No accelerator has arguments: its name is enough.
    "trainer.accelerator": Place(Accelerator, (), "an accelerator's name, such as auto, cpu or gpu"),
}

_allowed_before: set[str] = set()


def allowed_by_user(line: CommandLine) -> list[str]:
    """What `--allow` names, and where that is defined; takes it from the line.

    Modules allowed by name may be in the working folder, where no other is searched.

    Raises:
        UsageError: it is not the dotted name of a module or class.
    """
    names = list(line.values("--allow"))
    for name in names:
        if not is_name(name):
            raise UsageError(
                f"--allow {name}: expected the dotted name of a module or a class, such as my_package.MyModel"
            )
        if name.split(".")[0] == "jsonargparse":
            raise UsageError(f"--allow {name}: expected another module than the one that holds to this list")
    if names and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    return list(dict.fromkeys([*names, *map(_definition, names)]))


def _definition(name: str) -> str:
    """The full name of a class that may have been named by a module which only imports it."""
    module, _, last = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), last)
    except Exception:  # it is the name of a module; or it fails again, with the reason, where it is used
        return name
    return f"{found.__module__}.{found.__qualname__}" if isinstance(found, type) else name


def is_name(name: Any) -> bool:
    """Whether a value is the dotted name of a module or class."""
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def is_below(name: str, prefixes: Iterable[str]) -> bool:
    """Whether the dotted name is one of those, or below one."""
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def place_of(where: str) -> Place | None:
    """What a setting that names a class may name; None for any other setting, which names none."""
    return PLACES.get(where.removeprefix("--"))


def is_trusted(where: str, name: str, allowed: Iterable[str]) -> bool:
    """Whether a setting may name this class."""
    place = place_of(where)
    return is_below(name, allowed) or (place is not None and is_below(name, place.names))


def expected_at(where: str) -> str:
    """What a setting may be, in words."""
    place = place_of(where)
    return place.expected if place is not None else "a plain value"


def refusal(where: str, name: Any) -> str:
    """The message for a class that is not accepted there; the setting as a file or, with dashes, an option names it."""
    if hint := instead_of(where, name):
        return hint
    leave = f"; if you trust its code, add --allow {name}" if is_name(name) and "." in name else ""
    return f"{where or 'class_path'}: expected {expected_at(where)}, got the class {name}{leave}"


def nearest_class(where: str, name: str) -> str:
    """`; did you mean …?` for a class of PyTorch's that is written in another way, such as `adamw`."""
    place = place_of(where)
    if place is None or place.base is not Optimizer:
        return ""
    spelt = {each.lower(): each for each in vars(optim) if each[0].isupper()}
    close = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.8)
    return f"; did you mean {spelt[close[0]]}?" if close else ""


def instead_of(where: str, name: Any) -> str | None:
    """The message for a callback in whose place a run has something else; None for another."""
    last = str(name).rpartition(".")[2]
    is_callback = where.removeprefix("--") == "trainer.callbacks" and last in INSTEAD
    return f"{where}: leave {last} out; {INSTEAD[last]}" if is_callback else None


def check_names(where: str, value: Any, allowed: Iterable[str]) -> None:
    """Refuse every `class_path` in a plain value, however deep, that names what is not accepted there.

    Raises:
        UsageError: one does.
    """
    for place, name in _class_paths(where, value):
        bare = is_name(name) and "." not in name  # looked up among what is imported already, and checked when parsed
        if not bare and not (is_name(name) and is_trusted(place, name, allowed)):
            raise UsageError(refusal(place, name))


def _class_paths(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if "class_path" in value:
            yield where, value["class_path"]
        for key, item in value.items():
            yield from _class_paths(_inside(where, key), item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _class_paths(where, item)


def _inside(where: str, key: Any) -> str:
    return where if key == "init_args" else f"{where}.{key}".lstrip(".")


def check_words(words: list[str], allowed: Iterable[str]) -> None:
    """Refuse an option that names, outright or within braces, a class that is not accepted there.

    Raises:
        UsageError: one does.
    """
    for before, word in zip(["", *words], words, strict=False):
        option, given, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if not given or not option.startswith("--"):
            continue
        where = option.removesuffix("+").replace(".init_args", "")
        if where.endswith((".class_path", ".help")):
            check_names(where.rpartition(".")[0], {"class_path": value}, allowed)
        elif "class_path" in value:
            with suppress(yaml.YAMLError):  # the parser reports it
                check_names(where, yaml.load(value, Loader), allowed)


def only_trusted(allowed: Iterable[str]) -> None:
    """Have jsonargparse import nothing else that a value names, and build no class where any value would do."""
    names = {*allowed, *(name for place in PLACES.values() for name in place.names)}
    _allowed_before.update(allowed)
    names |= {name for name in _allowed_before if is_below(name, names)}
    set_parsing_settings(
        import_path_denylist=["*", *(_allowed_before - names)],  # an earlier request may have allowed more
        import_path_allowlist=sorted(names),
        instantiate_subclass_spec_in_any=False,
    )


def check_parsed(where: str, value: Any, allowed: Iterable[str]) -> None:
    """Refuse a class of another type than the place wants, and every function, in a parsed configuration.

    Raises:
        UsageError: there is one.
    """
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, dict):
        if "class_path" in value:
            _check_class(where, value, allowed)
        for key, item in value.items():
            check_parsed(_inside(where, key), item, allowed)
    elif isinstance(value, list | tuple | set):
        for item in value:
            check_parsed(where, item, allowed)
    elif callable(value):
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
        if not is_below(name, allowed):
            what = "class" if isinstance(value, type) else "function"
            raise UsageError(f"--{where}: expected {expected_at(where)}, got the {what} {name}")
    elif isinstance(value, str) and place_of(where) and not value.isidentifier():  # such a name the parser passed over
        raise UsageError(f"--{refusal(where, value)}")


def _check_class(where: str, spec: dict[str, Any], allowed: Iterable[str]) -> None:
    name = spec["class_path"]
    module, _, last = str(name).rpartition(".")
    found = getattr(sys.modules.get(module), last, None)  # the parser has imported what it found at a class's place
    if not isinstance(found, type):
        raise UsageError(f"--{refusal(where, name)}")
    known = (name, f"{found.__module__}.{found.__qualname__}")
    if not any(is_trusted(where, each, allowed) for each in known):
        raise UsageError(f"--{refusal(where, name)}")
    place = place_of(where)
    if place is None:
        return
    if not issubclass(found, place.base):
        raise UsageError(f"--{where}: expected {expected_at(where)}, got the class {name}")
    if any(is_below(each, allowed) for each in known):
        return
    arguments = {**(spec.get("init_args") or {}), **(spec.get("dict_kwargs") or {})}
    for argument in place.never:
        if arguments.get(argument) is not None:
            raise UsageError(
                f"--{where}.{argument}: would let a configuration choose where to write; leave it out, or, if you "
                f"trust it, add --allow {name}"
            )

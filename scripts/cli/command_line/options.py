"""The command line of two concrete classes: their constructors' arguments are the options."""

import importlib
import inspect
import math
import re
from argparse import SUPPRESS
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, NoReturn

from jsonargparse import ArgumentError, ArgumentParser, Namespace, set_parsing_settings
from jsonargparse.typing import NonNegativeInt, PositiveFloat
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from callbacks.loggers.logger import pick_loggers
from callbacks.run.checkpoints import SaveEvery
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.private_argparse import actions_in, actions_of
from scripts.cli.command_line.recipes import Config, Request
from scripts.cli.command_line.techniques import TECHNIQUES, techniques
from scripts.cli.command_line.trust import (
    allowed_by_user,
    check_names,
    check_parsed,
    check_words,
    expected_at,
    only_trusted,
    place_of,
    refusal,
)
from scripts.cli.distributed.devices import check_devices
from scripts.cli.distributed.launch import settle_devices
from scripts.cli.errors import UsageError, did_you_mean
from scripts.cli.run.pretrained import own_run

AUTO = "auto"  # a batch size that has to be found
Precision = Literal["auto", "32", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64"]

# What the project sets itself: the run's folder, its loggers, how its data is sampled.
TRAINER_SETTLED = {
    "default_root_dir",
    "enable_checkpointing",
    "enable_model_summary",
    "logger",
    "plugins",
    "precision",
    "use_distributed_sampler",
}
LOGGERS = "tensorboard,csv"
USUAL = {"max_epochs", "max_steps", "accelerator", "devices", "num_nodes", "strategy", "precision", "gradient_clip_val"}
SECTIONS = ("model", "data", "trainer", *TECHNIQUES)


class Parser(ArgumentParser):
    """Parses the options of a model and its data, and raises a one-line UsageError instead of printing its usage."""

    model: type[LightningModule]
    data: type[LightningDataModule]

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report what is wrong in the user's terms."""
        raise UsageError(self.translated(message)) from ex

    def section(self, name: str) -> Any:
        """The group of a section's options."""
        assert self.groups is not None, "there is a section"
        return self.groups[name]

    def options(self) -> list[str]:
        """Every option that starts with two dashes."""
        return [option for action in actions_of(self) for option in action.option_strings if option.startswith("--")]

    def is_count(self, name: str) -> bool:
        """Whether the option is an integer whose default is at least 1: a size or a count."""
        default = next((action.default for action in actions_of(self) if action.dest == name), None)
        return isinstance(default, int) and not isinstance(default, bool) and default >= 1

    def translated(self, message: str) -> str:
        """One line, with the option's own spelling and the nearest right one."""
        if found := re.search(r"[Uu]nrecognized arguments?:? (\S+)|Option '(\S+)' is not accepted", message):
            option = (found[1] or f"--{found[2]}").split("=")[0]
            return f"{option}: no such option{did_you_mean(option, self.options())} (--help shows them all)"
        found = re.search(r'[Kk]ey "([^"]+)"', message)
        option = f"--{found[1]}" if found else ""
        if found := re.search(r"Importing '([^']+)' is not allowed", message):
            return refusal(option, found[1])
        if found := re.search(r"- (--\S+?: (?:no such option|expected).*)", message):  # of a class within the class
            return re.sub(r"--(?!help|allow)", f"{option}.", found[1])
        given = re.search(r"(?:Given value|Got value): (.*)", message)
        expected = [
            _readable(text)
            for text in re.findall(r"Expected (?:an? )?(.*?)(?:\. Got value|: .*|$)", message, re.MULTILINE)
        ]
        if option and expected:
            accepted = expected_at(option) if place_of(option) else " or ".join(dict.fromkeys(expected))
            return f"{option}: expected {accepted}, got {given[1].strip() if given else 'nothing'}"
        return f"{option}: {message}" if option and option not in message else message


def _readable(text: str) -> str:
    text = re.sub(r"<class '(?:builtins\.)?([^']+)'>", r"\1", text.strip())
    text = re.sub(r"typing\.Literal\[([^,]*)\]", r"\1", text)
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return {"NoneType": "null", "dot import path string": "the name of a class"}.get(text, text.replace("'", ""))


def class_at(path: str) -> Any:
    """Import the class that a path such as `lightning_modules.gat.GAT` names.

    Raises:
        UsageError: there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"class_path {path}: cannot be imported ({error})") from None


def class_of(path: str, base: type) -> Any:
    """The class that the path names, which must be derived from another.

    Raises:
        UsageError: it is anything else, which must not be called.
    """
    found = class_at(path)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UsageError(f"class_path {path}: expected a {base.__name__}, got {found!r}")
    return found


def constructor_arguments(cls: type) -> set[str]:
    """The names that a class's constructor accepts, its bases' too where it passes `**kwargs` on."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names - {"self"}


def default_of(cls: type, name: str) -> Any:
    """The default of a constructor's argument, the bases' where it is passed on."""
    for base in cls.__mro__:
        parameter = inspect.signature(base.__init__).parameters.get(name)  # type: ignore[misc]
        if parameter is not None:
            return parameter.default
    raise LookupError(f"{cls.__name__} takes no {name}")


def linked(model: type[LightningModule], data: type[LightningDataModule]) -> list[str]:
    """The arguments of the model that the data states: sizes, class names, scales."""
    provides: tuple[str, ...] = getattr(data, "provides", ())
    return [name for name in provides if name in constructor_arguments(model)]


def build_parser(request: Request) -> Parser:
    """A parser for the options of the request's model, its data and the trainer, with its values as defaults."""
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    model, data = class_of(request.model, LightningModule), class_of(request.data, LightningDataModule)
    parser = Parser(
        prog=f"fit.py --model {request.name}",
        usage="%(prog)s [options]",
        description=f"{request.name}: {request.about.get('summary', '')} {request.about.get('paper', '')}",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.model, parser.data = model, data
    parser.add_class_arguments(model, "model", skip=set(linked(model, data)), instantiate=False)
    of_model = titled(parser, "model", f"--model: {model.__name__}")
    if "pretrained" not in constructor_arguments(model):
        of_model.add_argument("--model.pretrained", type=str | None, default=None, help="an earlier run to start from")
    parser.add_class_arguments(data, "data", skip={"batch_size"}, instantiate=False)
    titled(parser, "data", f"--data: {data.__name__}").add_argument(
        "--data.batch_size",
        type=int | Literal["auto"] | None,
        default=default_of(data, "batch_size"),
        help="examples in a training step, of all processes together; null for the whole training split; auto for the "
        "largest power of two that fits into memory and leaves an epoch ten steps",
    )
    add_run_options(parser)
    for name, cls in TECHNIQUES.items():
        parser.add_class_arguments(cls, name, instantiate=False)
        titled(parser, name, f"--{name}")
    parser.add_class_arguments(Trainer, "trainer", skip=TRAINER_SETTLED, instantiate=False)
    titled(parser, "trainer", "--trainer: Lightning's Trainer").add_argument(
        "--trainer.precision", type=Precision, default="auto", help="auto: bf16 where the hardware has it"
    )
    parser.set_defaults({"trainer.devices": 1})
    return parser


def titled(parser: Parser, section: str, title: str) -> Any:
    """The group of a section's options in the help, with a title and without the option that reads a file."""
    group = parser.section(section)
    group.title = title
    for action in actions_in(group):
        if action.dest == section:
            action.help = SUPPRESS
    return group


def add_run_options(parser: Parser) -> None:
    """Add the options that are neither the model's nor the data's nor the Trainer's."""
    run = parser.add_argument_group("run")
    run.add_argument("--seed_everything", type=NonNegativeInt, default=0, help="seed of weights, order and noise")
    run.add_argument("--logs", type=str | None, default=None, help="folder of all runs; lightning_logs by default")
    run.add_argument(
        "--logger",
        type=str,
        default=LOGGERS,
        help="destinations of logs: none, or some of csv, mlflow, tensorboard, wandb, separated by commas",
    )
    run.add_argument(
        "--save_every",
        type=str,
        default="10 minutes",
        help="interval between saves of the last checkpoint, besides the ends of epochs and of the run",
    )
    run.add_argument(
        "--timeout", type=PositiveFloat, default=30.0, help="minutes without a batch after which a run that hangs ends"
    )
    run.add_argument("--inexact", action="store_true", help="resume though data or settings are not what they were")
    run.add_argument("--allow", metavar="NAME", help="a module or class of your own that settings may name; repeat")
    run.add_argument("--debug", action="store_true", help="show the traceback of an error")
    run.add_argument("--print_config", action="store_true", help="print the resolved configuration and exit")
    run.add_argument("--help_all", action="store_true", help="show all options of the Trainer, too")


def shorten_help(parser: Parser) -> None:
    """Hide all but the usual options of the Trainer."""
    group = parser.section("trainer")
    group.title = f"{group.title} (of its {len(actions_in(group))} options the usual ones; --help_all shows all)"
    for action in actions_in(group):
        if action.dest.removeprefix("trainer.") not in USUAL:
            action.help = SUPPRESS


def parse(request: Request) -> tuple[Parser, Namespace]:
    """Parse the request's remaining arguments over its configuration.

    Raises:
        UsageError: an option is unknown, of the wrong type or out of range, or names a class that is not trusted.
    """
    line = CommandLine(list(request.arguments))
    allowed = allowed_by_user(line)
    given = {key: value for key, value in request.defaults.items() if value is not None or key not in SECTIONS}
    request = replace(request, arguments=line.words, defaults=given)  # a section without settings reads as null
    if "allow" in request.defaults:
        raise UsageError("allow: a configuration cannot allow what it names; give --allow on the command line")
    check_names("model", {"class_path": request.model}, allowed)
    check_names("data", {"class_path": request.data}, allowed)
    check_names("", request.defaults, allowed)
    check_words(request.arguments, allowed)
    only_trusted(allowed)
    parser = build_parser(request)
    if "--help_all" in request.arguments:
        request.arguments.append("--help")
    else:
        shorten_help(parser)
    check_keys(request.defaults, parser)
    try:
        parser.parse_object(request.defaults)  # reports errors of a file, which a default would not
        parser.set_defaults(dict(_leaves(without_replaced(request), parser)))
        config = parser.parse_args([word for word in request.arguments if word != "--print_config"])
        config.print_config = "--print_config" in request.arguments
    except ArgumentError as error:
        raise UsageError(parser.translated(error.message or str(error))) from error
    check_parsed("", config, allowed)
    config.model.pretrained = own_run(config.model.pretrained) or config.model.pretrained
    if config.model.pretrained and "tokenizer" in config.data:
        config.data.tokenizer = config.model.pretrained  # a pretrained model reads no other tokens than its own
    check_ranges(config, parser)
    settle_devices(config, CommandLine(list(request.arguments)).mentions)
    return parser, config


def without_replaced(request: Request) -> Config:
    """The request's configuration without the classes that its arguments replace by others.

    The parser would hand the old class's settings on to the new one wherever their names agree.
    """
    config = {
        section: dict(values) if isinstance(values, dict) else values for section, values in request.defaults.items()
    }
    line = CommandLine(list(request.arguments))
    for section, values in config.items():
        for key, value in list(values.items()) if isinstance(values, dict) else ():
            if isinstance(value, dict) and "class_path" in value:
                for name in line.values(f"--{section}.{key}"):
                    if name.rpartition(".")[2] != value["class_path"].rpartition(".")[2]:
                        values[key] = None
    return config


def _leaves(config: Config, parser: Parser, prefix: str = "") -> Iterator[tuple[str, Any]]:
    known = {action.dest for action in actions_of(parser)}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and (name not in known or name in SECTIONS):
            yield from _leaves(value, parser, f"{name}.")
        else:
            yield name, value


def check_keys(config: Config, parser: Parser) -> None:
    """Refuse settings of a configuration file that no option has."""
    known = {action.dest for action in actions_of(parser)}
    for name, value in _leaves(config, parser):
        if name not in known:
            raise UsageError(f"{name}: no such setting{did_you_mean(name, known)}")
        if name in SECTIONS and value is not None:
            raise UsageError(f"{name}: expected a section of settings, got {value!r}")


def check_ranges(config: Namespace, parser: Parser) -> None:
    """Refuse values that are out of range, which the libraries would accept silently or fail on late."""
    save_every(config.save_every)
    pick_loggers(config.logger)
    for option, value in config.model.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--model.{option}: expected a finite number, got {value}")
        if isinstance(value, int) and not isinstance(value, bool) and value < 1 and parser.is_count(f"model.{option}"):
            raise UsageError(f"--model.{option}: expected at least 1, got {value}")
    counts = ("max_epochs", "max_steps", "min_epochs", "min_steps", "log_every_n_steps", "accumulate_grad_batches")
    for option in (*counts, "check_val_every_n_epoch", "num_nodes"):
        value = config.trainer.get(option)
        if value is not None and value < 1 and not (option == "max_steps" and value == -1):
            raise UsageError(f"--trainer.{option}: expected at least 1, got {value}")
    interval = config.trainer.get("val_check_interval")
    if isinstance(interval, int | float) and not interval > 0:
        raise UsageError(f"--trainer.val_check_interval: expected a positive number, got {interval}")
    check_devices(config.trainer.get("accelerator"), config.trainer.get("devices"))
    gradient = config.trainer.get("gradient_clip_val")
    if gradient is not None and not gradient > 0:
        raise UsageError(f"--trainer.gradient_clip_val: expected a positive number, got {gradient}")
    optimizer = config.model.get("optimizer")
    rate = optimizer.init_args.get("lr") if optimizer and optimizer.get("init_args") else None
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise UsageError(f"--model.optimizer.lr: expected a positive number, got {rate}")
    for unit in ("epochs", "steps"):
        minimum, maximum = config.trainer.get(f"min_{unit}"), config.trainer.get(f"max_{unit}")
        if minimum is not None and maximum not in (None, -1) and minimum > maximum:
            raise UsageError(f"--trainer.min_{unit} {minimum} and --trainer.max_{unit} {maximum} contradict each other")


def save_every(text: str) -> SaveEvery:
    """The interval of `--save_every`, such as `500 steps`, `10 minutes` or `0.5 minutes`.

    Raises:
        UsageError: it is anything else.
    """
    found = re.fullmatch(r"(\d+|\d*\.\d+) ?(steps?|minutes?)", text.strip())
    value = float(found[1]) if found else 0.0
    if not found or value == 0 or (found[2].startswith("step") and value % 1):
        raise UsageError(f"--save_every {text}: expected a number of steps or minutes, such as `500 steps`")
    return SaveEvery(steps=int(value)) if found[2].startswith("step") else SaveEvery(seconds=60 * value)


def plain(value: Any) -> Any:
    """A parsed configuration as dictionaries, lists and scalars."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    for scalar in (bool, int, float):
        if isinstance(value, scalar):
            return scalar(value)  # the parser has types of its own, such as NonNegativeInt
    return value if value is None else str(value)


def resolved(request: Request, config: Namespace) -> Config:
    """The complete configuration in LightningCLI's form; `--config` with it repeats the run."""
    content = plain(config)
    if content["model"]["pretrained"] is None and "pretrained" not in constructor_arguments(class_at(request.model)):
        del content["model"]["pretrained"]  # not of the class
    return {
        "about": {"name": request.name},
        "seed_everything": content["seed_everything"],
        **({"logger": content["logger"]} if content["logger"] != LOGGERS else {}),
        "save_every": content["save_every"],
        "timeout": content["timeout"],
        "model": {"class_path": request.model, "init_args": content["model"]},
        "data": {"class_path": request.data, "init_args": content["data"]},
        "trainer": content["trainer"],
        **{name: content[name] for name in techniques(config)},  # a run without any does not mention them
    }

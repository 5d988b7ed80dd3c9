"""The command line of two concrete classes: their constructors' arguments are the options."""

from dataclasses import replace
from typing import Any, Literal

from jsonargparse import Namespace, set_parsing_settings
from jsonargparse.typing import NonNegativeInt, PositiveFloat
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.classes import class_at, class_of, constructor_arguments, default_of, linked
from scripts.cli.command_line.kept_options import asked, keep
from scripts.cli.command_line.parser import SECTIONS, Parser
from scripts.cli.command_line.ranges import check_ranges
from scripts.cli.command_line.recipes import Config, Request
from scripts.cli.command_line.spellings import short_forms
from scripts.cli.command_line.techniques import TECHNIQUES, techniques
from scripts.cli.command_line.trust import (
    allowed_by_user,
    check_names,
    check_parsed,
    check_words,
    only_trusted,
)
from scripts.cli.distributed.launch import settle_devices
from scripts.cli.errors import UsageError
from scripts.cli.run.pretrained import own_run

AUTO = "auto"  # a batch size that has to be found
Precision = Literal[
    "auto", "32", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64", "32-true", "64-true", "16", "bf16"
]
SPELLINGS = {"32-true": "32", "64-true": "64", "16": "16-mixed", "bf16": "bf16-mixed"}  # Lightning's further ones

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
SHOWN = {"logger": "tensorboard,csv", "pictures": True, "lang": "auto", "baselines": True}  # what a run shows
USUAL = {"max_epochs", "max_steps", "accelerator", "devices", "num_nodes", "strategy", "precision", "gradient_clip_val"}


def build_parser(request: Request) -> Parser:
    """A parser for the options of the request's model, its data and the trainer, with its values as defaults."""
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    model, data = class_of(request.model, LightningModule), class_of(request.data, LightningDataModule)
    parser = Parser(
        prog=f"fit.py --model {request.name}",
        usage="%(prog)s [options]",
        description=f"{request.name}: {request.about.get('summary', '')} {request.about.get('paper', '')}",
        epilog=short_forms(),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.model, parser.data = model, data
    parser.add_class_arguments(model, "model", skip=set(linked(model, data)), instantiate=False)
    of_model = parser.section("model", f"--model: {model.__name__}")
    if "pretrained" not in constructor_arguments(model):
        of_model.add_argument("--model.pretrained", type=str | None, default=None, help="an earlier run to start from")
    parser.add_class_arguments(data, "data", skip={"batch_size"}, instantiate=False)
    if "batch_size" in constructor_arguments(data):
        parser.section("data", f"--data: {data.__name__}").add_argument(
            "--data.batch_size",
            type=int | Literal["auto"] | None,
            default=default_of(data, "batch_size"),
            help="examples in a training step, of all processes together; null for the whole training split; auto for "
            "the largest power of two that fits into memory and leaves an epoch ten steps",
        )
    add_run_options(parser)
    for name, cls in TECHNIQUES.items():
        parser.add_class_arguments(cls, name, instantiate=False)
        parser.section(name, f"--{name}")
    parser.add_class_arguments(Trainer, "trainer", skip=TRAINER_SETTLED, instantiate=False)
    parser.section("trainer", "--trainer: Lightning's Trainer").add_argument(
        "--trainer.precision", type=Precision, default="auto", help="auto: bf16 where the hardware has it"
    )
    parser.integers_first()
    parser.set_defaults({"trainer.devices": 1})
    parser.hide(lambda name: name in SECTIONS)  # each would read a file
    return parser


def add_run_options(parser: Parser) -> None:
    """Add the options that are neither the model's nor the data's nor the Trainer's."""
    run = parser.add_argument_group("run")
    run.add_argument("--seed_everything", type=NonNegativeInt, default=0, help="seed of weights, order and noise")
    run.add_argument("--logs", type=str | None, default=None, help="folder of all runs; lightning_logs by default")
    run.add_argument(
        "--logger",
        type=str,
        default=SHOWN["logger"],
        help="destinations of logs: none, or some of csv, mlflow, tensorboard, wandb, separated by commas",
    )
    run.add_argument(
        "--pictures",
        "--logger.pictures",
        type=bool,
        default=True,
        help="show examples and results as pictures",
    )
    run.add_argument(
        "--lang",
        type=Literal["auto", "en", "zh"],
        default="auto",
        help="language of the report: English or Chinese; auto for that of the system",
    )
    run.add_argument(
        "--baselines",
        type=bool,
        default=True,
        help="whether the test compares the model with classical methods, fitted to the training split in seconds",
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
    run.add_argument(
        "--schedule_tail",
        type=Literal["continue", "restart", "hold"] | None,
        default=None,
        help="where --resume gives a run more epochs, what its schedule does: continue over all of them, which is the "
        "default, restart over the further ones, or hold the learning rate",
    )
    run.add_argument("--allow", metavar="NAME", help="a module or class of your own that settings may name; repeat")
    run.add_argument(
        "--profile",
        action="store_true",
        help="print what training spends its time on, and leave a trace of ten steps in the run's folder",
    )
    run.add_argument("--debug", action="store_true", help="show the traceback of an error")
    run.add_argument("--print_config", action="store_true", help="print the resolved configuration and exit")
    run.add_argument("--check", action="store_true", help="show what is understood of the data and what may be wrong")
    run.add_argument("--help_all", action="store_true", help="show all options of the Trainer, too")


def parse(request: Request) -> tuple[Parser, Namespace]:
    """Parse the request's remaining arguments over its configuration.

    Raises:
        UsageError: an option is unknown, of the wrong type or out of range, or names a class that is not trusted.
    """
    help_asked = asked(request)
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
    stated = linked(class_of(request.model, LightningModule), class_of(request.data, LightningDataModule))
    for name in stated:  # settings of earlier versions that the data states now
        if (request.defaults.get("model") or {}).get(name, "") is None:
            del request.defaults["model"][name]
    parser = build_parser(request)
    parser.allowed = allowed
    options = parser.options()
    keep(request, options, stated)
    parser.keep_help = lambda text: keep(request, options, stated, {help_asked: text})
    if "--help_all" in request.arguments:
        request.arguments.append("--help")
    else:
        hidden = parser.hide(lambda name: name.startswith("trainer.") and name.removeprefix("trainer.") not in USUAL)
        parser.section("trainer", f"--trainer: Lightning's Trainer ({hidden} more options: --help_all)")
    for section in TECHNIQUES:
        if any(not value.startswith("{") for value in CommandLine(list(line.words)).values(f"--{section}")):
            options = [option for option in parser.options() if option.startswith(f"--{section}.")]
            instead = "; --resume RUN goes on with a run" if section == "checkpoint" else ""
            raise UsageError(f"--{section}: expected one of its options, such as {', '.join(options[:3])}{instead}")
    config = parser.read(request.defaults, [word for word in request.arguments if word != "--print_config"])
    if config.profile and config.trainer.profiler:
        raise UsageError("--profile and --trainer.profiler contradict each other; give one of them")
    config.print_config = "--print_config" in request.arguments
    check_parsed("", config, allowed)
    config.model.pretrained = own_run(config.model.pretrained) or config.model.pretrained
    if config.model.pretrained and "tokenizer" in config.data:
        config.data.tokenizer = config.model.pretrained  # a pretrained model reads no other tokens than its own
    config.trainer.precision = SPELLINGS.get(config.trainer.precision, config.trainer.precision)
    check_ranges(config)
    settle_devices(config, CommandLine(list(request.arguments)).mentions)
    return parser, config


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
        **{name: content[name] for name, default in SHOWN.items() if content[name] != default},
        "save_every": content["save_every"],
        "timeout": content["timeout"],
        "model": {"class_path": request.model, "init_args": content["model"]},
        "data": {"class_path": request.data, "init_args": content["data"]},
        "trainer": content["trainer"],
        **{name: content[name] for name in techniques(config)},  # a run without any does not mention them
    }

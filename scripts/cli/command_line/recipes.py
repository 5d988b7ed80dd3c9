"""Recipes: what `--model NAME` means. Read with no more than YAML, so that a listing needs no torch."""

import copy
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import DataError
from datamodules.files.encoding import SURROGATE
from datamodules.files.paths import file_or_folder, printable, regular, relative, user_path
from datamodules.storage.known_datasets import known_datasets
from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.resume_changes import MOVED, find_run
from scripts.cli.command_line.spellings import spelt_out, with_array_task
from scripts.cli.errors import UsageError, did_you_mean, misspelt

ROOT = Path(__file__).resolve().parents[3]
RECIPES = ROOT / "scripts" / "recipes"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster, where PyYAML has it

LARGEST = 100_000  # values in a configuration; thousands are many

Config = dict[str, Any]


@dataclass
class Request:
    """What a command line requests, before anything heavy is imported.

    Args:
        name: the recipe's name.
        model: class path of the LightningModule.
        data: class path of the LightningDataModule.
        defaults: `{"model": {...}, "data": {...}, "trainer": {...}, ...}`, the recipe and the files over it.
        arguments: the rest of the command line, for the parser of these two classes.
        about: the recipe's own section.
        resume: the folder of a run to resume.
        earlier: its configuration.
        words: the complete command line.
        given: what configuration files say, without the recipe.

    Raises:
        UsageError: the name is none, or an option is given twice.
    """

    name: str
    model: str
    data: str
    defaults: Config
    arguments: list[str] = field(default_factory=list)
    about: Config = field(default_factory=dict)
    resume: Path | None = None
    earlier: Config | None = None
    words: list[str] = field(default_factory=list)
    given: Config = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        self.arguments = spelt_out(self.arguments)

    def mentions(self, setting: str) -> bool:
        """Whether the user has given a setting, such as `data.batch_size`, as an option or in a file."""
        section, _, name = setting.partition(".")
        return CommandLine(self.arguments).mentions(f"--{setting}") or name in (self.given.get(section) or {})


def check_name(name: Any, where: str = "about.name") -> None:
    """Refuse a model's name that could not be a folder's, a job's and a word of a command line everywhere.

    Letters are those of any language. What Windows reserves, such as CON, its file system refuses by itself.

    Args:
        name: of a model.
        where: it is given, for the message.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(
            f"{where}: expected the name of a model: letters, digits, _, - and ., "
            f"of which - and . do not come first, got {name!r}"
        )


def recipe_names() -> list[str]:
    """Every name that `--model` accepts."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def read_yaml(path: Path, option: str = "--config") -> Config:
    """A YAML mapping from a file.

    Raises:
        UsageError: the file is missing, is not YAML (with the line), or is not a mapping.
    """
    try:
        if not path.exists():
            raise UsageError(f"{option} {path}: there is no such file")
        text = (path if is_inherited(path) else regular(path)).read_text(encoding="utf-8")
    except (DataError, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} {path}: not a readable text file ({error})") from None
    try:
        # The C one knows no lone surrogates, which represent in our files what is not UTF-8 in names.
        content = yaml.load(text, yaml.SafeLoader if SURROGATE.search(text) else Loader)
        size = size_of(content)
    except RecursionError:
        raise UsageError(f"{path}: nested too deeply, or within itself") from None
    except (yaml.reader.ReaderError, ValueError) as error:  # such as a control character, or an impossible date
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: not valid YAML: {error.problem or error.context}") from None
    if size > LARGEST:
        raise UsageError(f"{path}: its aliases make more than {LARGEST:,} values")
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected sections such as `model:` and `data:`, found {type(content).__name__}")
    return content


def dump(config: Config) -> str:
    """YAML in the order given."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def is_inherited(path: Path) -> bool:
    """Whether the path is an open file of this process: a shell's `<(command)` or `-`, which can be read once."""
    return str(path.absolute()).startswith(("/dev/fd/", "/dev/stdin", "/proc/self/fd/"))


def size_of(value: Any, known: dict[int, int] | None = None) -> int:
    """The number of values, with those of an alias counted each time that it is used.

    Raises:
        RecursionError: a value holds itself.
    """
    known = {} if known is None else known
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(size_of(part, known) for part in parts)
    return known[id(value)]


def read_recipe(name: str) -> Config:
    """The recipe of that name.

    Raises:
        UsageError: there is none; the message has the nearest name.
    """
    if name not in recipe_names():
        raise UsageError(f"--model {name}: no such model{did_you_mean(name, recipe_names())} (--list shows them all)")
    return read_yaml(RECIPES / f"{name}.yaml")


def merge(base: Config, over: Config) -> Config:
    """`base` with the values of `over` laid on it, section by section.

    A section that names another class replaces the old one: the settings of one optimizer mean nothing to another.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = value
        if isinstance(old, dict) and isinstance(value, dict):
            class_path = old.get("class_path")
            if value.get("class_path", class_path) == class_path:
                merged[key] = merge(old, value)
    return merged


def nested(flat: Config) -> Config:
    """`{"model.dropout": 0.5}` as `{"model": {"dropout": 0.5}}`."""
    tree: Config = {}
    for dotted, value in flat.items():
        *parents, last = dotted.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def sections(config: Config, where: str) -> tuple[Config, Config]:
    """Split a configuration in LightningCLI's form into the class paths it names and plain sections.

    `{"model": {"class_path": P, "init_args": {...}}}` becomes `{"model": P}` and `{"model": {...}}`.
    """
    paths: Config = {}
    plain: Config = {}
    for name, section in config.items():
        if name in ("model", "data"):
            if not isinstance(section, dict):
                raise UsageError(f"{where}: `{name}:` needs a class_path and init_args, found {section!r}")
            unknown = set(section) - {"class_path", "init_args"}
            if "class_path" not in section and unknown:
                plain[name] = section
                continue
            if unknown:
                raise UsageError(f"{where}: `{name}:` holds class_path and init_args only, found {min(unknown)}")
            if "class_path" in section:
                if not isinstance(section["class_path"], str):
                    raise UsageError(
                        f"{where}: {name}.class_path: expected a class's name, got {section['class_path']!r}"
                    )
                paths[name] = MOVED.get(section["class_path"], section["class_path"])
            plain[name] = section.get("init_args") or {}
            if not isinstance(plain[name], dict):
                raise UsageError(f"{where}: {name}.init_args: expected a section of settings, got {plain[name]!r}")
        elif name != "trainer" or section is not None:  # as an empty section reads
            plain[name] = section
    return paths, plain


def for_data(defaults: Config, about: Config, dataset: str | None, pretrained: bool) -> Config:
    """A recipe's settings with those for a data set, and those for pretrained weights, laid on them."""
    if dataset is not None:
        defaults = merge(defaults, nested(about.get("data", {}).get(dataset, {}).get("with", {})))
    return merge(defaults, nested(about.get("pretrained", {}))) if pretrained else defaults


def resolve(words: list[str]) -> Request:
    """Find the recipe, the data set and the configuration files that a command line names.

    Settings are merged in this order: the recipe, its settings for this data set, its settings for pretrained weights
    if any are requested, each `--config` file, and, later, the options.

    Raises:
        UsageError: a name is unknown, a file is missing or malformed, or two choices contradict each other.
    """
    line = CommandLine(with_array_task(list(words)))
    name = line.value("--model")
    files = [user_path(value, "--config") for value in line.values("--config")]
    resumed = line.value("--resume")
    resume = find_run(resumed) if resumed is not None else None
    if resume is not None and files:
        raise UsageError(
            f"--resume {resumed} and --config {files[0]} contradict each other: a run has its own settings"
        )
    if resume is not None:
        files = [resume / "config.yaml"]
    contents = [read_yaml(file, "--config" if resume is None else "--resume") for file in files]
    chosen = line.value("--data")
    spelt_out = line.value("--data.dataset")
    if chosen and spelt_out and chosen != spelt_out:
        raise UsageError(f"--data {chosen} and --data.dataset {spelt_out} contradict each other; give one")
    dataset = chosen or spelt_out

    given: Config = {}
    paths: Config = {}
    for file, content in zip(files, contents, strict=True):
        file_paths, plain = sections(content, str(file))
        paths |= file_paths
        described = plain.pop("about", None) or {}
        plain.pop("extended", None)  # how a run was made longer, which is of that run
        if not isinstance(described, dict):
            raise UsageError(f"{file}: about: expected a section with a name, found {described!r}")
        file_name = described.get("name")
        if file_name is not None:
            check_name(file_name)
        if name is not None and file_name not in (None, name):
            option, where = ("--config", file) if resume is None else ("--resume", resume)
            raise UsageError(f"--model {name} and {option} {where} (of model {file_name}) contradict each other")
        name = name or file_name
        given = merge(given, plain)
    if name is None:
        named = next((word for word in words if word in recipe_names()), None)
        meant = f"; did you mean --model {named}?" if named else ""
        raise UsageError(f"which model? Give --model NAME; --list shows them all{misspelt('--model', words) or meant}")

    about: Config = {}
    recipe_paths: Config = {}
    defaults: Config = {}
    if name in recipe_names() or not {"model", "data"} <= set(paths):
        recipe_paths, defaults = sections(read_recipe(name), f"recipe {name}")
        about = defaults.pop("about", {})
        for part in ("model", "data"):
            if paths.get(part, recipe_paths[part]) != recipe_paths[part]:
                raise UsageError(
                    f"--model {name} means {recipe_paths[part]}, but the configuration file says {paths[part]}"
                )
    paths = recipe_paths | paths

    dataset = dataset or given.get("data", {}).get("dataset") or defaults.get("data", {}).get("dataset")
    if dataset is not None:
        dataset = check_dataset(str(dataset), known_datasets(paths["data"]))
    pretrained = bool(given.get("model", {}).get("pretrained")) or line.mentions("--model.pretrained")
    defaults = for_data(defaults, about, dataset, pretrained)
    # A run has its own settings: a change of the recipe since then is not among them.
    config = given if resume is not None else merge(defaults, given)
    if dataset is not None:
        config = merge(config, {"data": {"dataset": dataset}})
    earlier = None if resume is None else copy.deepcopy(contents[0])
    return Request(name, paths["model"], paths["data"], config, line.words, about, resume, earlier, list(words), given)


def check_dataset(dataset: str, known: list[str]) -> str:
    """The known name or the existing path that `dataset` means, in its right spelling.

    Raises:
        UsageError: it is neither.
    """
    by_spelling = {name.lower(): name for name in known}
    if dataset.lower() in by_spelling:
        return by_spelling[dataset.lower()]
    path = user_path(dataset, "--data")
    if path.exists():
        file_or_folder(path, "--data")
        return str(path.resolve())  # a run repeated from another folder must find it again
    if path.parent != Path():
        raise UsageError(f"--data {dataset}: there is no such file or folder, and no data set of that name")
    names = ", ".join(known) if len(known) <= 12 else ", ".join([*known[:12], "…"])
    raise UsageError(
        f"--data {dataset}: neither a known data set nor an existing path{did_you_mean(dataset, known)} "
        f"(known here: {names})"
    )


def show_list() -> None:
    """Print every model with its task, default data, metric, expected score and time."""
    rows = [("model", "task", "data", "expected test score", "time", "")]
    for name in recipe_names():
        recipe = read_recipe(name)
        about = recipe.get("about") or {}
        dataset = ((recipe.get("data") or {}).get("init_args") or {}).get("dataset", "")
        expected = dict((about.get("data") or {}).get(dataset) or {})
        expected.pop("with", None)
        time = f"{expected.pop('seconds')} s" if "seconds" in expected else ""
        score = ", ".join(f"{metric} {value}" for metric, value in expected.items())
        shown = printable(relative(Path(dataset))) if "/" in str(dataset) else str(dataset)
        rows.append((name, str(about.get("task", "")), shown, score, time, str(about.get("summary", ""))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("\npython scripts/fit.py --model NAME [--data NAME_OR_PATH]; --model NAME --help shows a model's options")

"""New models, datamodules and tasks: the templates of scripts/templates/, copied under the name that the user gives."""

import importlib
import keyword
import re
from collections.abc import Callable
from pathlib import Path

from scripts.cli.command_line.recipes import ROOT
from scripts.cli.errors import UsageError, did_you_mean

TEMPLATES = Path("scripts/templates")


def task_names(root: Path = ROOT) -> list[str]:
    """Every name that `--task` accepts."""
    return sorted(path.stem for path in (root / TEMPLATES / "models").glob("*.yaml"))


def new_model(name: str, task: str | None, data: str | None = None, root: Path = ROOT) -> str:
    """Write a model and its recipe.

    Args:
        name: of the model's module and recipe.
        task: one of `task_names`.
        data: the module of a datamodule, or module and class; the template's by default.
        root: the project's folder.

    Returns:
        The files that were written and the next command.

    Raises:
        UsageError: a name is invalid, taken or unknown.
    """
    check_module_name(name)
    known = task_names(root)
    if task not in known:
        got = f"got {task}{did_you_mean(task, known)}" if task else "got none"
        raise UsageError(f"--task: expected one of {', '.join(known)}, {got}")
    recipe = template(root, f"models/{task}.yaml")
    if data is not None:
        recipe = on_data(recipe, *class_of_data(data))
    files = {
        f"lightning_modules/{name}.py": template(root, f"models/{task}.py"),
        f"scripts/recipes/{name}.yaml": recipe,
    }
    return written(root, files, {"NewModel": class_name(name), "new_model": name}, f"fit.py --model {name}")


def new_data(name: str, root: Path = ROOT) -> str:
    """Write a datamodule with an embedded data set, and an input for the tests of its predictions; see `new_model`."""
    check_module_name(name)
    example = f"tests/inputs/{class_name(name)}/{name}.csv"
    files = {
        f"datamodules/{name}.py": template(root, "datamodules/new_data.py"),
        example: template(root, "datamodules/new_data.csv"),
    }
    names = {
        "NewData": class_name(name),
        "scripts.templates.datamodules.new_data": f"datamodules.{name}",
        "new_data": name,
    }
    return written(root, files, names, f"new.py model MODEL --task classification --data {name}")


def new_task(name: str, root: Path = ROOT) -> str:
    """Write a task and a template of its models; see `new_model`."""
    check_module_name(name)
    files = {
        f"lightning_modules/tasks/{name}.py": template(root, "tasks/new_task.py"),
        f"scripts/templates/models/{name}.py": template(root, "tasks/model.py"),
        f"scripts/templates/models/{name}.yaml": template(root, "tasks/model.yaml"),
    }
    place = f"lightning_modules.tasks.{name}"
    names = {"NewTask": class_name(name), "scripts.templates.tasks.new_task": place}
    return written(root, files, names, f"new.py model MODEL --task {name}")


WRITERS: dict[str, Callable[[str], str]] = {"data": new_data, "task": new_task}


def template(root: Path, path: str) -> str:
    """The content of a template."""
    return (root / TEMPLATES / path).read_text(encoding="utf-8")


def check_module_name(name: str) -> None:
    """Refuse what cannot be the name of a module.

    Raises:
        UsageError: the name is none.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(f"expected the name of a Python module, lowercase letters, digits and _, got {name}")


def class_name(name: str) -> str:
    """`my_model` as `MyModel`."""
    return "".join(part.capitalize() for part in name.split("_"))


def class_of_data(name: str) -> tuple[str, str]:
    """The class path of a datamodule, and its default data set.

    Raises:
        UsageError: there is no such datamodule, or several in the module.
    """
    from datamodules.base import DataModule  # imports torch
    from scripts.cli.command_line.classes import class_of, default_of

    module, _, chosen = name.partition(".")
    place = f"datamodules.{module}"
    try:
        found = vars(importlib.import_module(place))
    except ImportError as error:
        raise UsageError(f"--data {name}: cannot be imported ({error}); expected a module of datamodules/") from None
    here = {
        key
        for key, value in found.items()
        if isinstance(value, type) and issubclass(value, DataModule) and value.__module__ == place
    }
    if chosen not in here and (chosen or len(here) != 1):
        raise UsageError(f"--data {name}: expected one of {', '.join(f'{module}.{key}' for key in sorted(here))}")
    class_path = f"{place}.{chosen or here.pop()}"
    return class_path, default_of(class_of(class_path, DataModule), "dataset")


def on_data(recipe: str, class_path: str, dataset: str) -> str:
    """The recipe on another datamodule and data set."""
    recipe = re.sub(r"(?m)^(  data:\n    )\w+", rf"\g<1>{dataset}", recipe)
    section = f"data:\n  class_path: {class_path}\n  init_args:\n    dataset: {dataset}\n"
    return re.sub(r"(?m)^data:\n(?: .*\n)+", section, recipe)


def written(root: Path, files: dict[str, str], names: dict[str, str], following: str) -> str:
    """Write files in which names are replaced, and say what was written and which command comes next.

    Raises:
        UsageError: a file or a package of that name is there already, the template uses a class of that name, or the
            project is installed without a clone to write into.
    """
    if root == ROOT and not (root / "pyproject.toml").exists():
        raise UsageError(f"new: needs a clone of the project, to which it adds files; {root} is an installed package")
    classes = "|".join(new for old, new in names.items() if old.startswith("New"))
    for path, content in files.items():
        for taken in (root / path, (root / path).with_suffix("")):
            if taken.exists():
                raise UsageError(f"{taken.relative_to(root)} is there already; choose another name")
        if found := re.search(rf"\b(?:{classes})\b", content):
            raise UsageError(f"{path} needs another class {found[0]}; choose another name")
    old_names = re.compile("|".join(map(re.escape, names)))
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        with (root / path).open("x", encoding="utf-8", newline="\n") as file:
            file.write(old_names.sub(lambda found: names[found[0]], content))
    return "\n".join([*(f"wrote {path}" for path in files), f"next: python scripts/{following}"])


def new(words: list[str], task: str | None, data: str | None) -> None:
    """Write what a command line describes, and print the files and the next command.

    Args:
        words: `model`, `data` or `task`, and a name.
        task: of a new model.
        data: of a new model.

    Raises:
        UsageError: a name is invalid, taken or unknown, or an option belongs to something else.
    """
    if len(words) != 2 or words[0] not in ("model", *WRITERS):
        raise UsageError(f"expected model, {' or '.join(WRITERS)} and a name, got {' '.join(words) or 'none'}")
    what, name = words
    if what == "model":
        print(new_model(name, task, data))
    elif task or data:
        raise UsageError(f"--task and --data belong to a new model, not to a new {what}")
    else:
        print(WRITERS[what](name))

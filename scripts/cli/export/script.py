"""What stands beside an ONNX file, so that it can be used without torch and this project.

`model.json` says what goes in, how it is prepared, what comes out and what to do with it; `predict_onnx.py` does it.
"""

import ast
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from datamodules.export.exportable import ExportableModule
from lightning_modules.tasks.task import Task

MODEL, SCRIPT = "model.json", "predict_onnx.py"
PACKAGE = "scripts.cli.export.standalone."
PIP_NAMES = {"PIL": "pillow"}
ANSWERS = {"classes": "classes", "labels": "classes", "values": "values"}  # the module of an output's kind


def files_beside(file: Path, metadata: dict[str, str], network: ExportableModule) -> dict[Path, str]:
    """The files that belong beside an ONNX file, and their content; without the script where none is known.

    Where the folder describes another model already, their names begin with that of the ONNX file.
    """
    task = network.network
    output = task.output_facts() if isinstance(task, Task) else {}
    model = {
        "file": file.name,
        **{name: metadata[name] for name in ("recipe", "model")},
        "inputs": json.loads(metadata["inputs"]),
        "preprocessing": {"reads": network.reads} | network.preprocessing(),
        "output": {"name": network.output} | output,
    }
    prefix = f"{file.stem}_" if describes_another(file) else ""
    described = file.with_name(prefix + MODEL)
    beside = {described: json.dumps(model, ensure_ascii=False, indent=1) + "\n"}
    if network.reads and output:
        script = script_of(network.reads, ANSWERS.get(output["kind"], network.reads))
        beside[file.with_name(prefix + SCRIPT)] = script.replace(MODEL, described.name)
    return beside


def describes_another(file: Path) -> bool:
    """Whether the folder of an ONNX file has a description that is of another one, or not ours."""
    described = file.with_name(MODEL)
    if not described.exists():
        return file.with_name(SCRIPT).exists()
    try:
        content: Any = json.loads(described.read_text(encoding="utf-8"))
    except ValueError:
        return True
    return not isinstance(content, dict) or content.get("file") != file.name


def script_of(reads: str, answers: str) -> str:
    """A script of its own: `main`, and the modules that read the inputs and the output, in one file.

    Args:
        reads: the module with `examples`.
        answers: the module with `answers`, which may be the same.
    """
    names = _with_needed([reads, answers])
    modules = [ast.parse(source_of(name)) for name in (*names, "main")]
    described = [ast.get_docstring(module) for module in (modules[-1], modules[names.index(reads)])]
    bodies = [_body(name, module) for name, module in zip((*names, "main"), modules, strict=True)]
    head = '"""' + "\n\n".join(filter(None, described)) + '\n"""\n\n' + _imports(modules)
    return "\n\n\n".join([head, *bodies]) + "\n"


def source_of(name: str) -> str:
    """The source of a module of `standalone`."""
    return (Path(__file__).parent / "standalone" / f"{name}.py").read_text(encoding="utf-8")


def _with_needed(names: list[str]) -> list[str]:
    """The modules, each after those that it imports."""
    found: dict[str, None] = {}
    for name in names:
        imported = [node.module for node in _imports_in(ast.parse(source_of(name))) if isinstance(node, ast.ImportFrom)]
        own = [module.removeprefix(PACKAGE) for module in imported if module and module.startswith(PACKAGE)]
        found |= dict.fromkeys([*_with_needed(own), name])
    return [*found]


def _imports_in(module: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]


def _imports(modules: list[ast.Module]) -> str:
    """What the modules import from elsewhere, the standard library first."""
    plain: set[str] = set()
    named: dict[str, set[str]] = {}
    for node in (node for module in modules for node in _imports_in(module)):
        if isinstance(node, ast.Import):
            plain |= {f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in node.names}
        elif node.module and not node.module.startswith(PACKAGE):
            named.setdefault(node.module, set()).update(alias.name for alias in node.names)
    lines = {f"import {name}" for name in plain}
    lines |= {f"from {module} import {', '.join(sorted(names))}" for module, names in named.items()}
    groups: tuple[list[str], list[str]] = [], []
    for line in sorted(lines, key=lambda line: (line.startswith("from"), line)):
        groups[line.split()[1].partition(".")[0] not in sys.stdlib_module_names].append(line)
    own, others = ("\n".join(group) for group in groups)
    packages = " ".join(PIP_NAMES.get(name, name) for name in sorted({line.split()[1] for line in groups[1]}))
    lacking = f'except ImportError as error:\n    sys.exit(f"error: {{error}}; pip install {packages}")'
    return f"{own}\n\ntry:\n{textwrap.indent(others, '    ')}\n{lacking}"


def _body(name: str, module: ast.Module) -> str:
    """A module without its docstring and its imports."""
    last = max(node.end_lineno or 0 for node in _imports_in(module))
    return "\n".join(source_of(name).splitlines()[last:]).strip()

"""The Markdown that the GPU check ends with."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.gpu.parts import FAILED, PASSED, SKIPPED, Figures, Part


def table(machine: Figures, parts: Sequence[Part], seconds: float) -> str:
    """What was found, a table for each group, and at the end what failed."""
    texts = [heading(machine, seconds)]
    for group, columns in COLUMNS.items():
        of_group = [part for part in parts if part.group == group and part.status != SKIPPED]
        if of_group:
            texts.append(markdown(of_group, columns, machine))
    counts = {status: sum(part.status == status for part in parts) for status in (PASSED, FAILED, SKIPPED)}
    texts.append(", ".join(f"{count} {status}" for status, count in counts.items() if count))
    texts += [f"{part.status}: {part.title}: {part.reason}" for part in parts if part.status != PASSED]
    return "\n\n".join(texts) + "\n"


def heading(machine: Figures, seconds: float) -> str:
    """The machine."""
    line = f"torch {machine['torch']} on {machine['device']}, {seconds:.0f} s"
    if machine["gpus"]:
        line += f"; {machine['gpus']} GPU of {machine['memory'] / 1e9:.0f} GB"
        line += f", bf16 {machine['measured_tflops']:.0f} TFLOP/s, published {machine['published_tflops']}"
    return line


def markdown(parts: Sequence[Part], columns: dict[str, Callable[[Figures, Figures], str]], machine: Figures) -> str:
    """A row for each part; a cell is blank where its figure was not found."""
    rows = [["", "", *columns]]
    for part in parts:
        cells = [_cell(column, part.found, machine) for column in columns.values()]
        rows.append([part.title, f"{part.status} in {part.took:.0f} s", *cells])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{' --- |' * len(rows[0])}")
    return "\n".join(lines)


def _cell(column: Callable[[Figures, Figures], str], found: Figures, machine: Figures) -> str:
    try:
        return column(found, machine)
    except (KeyError, TypeError):
        return ""


def _equal(found: Figures, machine: Figures) -> str:
    if not found["unlike"]:
        return "equal"
    if found.get("unlike_deterministic") == []:
        return "equal with --trainer.deterministic warn"
    return f"{len(found['unlike'])} differ, such as {found['unlike'][0][:60]}"


def _formatted(name: str, form: str, scale: float = 1) -> Callable[[Figures, Figures], str]:
    return lambda found, machine: format(found[name] * scale, form)


def _fraction_of_peak(found: Figures, machine: Figures) -> str:
    return f"{found['tflops'] / (machine['published_tflops'] or machine['measured_tflops']):.1%}"


COLUMNS: dict[str, dict[str, Any]] = {
    "exactness": {
        "resumed": _equal,
        "largest difference": _formatted("difference", ".1e"),
        "of two unstopped runs": _formatted("difference_of_whole", ".1e"),
        "test.py's": _formatted("score", ".1e"),
        "predictions": _formatted("predictions", "d"),
        "as on a CPU": _formatted("as_on_cpu", ".0%"),
        "peak MB": _formatted("memory", ",.0f", 1e-6),
    },
    "techniques": {"resumed": _equal, "largest difference": _formatted("difference", ".1e")},
    "paths": {
        "resumed": _equal,
        "said": lambda found, machine: found["line"].replace("|", "/"),
    },
    "speed": {
        "batch": _formatted("batch_size", "d"),
        "examples a second": _formatted("examples_per_second", ",.0f"),
        "ms a step": _formatted("ms", ".2f"),
        "ms of a bare one": _formatted("bare_ms", ".2f"),
        "GPU idle": _formatted("gpu_idle", ".0%"),
        "TFLOP/s": _formatted("tflops", ".1f"),
        "of bf16 peak": _fraction_of_peak,
        "peak GB": _formatted("peak", ".2f", 1e-9),
    },
}

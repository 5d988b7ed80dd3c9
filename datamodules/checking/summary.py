"""What was understood of a data set, for a reader who knows what is in it."""

from dataclasses import dataclass, field

from datamodules.checking.text_table import shortened, table_lines, width_of
from datamodules.files.paths import printable

WIDTH = 100  # columns of a terminal
NAME = 24  # of a column
FEW_FACTS, FEW_CLASSES = 12, 10  # that the table of a run shows


@dataclass(frozen=True)
class Summary:
    """What was understood of a data set.

    Args:
        dataset: its name or path.
        facts: names of columns, or of other parts, and what is in them.
        sizes: examples of each split, and how it came about.
        classes: of each class, its examples in each split.
        examples: some training examples, each with its target.
    """

    dataset: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    sizes: dict[str, tuple[int, str]] = field(default_factory=dict)
    classes: dict[str, list[int]] = field(default_factory=dict)
    examples: list[tuple[str, str]] = field(default_factory=list)

    def text(self, complete: bool = False) -> str:
        """A table for a terminal.

        Args:
            complete: show all columns and classes, not only the first ones.
        """
        facts = self.facts if complete else self.facts[:FEW_FACTS]
        rows = [(shortened(name, NAME), text) for name, text in facts]
        if len(facts) < len(self.facts):
            rows.append(("", f"and {len(self.facts) - len(facts)} more; --check shows all"))
        by_cause: dict[str, list[str]] = {}
        for split, (size, cause) in self.sizes.items():
            by_cause.setdefault(cause, []).append(f"{size:,} {split}")
        rows.append(("splits", "; ".join(", ".join(sizes) + f" ({cause})" for cause, sizes in by_cause.items())))
        indent = max(width_of(name) for name, _ in rows)
        lines = [
            f"  {line}"
            for line in table_lines([(name, shortened(text, WIDTH - indent - 4)) for name, text in rows], right=False)
        ]
        if self.classes:
            lines += ["", *(f"  {line}" for line in self._class_lines(complete))]
        if self.examples:
            lines += ["", *(f"  {_arrow(example, target)}" for example, target in self.examples)]
        return "\n".join([f"{printable(self.dataset)}, as it was understood:", *lines])

    def _class_lines(self, complete: bool) -> list[str]:
        shown = [*self.classes] if complete else [*self.classes][:FEW_CLASSES]
        rows = [(shortened(name, NAME), *(f"{count:,}" for count in self.classes[name])) for name in shown]
        lines = table_lines([(f"{len(self.classes):,} classes", *self.sizes), *rows])
        return lines + [f"and {len(self.classes) - len(shown):,} more"] * (len(shown) < len(self.classes))


def _arrow(example: str, target: str) -> str:
    target = shortened(target, WIDTH // 2)
    return f"{shortened(example, WIDTH - 6 - width_of(target))} → {target}"

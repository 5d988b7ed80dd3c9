"""The protocol of a run's loggers: a file of this folder that implements it is a value of `--logger`."""

import importlib
import pkgutil
import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger as LightningLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from callbacks.run.run_folder import RunFolder


class Table(NamedTuple):
    """A table of texts.

    Args:
        header: one text a column.
        rows: of as many texts each.
        markdown: the same in Markdown.
    """

    header: list[str]
    rows: list[list[str]]
    markdown: str

    @classmethod
    def parse(cls, markdown: str) -> "Table | None":
        """The table that a text in Markdown consists of; None if there is anything else in it."""
        lines = markdown.strip().split("\n")
        if len(lines) < 2 or not re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", lines[1].strip()):
            return None
        header, *rows = (_cells(line.strip()) for line in (lines[0], *lines[2:]))
        return cls(header, rows, markdown) if header and {len(header)} >= {*map(len, rows)} else None


def _cells(line: str) -> list[str]:
    cells = re.findall(r"\|((?:\\.|[^|\\])*)(?=\|)", line)
    # before anything but punctuation a backslash is one, as in `true \ predicted`
    plain = (re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell).strip() for cell in cells)
    return [cell.replace("&lt;", "<").replace("&amp;", "&") for cell in plain]


class Logger(LightningLogger):
    """A destination of what a run logs; what a subclass does not override is discarded.

    Scalars come from Lightning by `log_metrics`, and `save` is called after them; everything else comes by the methods
    below. Only the first process logs. A run may be logged by several processes in turn: until it is stopped, and
    from when it is resumed.

    Args:
        run: the run's folder.
    """

    package: str | None = None  # that has to be installed, besides those that this project depends on

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.run = run

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have the first process alone log."""
        super().__init_subclass__(**kwargs)
        for name in ("log_metrics", "save", "finalize", "close"):  # which are called in every process
            if name in vars(cls):
                setattr(cls, name, rank_zero_only(vars(cls)[name]))

    @property
    def name(self) -> str:
        """The run's model."""
        return self.run.path.parent.name

    @property
    def version(self) -> str:
        """The name of the run's folder."""
        return self.run.path.name

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self.run.path)

    log_dir = save_dir

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: `begin` has the resolved configuration."""

    def check(self) -> None:
        """Refuse to begin where nothing could be logged; before the run has a folder.

        Raises:
            UserError: it says what is missing.
        """

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Log the settings, before the first training step of a run or of a resumed run.

        Args:
            settings: the resolved configuration as one flat table: numbers, texts and truth values.
            metrics: names of the metrics that runs are compared by; each is logged sooner or later.
        """

    def log_row(self, columns: dict[str, Any]) -> None:
        """Set the run's row in a table that compares runs; before `begin`.

        Args:
            columns: the model, the data, the seed, and the settings that the recipe has otherwise; of a resumed run
                the best value so far, too.
        """

    def log_usage(self, usage: dict[str, float], step: int) -> None:
        """Log speed and memory, which are not the same when a run is repeated; by default as scalars."""
        self.log_metrics(usage, step)

    def log_best(self, name: str, value: float, step: int) -> None:
        """Log the best value so far of the monitored metric."""

    def log_image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, (C, H, W), from 0 to 1."""

    def log_embedding(
        self, name: str, vectors: Tensor, labels: Sequence[str], images: Tensor | None, step: int
    ) -> None:
        """Log points in space, (N, D), each with a label and perhaps a thumbnail, (N, C, H, W) from 0 to 1."""

    def log_text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in Markdown."""

    def log_table(self, name: str, table: Table, step: int) -> None:
        """Log a table; by default as a text in Markdown."""
        self.log_text(name, table.markdown, step)

    def close(self) -> None:
        """End, when the run and its test have ended, or failed."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a resumed run needs, as plain types, and write what was logged so far."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Forget what was logged after the checkpoint was saved: a resumed run logs it again.

        Args:
            checkpoint: of this run; without this logger's entry, if it was not among the loggers then.
        """


def logger_classes() -> dict[str, type[Logger]]:
    """The loggers of this folder, each by the name of its file."""
    found = {}
    folder = importlib.import_module(str(__package__)).__path__
    for name in sorted({module.name for module in pkgutil.iter_modules(folder)} - {"logger", "remote"}):
        module = importlib.import_module(f"{__package__}.{name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Logger) and value.__module__ == module.__name__:
                found[name] = value
    return found


def pick_loggers(names: str) -> list[type[Logger]]:
    """The classes of the loggers that `--logger` names.

    Args:
        names: separated by commas, or `none`.

    Raises:
        ValueError: there is no such logger, or its package is not installed.
    """
    known, picked = logger_classes(), []
    for name in [] if names.strip() == "none" else dict.fromkeys(part.strip() for part in names.split(",")):
        if name not in known:
            raise ValueError(f"--logger {names}: expected none, or some of {','.join(known)}, got {name or 'no name'}")
        package = known[name].package
        if package is not None and find_spec(package) is None:
            raise ValueError(f"--logger {names}: needs the package {package}, which is not installed")
        picked.append(known[name])
    return picked


def loggers(names: str, run: RunFolder) -> list[Logger]:
    """The loggers of a run.

    Args:
        names: separated by commas, or `none`.
        run: the run's folder, whose path may be settled later.

    Raises:
        ValueError: there is no such logger, or its package is not installed.
    """
    picked = pick_loggers(names) or [Logger]  # LearningRateMonitor refuses a trainer without loggers
    return [cls(run) for cls in picked]


def shows(logger: Logger) -> bool:
    """Whether a logger keeps images, figures, texts or tables."""
    names = ("log_image", "log_text", "log_table", "log_embedding")
    return any(getattr(type(logger), name) is not getattr(Logger, name) for name in names)


def loggers_of(trainer: Trainer) -> list[Logger]:
    """The trainer's loggers that follow this protocol; none but in the first process."""
    return [logger for logger in trainer.loggers if trainer.is_global_zero and isinstance(logger, Logger)]

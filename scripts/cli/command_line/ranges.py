"""Values that are out of range, which the libraries would accept silently or fail on late."""

import math
import re

from jsonargparse import Namespace

from callbacks.loggers.logger import pick_loggers
from callbacks.run.checkpoints import SaveEvery
from scripts.cli.distributed.devices import check_devices
from scripts.cli.errors import UsageError


def check_ranges(config: Namespace) -> None:
    """Refuse such values.

    Raises:
        UsageError: the message names the option.
    """
    save_every(config.save_every)
    pick_loggers(config.logger)
    for option, value in config.model.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"--model.{option}: expected a finite number, got {value}")
    counts = ("max_epochs", "max_steps", "min_epochs", "min_steps", "log_every_n_steps", "accumulate_grad_batches")
    for option in (*counts, "check_val_every_n_epoch", "num_nodes"):
        value = config.trainer.get(option)
        if value is not None and value < 1 and not (option.startswith("max") and value == -1):
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

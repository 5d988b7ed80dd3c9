"""Values that are out of range, which the libraries would accept silently or fail on late."""

import math
import re
from typing import Any

from jsonargparse import Namespace

from callbacks.loggers.logger import pick_loggers
from callbacks.run.checkpoints import SaveEvery
from scripts.cli.distributed.devices import check_devices
from scripts.cli.errors import UsageError

MAX_SEED = 2**32 - 1  # numpy's


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
    sanity = config.trainer.get("num_sanity_val_steps")
    if sanity is not None and sanity < -1:
        raise UsageError(f"--trainer.num_sanity_val_steps: expected at least 0, or -1 for all, got {sanity}")
    if config.seed_everything > MAX_SEED:
        raise UsageError(f"--seed_everything: expected at most {MAX_SEED}, got {config.seed_everything}")
    for option in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"):
        check_share(option, config.trainer.get(option))
    check_share("overfit_batches", config.trainer.get("overfit_batches"))
    check_time(config.trainer.get("max_time"))
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


def check_share(option: str, value: Any) -> None:
    """Refuse what is neither a number of batches nor a share of them.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, int | float) and (value < 0 or (isinstance(value, float) and value > 1)):
        raise UsageError(f"--trainer.{option}: expected a number of batches, or a share from 0.0 to 1.0, got {value}")


def check_time(text: Any) -> None:
    """Refuse a duration that Lightning does not read, or in which nothing could be trained.

    Raises:
        UsageError: it is one.
    """
    if not isinstance(text, str):
        return
    parts = text.split(":")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts) or not any(map(int, parts)):
        raise UsageError(f"--trainer.max_time: expected days:hours:minutes:seconds, such as 00:01:30:00, got {text}")


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

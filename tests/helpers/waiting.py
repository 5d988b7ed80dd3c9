"""Waits for what other processes do."""

import time
from collections.abc import Callable


def soon(condition: Callable[[], object], seconds: float = 30) -> bool:
    """Whether a condition comes true within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True

"""Reading without Python's search for cycles of objects."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for cycles while rows are read: it would look at all that are there each time a quarter more are.

    Rows have no cycles. Of a million words of tagged sentences, reading took five sixths of its time for that.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

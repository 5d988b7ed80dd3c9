"""What shows a run's results does not end it: a failure there is told, and the run goes on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from datamodules.errors import UserError
from datamodules.files.paths import printable


@contextmanager
def not_fatal(what: str) -> Iterator[None]:
    """Say that something could not be shown, where that fails; what the user can correct is an error nevertheless.

    Args:
        what: it is, at the beginning of a sentence in the plural.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of data and models of any kind
        tell(what, error)


def tell(what: str, error: Exception) -> None:
    """Print the note."""
    text = " ".join(str(error).split())
    print(printable(f"note: {what} left out ({type(error).__name__}: {text})"), file=sys.stderr, flush=True)

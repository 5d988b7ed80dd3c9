"""Errors that the user can correct: reported in one line, without a traceback."""


class UserError(Exception):
    """Something that the user typed or supplied is wrong; the message says what was found and what is expected."""

    status = 2  # of the command line
    is_agreed = False  # whether all processes of a run raise it together


class DataError(UserError, ValueError):
    """A file or folder of data is invalid; the message says which, what was found and what is expected."""


class UnlikeDataError(DataError):
    """The processes of a run do not read the same data."""

    is_agreed = True


def check_probability(option: str, value: float) -> None:
    """Refuse an option of the data that is not a probability below 1.

    Raises:
        ValueError: it is not.
    """
    if not 0 <= value < 1:
        raise ValueError(f"--data.{option}: expected a probability from 0 to below 1, got {value}")

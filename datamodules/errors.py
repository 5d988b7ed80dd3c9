"""Errors that the user can mend: told in one line, without a traceback."""


class UserError(Exception):
    """Something that the user typed, supplied or can put right; the message says what was found and what is right."""


class DataError(UserError, ValueError):
    """A file or folder of data is not what it has to be; the message says which, what was found and what is right."""


class UnlikeDataError(DataError):
    """The processes of a run do not read the same data; raised in all of them."""


def check_probability(option: str, value: float) -> None:
    """Refuse a number of the data's options that is no chance below 1.

    Raises:
        ValueError: it is not.
    """
    if not 0 <= value < 1:
        raise ValueError(f"--data.{option}: expected a chance from 0 to below 1, got {value}")

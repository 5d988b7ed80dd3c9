"""What is wrong with the data, in words for the one who supplied it."""


class DataError(ValueError):
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

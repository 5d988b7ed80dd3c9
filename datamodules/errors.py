"""What is wrong with the data, in words for the one who supplied it."""


class DataError(ValueError):
    """A file or folder of data is not what it has to be; the message says which, what was found and what is right."""

"""Tables on the screen."""

from collections.abc import Collection, Sequence

from datamodules.checking.text_table import padded, width_of


def aligned(rows: Sequence[Sequence[str]], left: int | Collection[int] = 0) -> str:
    """Rows as lines of columns, each as wide as its widest cell.

    Args:
        rows: of as many cells each.
        left: indices of the columns that are aligned left, or the number of the first that are; the others are
            aligned right.
    """
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    at_left = range(left) if isinstance(left, int) else left
    return "\n".join(
        "  ".join(
            padded(cell, width, right=index not in at_left)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def megabytes(memory: float, gpu_memory: float) -> str:
    """Bytes on the host and, if there are any, on the GPU as a text."""
    return f"{memory / 1e6:,.0f} MB" + (f", GPU {gpu_memory / 1e6:,.0f} MB" if gpu_memory else "")

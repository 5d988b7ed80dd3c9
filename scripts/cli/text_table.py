"""Tables on the screen."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: int = 0) -> str:
    """Rows as lines of columns, each as wide as its widest cell.

    Args:
        rows: of as many cells each.
        left: number of columns that are aligned left; the others are aligned right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def megabytes(memory: float, gpu_memory: float) -> str:
    """Bytes on the host and, if there are any, on the GPU as a text."""
    return f"{memory / 1e6:,.0f} MB" + (f", GPU {gpu_memory / 1e6:,.0f} MB" if gpu_memory else "")

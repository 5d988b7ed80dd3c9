"""The length of blocks of successive examples, for bootstraps of examples that depend on each other."""

MIN_BLOCKS = 10  # of a series: fewer say too little about how much their means differ


def block_length(size: int, dependent: int) -> int:
    """The length of the blocks that are sampled of so many examples.

    Args:
        size: number of examples.
        dependent: successive examples that depend on each other; of less than ten such blocks, shorter ones are taken.
    """
    return max(1, min(dependent, size // MIN_BLOCKS))

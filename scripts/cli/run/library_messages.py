"""What libraries print of themselves, kept off the screen: a user can do nothing about it."""

import logging
import warnings

MESSAGES = (
    "The .*_dataloader. does not have many workers",  # the data is in memory: workers would slow it down
    "The number of training batches .* is smaller than the logging interval",  # points are counted over the run
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 says it to torch 2.14 and later
    "`torch.jit.script.*` is deprecated",  # torch_geometric 2.8, the same
    r"It is recommended to use `self.log\(.*sync_dist=True\)`",  # what is logged is synchronised already
    "The `srun` command is available",  # scripts/submit.py is the way there
    "Sparse CSR tensor support is in beta state",  # its results are tested against the dense formula
)


def quiet() -> None:
    """Silence the messages above, and what Lightning logs below a warning: hardware lists, advertisements."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.callbacks").setLevel(logging.INFO)  # of which a user has asked for
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # warns of a home that it cannot write its cache to
    for message in MESSAGES:
        warnings.filterwarnings("ignore", message=message)

"""What a notebook imports: `from scripts.experiment import Experiment`.

run = Experiment("gat", data="MUTAG", trainer={"max_epochs": 20}).fit()
run.results["test"]["accuracy"], run.model, run.predict("molecules"), run.folder
Experiment.load("lightning_logs/gat/version_0").predict("molecules")
"""

import scripts.cli  # noqa: F401 (before torch: it settles how torch's threads wait)
from scripts.cli.run.experiment import Experiment

__all__ = ["Experiment"]

"""The strategy of several processes."""

from typing import Any

import pytest
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.strategies import DDPStrategy

from scripts.cli.distributed.launch import pick_strategy
from scripts.cli.errors import UsageError

OPTIONS = {"devices": "2", "accelerator": "cpu", "num_nodes": 1, "precision": "32"}


@pytest.mark.parametrize(
    ("name", "looked_for"), [("auto", False), ("ddp", False), ("ddp_find_unused_parameters_true", True)]
)
def test_parameters_without_gradients_are_looked_for_where_that_is_asked_for(name: str, looked_for: bool) -> None:
    strategy: Any = pick_strategy({**OPTIONS, "strategy": name}, BoringModel(), timeout=60)
    assert type(strategy) is DDPStrategy
    assert strategy._ddp_kwargs["find_unused_parameters"] is looked_for


@pytest.mark.parametrize("name", ["ddp_spawn", "ddp_notebook", "ddp_fork_find_unused_parameters_true", "xla", "dp"])
def test_strategies_that_start_processes_in_other_ways_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"^--trainer.strategy {name}: expected one of auto, ddp,"):
        pick_strategy({**OPTIONS, "strategy": name}, BoringModel(), timeout=60)

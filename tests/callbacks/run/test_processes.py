"""What the processes of a run exchange."""

from importlib.util import find_spec, module_from_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from torch import distributed

from datamodules.errors import UnlikeDataError
from datamodules.tabular import TabularClassification


@pytest.fixture
def processes() -> ModuleType:
    """A copy of the module, which keeps its process group to itself."""
    spec = find_spec("callbacks.run.processes")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_data_is_compared_once_until_it_is_read_again(processes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    exchanged: list[Any] = []

    def gather(together: list[Any], mine: Any, group: Any) -> None:
        exchanged.append(mine)
        together[:] = [mine] * len(together)

    monkeypatch.setattr(distributed, "new_group", lambda **options: "group")
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    trainer: Any = SimpleNamespace(world_size=2)
    data = TabularClassification("iris")
    data.setup()
    for _ in range(2):
        processes.check_same_data(trainer, data)
    assert len(exchanged) == 1
    data.load_state_dict(data.state_dict())
    data.setup_test()  # other splits
    processes.check_same_data(trainer, data)
    assert len(exchanged) == 2


def test_data_that_differs_is_never_taken_for_compared(processes: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(together: list[Any], mine: Any, group: Any) -> None:
        together[:] = [mine, mine | {"column age": "other"} if isinstance(mine, dict) else f"{mine} of others"]

    monkeypatch.setattr(distributed, "new_group", lambda **options: "group")
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    data = TabularClassification("iris")
    data.setup()
    for _ in range(2):
        with pytest.raises(UnlikeDataError, match="process 1 has other data"):
            processes.check_same_data(SimpleNamespace(world_size=2), data)

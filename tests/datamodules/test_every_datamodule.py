"""What every datamodule promises, on the data that comes with it; a new one is tested unasked."""

from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.base import DataModule
from datamodules.storage.fingerprint import hash_object
from tests.helpers.all_datamodules import DATAMODULES, is_plain

FEW: dict[str, Any] = {"num_graphs": 60, "num_sentences": 300, "num_contexts": 200, "num_reviews": 300}  # if it can
EMBEDDED = [pytest.param(cls, name, id=f"{cls.__name__}-{name}") for cls in DATAMODULES for name in cls.embedded]


def created(cls: type[DataModule], name: str) -> DataModule:
    options = {option: value for option, value in FEW.items() if option in cls.__init__.__annotations__}
    return cls(name, batch_size=2, **options)


@pytest.mark.parametrize(("cls", "name"), EMBEDDED)
def test_the_promises_are_kept(cls: type[DataModule], name: str, tmp_path: Path) -> None:
    data = created(cls, name)
    data.prepare_data()
    data.setup()
    indices = torch.cat(list(data.splits))
    assert all(len(split) for split in data.splits)
    assert len(indices.unique()) == len(indices)
    provided = {attribute: hash_object(getattr(data, attribute)) for attribute in data.provides}

    assert is_plain(data.state_dict())
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other = created(cls, name)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    other.setup()
    assert {attribute: hash_object(getattr(other, attribute)) for attribute in other.provides} == provided
    assert other.changed_since(data.fingerprint, data.state_dict()) is None
    assert list(data.fingerprint) == list(other.fingerprint)


def test_every_datamodule_has_data_without_a_network() -> None:
    assert {cls for cls in DATAMODULES if not cls.embedded} == set()
    assert len(DATAMODULES) > 9

"""What every baseline promises, on the data that comes with the project; a new one is tested unasked."""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from callbacks.run.baselines import batches_of, fitted_to
from datamodules.base import DataModule
from datamodules.storage.fingerprint import hash_object
from tests.helpers.all_datamodules import DATAMODULES

WITHOUT = ("Tagging", "Reading", "Preferences")  # their tasks' baselines need no fitting of their own
EMBEDDED = [
    pytest.param(cls, name, id=f"{cls.__name__}-{name}")
    for cls in DATAMODULES
    for name in cls.embedded
    if cls.__name__ not in WITHOUT
]


def is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(is_plain, value.values()))
    return isinstance(value, str | int | float | torch.Tensor) or (
        isinstance(value, list) and all(map(is_plain, value))
    )


@pytest.mark.parametrize(("cls", "name"), EMBEDDED)
def test_the_promises_are_kept(cls: type[DataModule], name: str, tmp_path: Path) -> None:
    data = cls(name)
    data.prepare_data()
    data.setup()
    assert data.baselines()
    for prefix, baseline in data.baselines().items():
        assert prefix.isidentifier()
        states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
        began = time.perf_counter()
        fitted, facts = fitted_to(baseline, data)
        assert time.perf_counter() - began < 10  # 5 on two cores that nothing else uses
        assert facts["examples"] == facts["of"] == len(data.splits.train)
        assert random.getstate() == states[0]
        assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]
        assert torch.equal(torch.get_rng_state(), states[2])
        assert is_plain(fitted)
        torch.save(fitted, tmp_path / "fitted.pt")
        read = torch.load(tmp_path / "fitted.pt", weights_only=True)
        batch = next(batches_of(data, data.splits.test))
        first = baseline.predictor(fitted)(batch)
        assert hash_object(baseline.predictor(read)(batch)) == hash_object(first)
        again, _ = fitted_to(data.baselines()[prefix], data)
        assert hash_object(baseline.predictor(again)(batch)) == hash_object(first)

"""What the tests on published data share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment


@pytest.fixture
def score(shared_data: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Train with these words and give the results; what is shared is only read."""

    def run(*words: str) -> dict[str, Any]:
        results = Experiment(resolve([*words, "--data.root", str(shared_data), "--logs", str(tmp_path)])).fit().results
        assert results is not None
        return results

    return run

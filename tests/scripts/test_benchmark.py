import re

import pytest

from scripts.benchmark import main
from scripts.cli import benchmark
from scripts.cli.recipes import recipe_names


@pytest.mark.long
@pytest.mark.parametrize("name", recipe_names())
def test_times_every_model_beside_a_plain_loop(name, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "STEPS", 4)
    monkeypatch.setattr(benchmark, "ROUNDS", 1)
    main(["--model", name])
    out = capsys.readouterr().out
    plain, trainer, ratio = map(float, re.search(r"ms a step +(\S+) +(\S+) +(\S+)", out).groups())
    assert plain > 0
    assert trainer / plain == pytest.approx(ratio, rel=0.1)
    assert "peak memory" in out

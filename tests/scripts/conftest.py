"""What the tests of scripts share."""

from typing import Any

import pytest


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a script with the words, which it must refuse with status 2; gives the one line."""

    def run(script: Any, *words: str) -> str:
        with pytest.raises(SystemExit) as stop:
            script(list(words))
        assert stop.value.code == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: ")
        return line.removeprefix("error: ")

    return run

"""A service that fails ends no run that has begun, and no other begins."""

import time
from pathlib import Path
from typing import Any

import pytest

from callbacks.loggers.remote import LoggerError, RemoteLogger
from callbacks.run.run_folder import RunFolder


class Service(RemoteLogger):
    """Fails while it is down, after some seconds."""

    package = "service"
    key = "service_id"
    is_down = False
    seconds = 0.0
    tried = 0
    clock: list[float]

    def arrive(self) -> None:
        """Fail, if it is down."""
        self.tried += 1
        if self.is_down:
            self.clock[0] += self.seconds
            raise RuntimeError("nobody\nanswers" * 500)

    def check(self) -> None:
        """Ask it."""
        self.arrive()

    def begin(self, settings: dict[str, Any], metrics: list[str]) -> None:
        """Log the settings."""
        self.arrive()

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log scalars."""
        self.arrive()

    def log_text(self, name: str, markdown: str, step: int) -> None:
        """Log a text."""
        self.arrive()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    logger: Any = Service(RunFolder(tmp_path))
    logger.clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: logger.clock[0])
    return logger


@pytest.mark.parametrize("call", ["check", "begin"])
def test_a_service_that_is_down_ends_a_run_before_its_first_step(call: str, service: Any) -> None:
    service.is_down = True
    with pytest.raises(LoggerError, match=r"^--logger service: nobody answers") as caught:
        service.check() if call == "check" else service.begin({}, [])
    assert len(str(caught.value)) < 800


def test_a_run_that_has_begun_goes_on_without_it(service: Any, capsys: pytest.CaptureFixture[str]) -> None:
    service.check()
    service.begin({}, [])
    service.is_down = True
    for _ in range(3):  # refused at once, so each is tried
        service.log_metrics({"loss": 1.0}, 0)
    service.log_text("a", "b", 0)
    assert service.tried == 6
    service.is_down = False
    service.log_metrics({"loss": 1.0}, 1)
    service.close()
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[:2] for line in said] == [["note", " --logger service"]] * 2
    assert said[0].endswith("; the run goes on, and what cannot be logged there is left out")
    assert said[1] == "note: --logger service: 4 calls have failed, so not everything is logged there"


def test_a_service_that_lets_a_run_wait_is_seldom_tried(service: Any) -> None:
    service.begin({}, [])
    service.is_down, service.seconds = True, 10.0
    for _ in range(1000):  # a step takes a second
        service.clock[0] += 1
        service.log_metrics({"loss": 1.0}, 0)
    assert service.tried == 1 + 5
    assert service.missed == 1000


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("mlp/version_0", "mlp/version_0"), ("mlp/sweep_0/trial_1/mlp/version_0", "sweep_0/trial_1/mlp/version_0")],
)
def test_a_trial_is_told_from_the_others(folder: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert Service(RunFolder(tmp_path / folder)).run_name == expected

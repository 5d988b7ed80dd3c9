"""The GPU check's own machinery, and its small form on the CPU: so it is ready when there is a GPU."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.cli.command_line.recipes import ROOT
from tests.gpu.__main__ import parts_of
from tests.gpu.one_process_fsdp import _alone, picked_alone
from tests.gpu.parts import FAILED, PASSED, SKIPPED, Figures, Part, Stage, run_all
from tests.gpu.speed import busy_seconds
from tests.gpu.table import table


def gives(folder: Path, found: Figures) -> Figures:
    return {"count": found.get("count", 0) + 1}


def breaks(folder: Path, found: Figures) -> Figures:
    raise ValueError("what went wrong")


def hangs(folder: Path, found: Figures) -> Figures:
    subprocess.Popen(["sleep", "60"])
    time.sleep(60)
    return {}


def dies(folder: Path, found: Figures) -> Figures:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def ran(parts: list[Part], folder: Path, seconds: float = 30) -> list[str]:
    said: list[str] = []
    run_all(parts, folder, time.monotonic() + seconds, 2, said.append)
    return said


def test_a_part_that_fails_hangs_or_dies_ends_no_other(tmp_path: Path) -> None:
    parts = [
        Part("paths", "breaks", [Stage(breaks)]),
        Part("paths", "hangs", [Stage(hangs)], seconds=0.5),
        Part("paths", "dies", [Stage(dies)]),
        Part("paths", "killed", [Stage(gives), Stage(dies, -signal.SIGKILL), Stage(gives)]),
    ]
    said = ran(parts, tmp_path)
    assert [part.status for part in parts] == [FAILED, FAILED, FAILED, PASSED]
    assert parts[3].found == {"count": 2}
    assert any(line.endswith("| ValueError: what went wrong") for line in said)
    assert parts[1].reason.startswith("not done after")
    text = table({"torch": "2", "device": "cpu", "gpus": 0}, parts, 1)
    assert "1 passed, 3 FAILED" in text


def test_what_has_no_time_left_is_skipped_and_what_is_timed_is_alone(tmp_path: Path) -> None:
    parts = [Part("speed", str(index), [Stage(gives)], alone=index == 1) for index in range(3)]
    spans = {}

    def say(line: str) -> None:
        spans[line.split()[1]] = [part.status for part in parts]

    run_all(parts, tmp_path, time.monotonic() + 30, 2, say)
    assert spans["speed/0"] == [PASSED, SKIPPED, SKIPPED]  # the others had not ended
    assert spans["speed/1"] == [PASSED, PASSED, SKIPPED]
    late = [Part("speed", "late", [Stage(gives)])]
    run_all(late, tmp_path, time.monotonic() - 1, 2, say)
    assert late[0].status == SKIPPED


def test_time_in_which_a_gpu_does_two_things_counts_once() -> None:
    def event(start: float, end: float, device: str = "CUDA") -> Any:
        return SimpleNamespace(
            time_range=SimpleNamespace(start=start, end=end), device_type=SimpleNamespace(name=device)
        )

    events = [event(5, 7), event(0, 2), event(1, 3), event(1.5, 2), event(0, 9, "CPU")]
    assert busy_seconds(events) == pytest.approx(5e-6)


def test_every_recipe_is_killed_once_and_no_two_parts_share_a_folder() -> None:
    parts = parts_of({"gpus": 1}, small=False)
    titles = [part.title for part in parts]
    assert len(titles) == len(set(titles))
    killed = [part.name for part in parts if any(stage.ends == -signal.SIGKILL for stage in part.stages)]
    assert sorted(killed) == sorted(path.stem for path in (ROOT / "scripts" / "recipes").glob("*.yaml"))


@pytest.mark.long
def test_the_small_form_passes_on_a_cpu(tmp_path: Path) -> None:
    names = ["exactness/mlp", "speed/mlp", "speed/cnn", "speed/llm", "paths/fsdp_alone", "paths/more_devices"]
    command = [str(ROOT / ".ci" / "gpu"), "--cpu", "--small", "--jobs", "1", "--only", *names]
    environment = os.environ | {"OUT": str(tmp_path), "WHEELS": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "| exactness/mlp | passed" in ended.stdout
    assert ended.stdout.strip().endswith("6 passed")
    figures = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert figures["exactness/mlp"]["unlike"] == []
    assert figures["exactness/mlp"]["predictions"] == 5
    assert figures["speed/mlp"]["flops"] > 0
    assert (tmp_path / "gpu.md").read_text().strip() in ended.stdout


def test_what_the_script_for_fsdp_replaces_is_there() -> None:
    with picked_alone as replacement:
        assert replacement is _alone

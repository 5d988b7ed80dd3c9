"""The example for Kubernetes, as far as it can be held to something without a cluster."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import RECIPES, resolve

JOB = yaml.safe_load((RECIPES.parent / "kubernetes" / "pytorchjob.yaml").read_text())["spec"]
CONTAINERS = {
    name: replica["template"]["spec"]["containers"][0] for name, replica in JOB["pytorchReplicaSpecs"].items()
}


@pytest.fixture
def torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `torchrun` first on the path that says what it is given, and the folder of runs."""
    program = tmp_path / "torchrun"
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "runs"


def started(container: dict[str, Any], runs: Path) -> list[str]:
    """The words that the container's command runs torchrun with."""
    command = [*container["command"], *(word.replace("/runs", str(runs)) for word in container["args"])]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_there_is_a_process_for_each_gpu() -> None:
    assert set(CONTAINERS) == {"Master", "Worker"}
    for container in CONTAINERS.values():
        assert container["name"] == "pytorch"
        assert str(container["resources"]["limits"]["nvidia.com/gpu"]) == JOB["nprocPerNode"]


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_pod_begins_a_run_and_goes_on_with_it_when_it_comes_back(name: str, torchrun: Any) -> None:
    dashes, script, *words = started(CONTAINERS[name], torchrun)
    assert (dashes, script) == ("--", "scripts/fit.py")
    _, config = parse(resolve(words))
    assert config.logs == str(torchrun)
    run = torchrun / "resnet" / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    assert started(CONTAINERS[name], torchrun) == ["--", "scripts/fit.py", "--resume", str(run)]

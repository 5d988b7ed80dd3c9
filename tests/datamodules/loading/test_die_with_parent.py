import os
import signal
import subprocess
import sys

import pytest

from datamodules.loading import die_with_parent
from datamodules.loading.die_with_parent import LAUNCHER, is_alive, is_stopped
from scripts.cli.command_line.recipes import ROOT
from tests.helpers.waiting import soon

# Starts a process as Lightning does, which ends with this one, and says its id once it has asked for that.
PARENT = """
import os, subprocess, sys
child = os.environ | {"LOCAL_RANK": "1", sys.argv[2]: str(os.getpid())}
subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=child)
sys.stdin.read()
"""
CHILD = """
import os, time
from datamodules.loading import die_with_parent
die_with_parent.LINUX, die_with_parent.EVERY = %s, 0.1
die_with_parent.end_with_launcher()
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.needs("fork", "SIGKILL")
@pytest.mark.parametrize(("linux", "stopped"), [(True, False), (True, True), (False, False)])
def test_a_process_ends_when_the_one_that_started_it_is_killed(linux: bool, stopped: bool) -> None:
    if linux and not die_with_parent.LINUX:
        pytest.skip("only Linux does this")
    command = [sys.executable, "-c", PARENT, CHILD % linux, LAUNCHER]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        if stopped:
            os.kill(child, signal.SIGSTOP)
            assert soon(lambda: is_stopped(child))
        parent.kill()
    assert soon(lambda: not is_alive(child))


@pytest.mark.needs("fork", "SIGKILL")
@pytest.mark.parametrize("waited", [True, False])
def test_a_process_ends_at_once_where_the_one_that_started_it_is_gone_already(waited: bool) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | (0 if waited else os.WNOWAIT))  # a zombie in the latter case
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LOCAL_RANK": "1", LAUNCHER: str(dead.pid)}
    ended = subprocess.run([sys.executable, "-c", CHILD % True], env=environment, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGKILL, b"")
    dead.wait()


@pytest.mark.needs("fork", "SIGKILL")
def test_a_process_that_somebody_else_started_does_not_end_with_them() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LOCAL_RANK": "1"}
    environment.pop(LAUNCHER, None)
    shell = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
    reading, writing = os.pipe()
    subprocess.run([sys.executable, "-c", shell, CHILD % True], env=environment, stdout=writing, check=True)
    os.close(writing)
    with os.fdopen(reading) as said:
        child = int(said.readline())
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)

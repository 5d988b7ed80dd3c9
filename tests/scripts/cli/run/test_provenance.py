"""Commit, versions and machine are found out quietly, and at no cost to a run."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from scripts.cli.run.provenance import CODE, Commit, machine, provenance_table, versions

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def git(folder: Path, *words: str) -> str:
    """The output of git, whatever the user has configured."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    variables |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, env=variables, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone with a file in each folder of code, whose path has a space and Chinese."""
    root = tmp_path / "我的 project"
    for name in CODE:
        (root / name).mkdir(parents=True)
        (root / name / "code.py").write_text("1\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def answer_of(root: Path, seconds: float = 20.0) -> dict[str, Any] | None:
    """The answer, waited for."""
    with closing(Commit(root)) as commit:
        until = time.monotonic() + seconds
        while commit.is_asked and time.monotonic() < until:
            commit.answer()
        return commit.answer()


@needs_git
def test_the_commit_and_whether_the_code_has_changed_since(repository: Path) -> None:
    identifier = git(repository, "rev-parse", "HEAD")
    assert answer_of(repository) == {"id": identifier, "clean": True}
    (repository / "notes.txt").write_text("no code")
    (repository / "lightning_logs").mkdir()
    assert answer_of(repository) == {"id": identifier, "clean": True}
    (repository / "scripts" / "code.py").write_text("2\n")
    assert answer_of(repository) == {"id": identifier, "clean": False}
    git(repository, "checkout", "--", "scripts")
    (repository / "lightning_modules" / "own.py").write_text("a model that is not committed\n")
    assert answer_of(repository) == {"id": identifier, "clean": False}


@needs_git
def test_variables_of_git_do_not_lead_elsewhere(repository: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "--quiet")
    for name, value in {
        "GIT_DIR": tmp_path / "other" / ".git",
        "GIT_WORK_TREE": tmp_path,
        "GIT_INDEX_FILE": "x",
    }.items():
        monkeypatch.setenv(name, str(value))
    assert answer_of(repository) == {"id": git(repository, "rev-parse", "HEAD"), "clean": True}


@needs_git
def test_code_that_a_repository_around_it_does_not_contain_has_no_commit(repository: Path) -> None:
    installed = repository / "venv" / "site-packages"
    for name in CODE:
        (installed / name).mkdir(parents=True)
        (installed / name / "code.py").write_text("1\n")
    assert answer_of(installed) is None


@needs_git
def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "code.py").write_text("1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    assert answer_of(tmp_path) is None


@needs_git
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_the_repository_of_another_user_is_refused_in_silence(
    repository: Path, monkeypatch: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(repository))  # without a safe.directory
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    assert answer_of(repository) is None
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_a_repository_asks_nobody(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **options: pytest.fail("was asked"))
    assert answer_of(tmp_path) is None


@pytest.fixture
def git_that(tmp_path: Path, monkeypatch: Any) -> Iterator[Callable[[str], None]]:
    """Puts a program in git's place."""
    if sys.platform == "win32":
        pytest.skip("a shell script is no program here")

    def put(script: str) -> None:
        program = tmp_path / "bin" / "git"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return put  # type: ignore[return-value]


@pytest.mark.parametrize("script", ["exec sleep 600", "sleep 5 & exec sleep 600"])  # whose child has the pipe, too
def test_a_git_that_hangs_delays_nothing_and_is_ended(
    script: str, git_that: Callable[[str], None], tmp_path: Path
) -> None:
    git_that(script)
    (tmp_path / ".git").mkdir()
    others = psutil.Process().children()
    began = time.monotonic()
    commit = Commit(tmp_path)
    assert commit.answer() is None
    children = [child for child in psutil.Process().children() if child not in others]
    commit.close()
    assert time.monotonic() - began < 1
    assert children
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert commit.answer() is None


def test_a_git_that_cannot_be_run_or_fails_is_no_error(git_that: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    git_that("echo 'scripts/code.py\n# branch.oid 0123456789012345678901234567890123456789'; exit 128")
    assert answer_of(tmp_path) is None
    (tmp_path / "bin" / "git").write_bytes(b"\x7fELF nothing")
    assert answer_of(tmp_path) is None


def test_an_answer_without_end_of_lines_is_read_whole(git_that: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    lines = (
        "i=0; while [ $i -lt 9000 ]; do echo '1 .M N... a changed file'; i=$((i + 1)); done"  # more than a pipe holds
    )
    git_that(f"echo '# branch.oid {'a' * 40}'; {lines}")
    assert answer_of(tmp_path) == {"id": "a" * 40, "clean": False}


def test_versions_and_machine_are_plain() -> None:
    found = versions()
    assert found["python"] == sys.version.split()[0]
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    this = machine(torch.device("cpu"))
    assert {*this} == {"host", "system", "processor", "cores", "memory_gb", "devices"}
    assert this["cores"] >= 1
    assert this["memory_gb"] > 0.1
    assert this["devices"] == []
    assert machine(torch.device("mps"))["devices"] == ["mps"]


def test_the_table_says_what_is_not_known() -> None:
    facts: dict[str, Any] = {"commit": None, "versions": {"python": "3"}, "machine": {"host": "a\nb", "devices": []}}
    assert provenance_table(facts).splitlines()[2:] == [
        "| commit | not known |",
        "| python | 3 |",
        "| host | a\\x0ab |",
    ]
    facts["commit"] = {"id": "c" * 40, "clean": False}
    assert f"| commit | {'c' * 40}, and changes since |" in provenance_table(facts)

"""`--list --course` prints the pages of the course in their order, without importing torch."""

import subprocess
import sys

import pytest

from scripts import fit
from scripts.cli.command_line.course import course
from scripts.cli.command_line.recipes import ROOT


def test_it_prints_the_pages_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    fit.main(["--list", "--course"])
    header, *rows = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert header.split() == ["page", "command"]
    assert [row.split()[0] for row in rows] == [page.name for page in course()]
    assert all(row.endswith(page.command) for row, page in zip(rows, course(), strict=True))


def test_it_imports_no_torch() -> None:
    code = "import sys; from scripts import fit; fit.main(['--list', '--course']); sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


def test_it_needs_the_listing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        fit.main(["--course", "--model", "mlp"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: --course: it is an order of the listing; expected --list --course\n"

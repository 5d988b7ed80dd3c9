"""What stands on terminals of several widths, and in pipes, while real runs train, test, stop and fail."""

import re
import sys
from pathlib import Path

import pytest

from tests.helpers.fork_server import Forked, fit_as_program
from tests.helpers.stopping import LITTLE
from tests.helpers.terminal import Terminal, run_in

pytestmark = pytest.mark.long
RUNS = {
    "mlp": ["--trainer.max_epochs", "40"],
    "gcn": [],  # 200 epochs, in a second or two
    "lstm": ["--trainer.max_epochs", "3", "--trainer.val_check_interval", "0.5"],
    "gan": ["--trainer.max_epochs", "2", "--model.judge_steps", "60", "--model.hidden_size", "8"],
    "transformer": ["--trainer.max_epochs", "2", *LITTLE["datamodules.translation.Translation"]],
}
BAR = r"[━╸╺ ]{5,} +\d+/\d+ (\d+:\d\d|-:--) left(  \S+ [\d.e+-]+)*"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(
    ("name", "columns"),
    [
        *(("mlp", 60), ("mlp", 120), ("gcn", 60), ("lstm", 80), ("gan", 80), ("transformer", 120)),
    ],
)
def test_a_run_in_a_terminal(name: str, columns: int, tmp_path: Path) -> None:
    words = ["--model", name, *RUNS[name], "--trainer.accelerator", "cpu", "--logs", str(tmp_path)]
    status, terminal = run_in(columns, words)
    assert status == 0, "\n".join(terminal.lines)
    drawn = [line for line in terminal.last_lines if "/" in line and " left" in line]
    known = rf"(epoch \d+/\d+( validating)?|training the judge|checking|testing) {BAR}"
    assert drawn
    assert all(re.fullmatch(known, line) for line in drawn), drawn
    assert any(re.search("  loss ", line) for line in drawn)
    lines = terminal.lines
    assert not any(re.search(rf"{BAR}$", line) for line in lines)  # no bar is left
    staying = [line for line in lines if re.match(r"epoch \d+/\d+ ", line)]
    last = re.match(r"epoch (\d+)/\1 ", staying[-1])
    assert last, staying
    assert len(staying) < 25  # not each of 200 epochs
    assert any(" best " in line for line in staying)
    (best,) = [line for line in lines if line.startswith("best: ")]
    found = re.match(r"best:       epoch (\d+), (\S+) ", best)
    assert found
    marked = [line for line in staying if " best " in line][-1]
    assert marked.startswith(f"epoch {found[1]}/")
    assert found[2] in marked  # the monitored metric is not cut off
    assert any(line.startswith("ended:      after epoch ") for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(
    ("columns", "variables"),
    [
        (20, {"NO_COLOR": "1"}),
        (30, {"TERM": "dumb"}),
        (20, {"PYTHONIOENCODING": "ascii"}),
        (70, {"PYTHONIOENCODING": "gb18030"}),
    ],
)
def test_a_terminal_that_can_little(variables: dict[str, str], columns: int, tmp_path: Path) -> None:
    words = ["--model", "mlp", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu", "--logs", str(tmp_path)]
    status, terminal = run_in(columns, words, **variables)
    text = "\n".join(terminal.lines)
    assert status == 0, text
    assert "epoch 2/2" in text
    if "PYTHONIOENCODING" in variables:
        assert "━" not in "".join(terminal.last_lines)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_an_error_stands_whole_below_what_was_shown(tmp_path: Path) -> None:
    words = ["--model", "mlp", "--trainer.max_epochs", "9", "--trainer.accelerator", "cpu", "--logs", str(tmp_path)]
    status, terminal = run_in(80, [*words, "--model.optimizer", "SGD", "--model.optimizer.lr", "1e30"])
    assert status == 2
    lines = [line for line in terminal.lines if line]
    start = next(index for index, line in enumerate(lines) if line.startswith("error: "))
    assert "".join(lines[start:]).endswith("try a lower --model.optimizer.lr or --trainer.gradient_clip_val 1")
    assert not any(re.search(BAR, line) for line in lines)


@pytest.mark.parametrize("devices", ["1", "2"])
def test_a_log_has_plain_lines_once(devices: str, tmp_path: Path) -> None:
    words = ["--model", "lstm", "--trainer.max_epochs", "3", "--trainer.devices", devices, "--logs", str(tmp_path)]
    files = [tmp_path / "out.txt", tmp_path / "err.txt"]
    process = Forked(fit_as_program, [*words, "--trainer.accelerator", "cpu"], out=files[0], err=files[1])
    status = process.wait(300)
    out, log = (file.read_text(encoding="utf-8") for file in files)
    assert status == 0, log
    assert log.isascii()
    assert "\x1b" not in out + log
    told = [line for line in log.splitlines() if line.startswith("epoch ")]
    assert len({*told}) == len(told) > 1  # each once
    pattern = r"epoch (\d)/3  step (\d+) of \2  \d+:\d\d left  took [\d.]+ s  (best  )?loss [\d.]+  val/mse [\d.]+  .*"
    assert all(re.fullmatch(pattern, line) for line in told), told
    assert told[-1].startswith("epoch 3/3  ")
    assert out.count("ended: ") == 1


def test_the_terminal_of_the_tests_shows_what_a_terminal_does() -> None:
    terminal = Terminal(10)
    terminal.feed(b"first\r\nsecond")
    terminal.feed(b"\r\x1b[2Kthird")
    assert [line for line in terminal.lines if line] == ["first", "third"]
    assert "second" in terminal.last_lines

"""A run as a SLURM job: the script, and what is refused before anything is submitted."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import submit
from scripts.cli import slurm
from scripts.cli.command_line.options import parse, resolved
from scripts.cli.command_line.recipes import ROOT, Config, dump, resolve
from scripts.cli.errors import UsageError
from scripts.cli.shell import HIDDEN, quoted

NEITHER = ["--model", "mlp"]
CPUS = [*NEITHER, "--nodes", "2", "--tasks-per-node", "4", "--time", "30"]
GPUS = [*NEITHER, "--nodes", "2", "--gpus-per-node", "8", "--time", "04:00:00"]


def script_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    submit.main([*words, "--dry-run"])
    return capsys.readouterr().out


def read_by_sbatch(line: str) -> list[str]:
    """The options of a line of the script, split by the rules of SLURM's own parser (src/sbatch/opt.c).

    A backslash escapes what follows, within quotes of both types as outside of them; a # that is neither escaped nor
    quoted begins a comment; a line that contains hetjob or packjob belongs to another job.
    """
    assert not re.search("(?i)hetjob|packjob", line)
    options: list[str] = []
    current: str | None = None
    quote, escaped = "", False
    for letter in line.removeprefix("#SBATCH") + " ":
        if escaped or (quote and letter not in (quote, "\\")):
            current, escaped = (current or "") + letter, False
        elif letter == "\\":
            escaped = True
        elif quote or letter in "\"'":
            quote = "" if quote else letter
        elif letter == "#":
            break
        elif not letter.isspace():
            current = (current or "") + letter
        elif current is not None:
            options.append(current)
            current = None
    assert not quote
    return options


def directives(script: str) -> dict[str, str]:
    """The `#SBATCH` lines, read as sbatch reads them: up to the first command."""
    found = {}
    for line in script.split("\n"):
        if line.strip() and not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            (option,) = read_by_sbatch(line)
            name, _, value = option.removeprefix("--").partition("=")
            found[name] = value
    return found


def command(script: str) -> list[str]:
    """What is run by `srun`, as bash splits it."""
    line = next(line for line in script.splitlines() if line.startswith("srun "))
    done = subprocess.run(["bash", "-c", "srun() { printf '%s\\0' \"$@\"; }\n" + line], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        submit.main(list(words))
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    (line,) = err.strip().splitlines()
    return line


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `sbatch` first on the path that keeps what it is given in the folder, and answers as job 7."""
    program = tmp_path / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nprintf "%s" "$*" >"{tmp_path}/arguments"\ncat >"{tmp_path}/script"\necho "7;east"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "allocated", "trainer"),
    [
        (GPUS, ("2", "8", "8"), "2 8 gpu"),
        (CPUS, ("2", "4", None), "2 4 cpu"),
        (NEITHER, ("1", "1", "1"), "1 1 gpu"),
        ([*NEITHER, "--tasks-per-node=1"], ("1", "1", None), "1 1 cpu"),
        ([*NEITHER, "--gpus-per-node", "0", "--tasks-per-node", "2"], ("1", "2", None), "1 2 cpu"),
    ],
)
def test_tasks_and_devices_agree(
    capsys: pytest.CaptureFixture[str], words: list[str], allocated: tuple[str, str, str | None], trainer: str
) -> None:
    script = script_of(capsys, *words)
    said = directives(script)
    assert (said["nodes"], said["ntasks-per-node"], said.get("gpus-per-node")) == allocated
    options = command(script)[-6:]
    assert options[0::2] == ["--trainer.num_nodes", "--trainer.devices", "--trainer.accelerator"]
    assert " ".join(options[1::2]) == trainer


def test_the_job_is_signalled_to_save_and_is_requeued(capsys: pytest.CaptureFixture[str]) -> None:
    script = script_of(capsys, *GPUS)
    said = directives(script)
    assert said["time"] == "04:00:00"
    assert said["signal"] == "SIGUSR1@120"
    assert said["requeue"] == ""
    assert said["open-mode"] == "append"
    assert directives(script_of(capsys, *GPUS, "--grace", "300"))["signal"] == "SIGUSR1@300"


@pytest.mark.parametrize(
    ("status", "then", "requeued"),
    [(0, 0, False), (1, 1, False), (137, 137, False), (138, 0, True), (140, 0, True), (143, 0, True)],
)
@pytest.mark.parametrize("accepts", [True, False])
def test_a_run_that_was_stopped_is_requeued_and_one_that_failed_is_not(
    status: int, then: int, requeued: bool, accepts: bool
) -> None:
    stubs = f"srun() {{ return {status}; }}; scontrol() {{ echo scontrol $*; {'true' if accepts else 'false'}; }}\n"
    script = stubs + slurm.batch_script("mlp", [], slurm.Allocation())
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, env={**os.environ, "SLURM_JOB_ID": "7"}
    )
    assert done.returncode == (then if accepts else status)
    assert ("scontrol requeue 7" in done.stdout) == requeued
    assert not done.stderr


def test_the_job_shows_tracebacks_where_that_was_requested(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--debug" in script_of(capsys, *CPUS, "--debug")
    assert "--debug" not in script_of(capsys, *CPUS)


@pytest.mark.parametrize("words", [["--logger", "nonsense"], ["--averaging.decay", "2"], ["--save_every", "never"]])
def test_what_the_run_would_refuse_is_one_line_here(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        script_of(capsys, *CPUS, *words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: --")


def test_threads_are_as_many_as_cpus(capsys: pytest.CaptureFixture[str]) -> None:
    script = script_of(capsys, *GPUS, "--cpus-per-task", "6")
    assert directives(script)["cpus-per-task"] == "6"
    assert "--cpus-per-task=6" in command(script)
    assert "export OMP_NUM_THREADS=6" in script
    assert directives(script_of(capsys, *CPUS))["cpus-per-task"] == "1"
    assert "OMP_NUM_THREADS" not in script_of(capsys, *GPUS)


def test_every_word_arrives_as_it_was_typed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "it's 100% 数据 $HOME"
    here.mkdir()
    (here / "行 1.csv").write_text("a,的 值\n1,x\n2,y\n", encoding="utf-8")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "executable", str(here / "python 3"))
    words = ["--model", "mlp", "--data", "行 1.csv", "--data.target=的 值", "--logs", "运 行", "--tasks-per-node", "1"]
    script = script_of(capsys, *words)
    ran = command(script)
    assert ran[ran.index(str(here / "python 3")) + 1 :][:8] == [str(ROOT / "scripts" / "fit.py"), *words[:7]]
    said = directives(script)
    assert said["chdir"] == str(here)
    assert said["output"] == str(here).replace("%", "%%") + "/运 行/mlp/slurm-%j.out"
    assert not list(here.glob("运*"))  # nothing is created by a dry run


def test_what_the_job_runs_is_understood(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.cli.command_line.ranges.check_devices", lambda *_: None)  # there need be no GPU here
    ran = command(script_of(capsys, *GPUS, "--data.batch_size", "64", "--trainer.strategy", "ddp_spawn"))
    _, config = parse(resolve(ran[ran.index(str(slurm.FIT)) + 1 :]))
    assert (config.trainer.num_nodes, int(config.trainer.devices), config.trainer.strategy) == (2, 8, "ddp_spawn")
    assert config.data.batch_size == 64


def test_a_configuration_of_a_run_on_other_devices_can_be_submitted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("trainer: {accelerator: gpu, devices: 64, num_nodes: 3}\n")
    ran = command(script_of(capsys, *CPUS, "--config", str(tmp_path / "config.yaml")))
    assert ran[-6:] == ["--trainer.num_nodes", "2", "--trainer.devices", "4", "--trainer.accelerator", "cpu"]


@pytest.fixture
def run(tmp_path: Path) -> str:
    """The folder of a run on two nodes with four tasks each."""
    devices = ["--trainer.num_nodes", "2", "--trainer.devices", "4", "--trainer.accelerator", "cpu"]
    request = resolve([*NEITHER, *devices])
    folder = tmp_path / "mlp" / "version_0"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump(resolved(request, parse(request)[1])))
    return str(folder)


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["--nodes", "2", "--tasks-per-node", "2"], "--tasks-per-node 2 (was 4)"),
        (["--nodes", "1", "--tasks-per-node", "4"], "--nodes 1 (was 2)"),
        (["--nodes", "2", "--gpus-per-node", "4"], "--trainer.accelerator gpu (was cpu)"),
        ([], "--nodes 1 (was 2), --tasks-per-node 1 (was 4), --trainer.accelerator gpu (was cpu)"),
        (["--nodes", "2", "--tasks-per-node", "4", "--data.batch_size", "8"], "--data.batch_size 8 (was 32)"),
    ],
)
def test_what_would_not_resume_exactly_is_refused_before_it_waits_in_the_queue(
    capsys: pytest.CaptureFixture[str], sbatch: Path, run: str, words: list[str], changes: str
) -> None:
    line = refused(capsys, "--resume", run, *words)
    assert line == (
        f"error: the run would not be resumed exactly: {changes}; "
        f"give what it was, or --inexact to resume it all the same"
    )
    assert not (sbatch / "script").exists()
    assert "--inexact" in command(script_of(capsys, "--resume", run, *words, "--inexact"))


def test_a_run_resumes_with_the_size_that_it_had(capsys: pytest.CaptureFixture[str], run: str) -> None:
    words = ["--resume", run, "--nodes", "2", "--tasks-per-node", "4", "--save_every", "2 steps"]
    ran = command(script_of(capsys, *words))
    assert ran[-6:] == ["--trainer.num_nodes", "2", "--trainer.devices", "4", "--trainer.accelerator", "cpu"]


def test_further_options_of_sbatch(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--partition", "gpu", "--sbatch", "exclusive", "--sbatch=--comment=a b", "--sbatch", "array=0-3"]
    said = directives(script_of(capsys, *GPUS, *words))
    assert said["partition"] == "gpu"
    assert said["exclusive"] == ""
    assert said["comment"] == "a b"
    assert said["array"] == "0-3"


@pytest.mark.parametrize("words", [GPUS, CPUS, [*GPUS, "--sbatch=exclusive", "--data.target", "a\nb'c"]])
def test_bash_can_read_the_script(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    done = subprocess.run(["bash", "-n"], input=script_of(capsys, *words), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


HOSTILE = [
    "$(touch mark)",
    "`touch mark`",
    "'; touch mark; '",
    '"; touch mark; "',
    "a'b\"c",
    "; touch mark #",
    "&& touch mark",
    "| touch mark",
    "> mark",
    "a\ntouch mark\n",
    "\n#SBATCH --output=mark\n#PBS -o mark\n",
    "\r\ntouch mark",
    "$'\\n' \\",
    "a\\",
    "\\'; touch mark",
    "%j %x %%",
    "#SBATCH --wrap=mark",
    "~root",
    "*",
    "{a,b}",
    "-rf",
    "!touch",
    "$HOME ${IFS}",
    "  spaces\t and tabs  ",
    "猫 的　数据",
    "\x1b]0;title\x07\x85\u2028\u202e\u2066",
    "字\udcb0\udca1.csv",
    "",
]


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `srun`, `scontrol` and `sbatch` come first and write down, each in a file, what they are given."""
    for name, status in (("srun", 143), ("scontrol", 0), ("sbatch", 0)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f'#!/bin/bash\n[ {name} != sbatch ] || cat >"{tmp_path}/script"\n'
            f'printf "%s\\0" "$@" >"{tmp_path}/{name}"\necho 7\nexit {status}\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7; touch mark")
    return tmp_path


def given(stub: Path) -> list[str]:
    return [os.fsdecode(word) for word in stub.read_bytes().split(b"\0")[:-1]]


@pytest.mark.parametrize("chosen", [HOSTILE, *([word] for word in HOSTILE)])
def test_a_script_runs_what_was_typed_and_nothing_else(
    chosen: list[str], stubs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = stubs / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    words = [part for word in chosen for part in ("--data.target", word, f"--x={word}")]
    script = os.fsencode(slurm.batch_script("mlp", words, slurm.Allocation(further=(("partition", "gpu"),))))
    done = subprocess.run(["bash"], input=script, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    options = ["--kill-on-bad-exit=0", f"--wait={slurm.STRAGGLE}"]
    assert given(stubs / "srun") == [*options, sys.executable, str(slurm.FIT), *words]
    assert given(stubs / "scontrol") == ["requeue", "7; touch mark"]
    assert not [*here.iterdir()]
    lines = [line for line in script.split(b"\n") if re.match(rb"#(SBATCH|PBS|BSUB)", line)]
    assert len(lines) == len(slurm.directives("mlp", slurm.Allocation(), here)) + 1


@pytest.mark.parametrize("word", [word for word in HOSTILE if word and not HIDDEN.search(word)])
def test_every_option_of_sbatch_arrives_as_it_was_typed(
    word: str, stubs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = stubs / f"my packJob {word}"
    here.mkdir()
    monkeypatch.chdir(here)
    further = (("partition", word), ("comment", f"a hetjob {word}"), ("exclusive", None))
    words = ["--logs", f"{stubs}/logs {word}".replace("\\", "")]
    script = slurm.batch_script("猫-1.0", words, slurm.Allocation(further=further))
    said = directives(script)
    assert said["job-name"] == "猫-1.0"
    assert (said["partition"], said["comment"], said["exclusive"]) == (word, f"a hetjob {word}", "")
    assert said["chdir"] == str(here)
    assert said["output"].replace("%%", "%") == f"{words[1]}/猫-1.0/slurm-%j.out"
    assert said["output"].replace("%%", "").count("%") == 1
    done = subprocess.run(["bash"], input=os.fsencode(script), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not [*here.iterdir()]


def test_what_is_submitted_is_what_is_shown_byte_for_byte(
    stubs: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = [*GPUS, "--logs", str(stubs / "logs"), "--data.target", "字\udcb0\udca1\n"]
    submit.main([*words, "--dry-run"])
    shown = capfdbinary.readouterr().out
    assert os.fsencode("字\udcb0\udca1") in shown
    submit.main(words)
    assert (stubs / "script").read_bytes() == shown
    assert given(stubs / "sbatch") == ["--parsable"]


@pytest.mark.parametrize("hidden", ["\x1b[2J", "a\x85b", "a\u2028b", "a\u202eb", "a\rb", "\x7f", "a\x00b"])
def test_no_line_of_a_script_hides_anything(hidden: str) -> None:
    with pytest.raises(UsageError, match="comment: expected one line of text without control characters"):
        slurm.directive("comment", hidden)


def test_a_line_break_is_refused_wherever_it_comes_from(
    capsys: pytest.CaptureFixture[str], stubs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "comment: expected one line" in refused(capsys, *NEITHER, "--sbatch=comment=a\n#SBATCH --output=mark")
    assert "output: expected one line" in refused(capsys, *NEITHER, "--logs", "logs\n#SBATCH --output=mark")
    (stubs / "a\nb").mkdir()
    monkeypatch.chdir(stubs / "a\nb")
    assert "chdir: expected one line" in refused(capsys, *NEITHER)
    assert not (stubs / "script").exists()


def test_a_folder_that_sbatch_cannot_name_is_refused(capsys: pytest.CaptureFixture[str], stubs: Path) -> None:
    assert "without a backslash" in refused(capsys, *NEITHER, "--logs", "a\\b")


@pytest.mark.parametrize("word", [word for word in HOSTILE if word])
def test_what_is_printed_to_be_copied_is_what_was_meant(word: str, tmp_path: Path) -> None:
    line = os.fsencode(f"printf '%s\\0' {quoted(word)}")
    assert line.count(b"\n") == 0
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, cwd=tmp_path)
    assert os.fsdecode(done.stdout) == f"{word}\0"
    assert not [*tmp_path.iterdir()]


NO_NAMES = [
    "a\n#SBATCH --output=mark",
    "../../up",
    "..",
    ".hidden",
    "a/b",
    "-rf",
    "a b",
    "a\u202eb",
    "a\x1b",
    "",
    3,
    ["a"],
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_configuration_names_no_line_and_no_folder_elsewhere(
    name: object, capsys: pytest.CaptureFixture[str], stubs: Path
) -> None:
    logs = stubs / "logs"
    content: Config = {"about": {"name": name}, "model": {"class_path": "lightning_modules.mlp.MLP"}}
    content["data"] = {"class_path": "datamodules.tabular.TabularClassification", "init_args": {"dataset": "iris"}}
    (stubs / "config.yaml").write_text(dump(content))
    words = ["--config", str(stubs / "config.yaml"), "--logs", str(logs)]
    line = refused(capsys, *words)
    assert "about.name: expected the name of a model" in line or (name == "" and "which model?" in line)
    assert not logs.exists()
    assert not (stubs / "script").exists()
    if isinstance(name, str):
        assert "the name of a model" in refused(capsys, "--model", name, *words)


@pytest.mark.parametrize("name", ["猫", "my_model-2.1", "_", "CON", "été"])
def test_names_of_any_language_are_names(name: str, capsys: pytest.CaptureFixture[str], stubs: Path) -> None:
    content: Config = {"model": {"class_path": "lightning_modules.mlp.MLP"}}
    content["data"] = {"class_path": "datamodules.tabular.TabularClassification", "init_args": {"dataset": "iris"}}
    (stubs / "config.yaml").write_text(dump(content))
    said = directives(script_of(capsys, "--model", name, "--config", str(stubs / "config.yaml")))
    assert said["job-name"] == name
    assert said["output"].endswith(f"/{name}/slurm-%j.out")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mlb"], "--model mlb: no such model; did you mean mlp?"),
        ([*GPUS, "--data", "nowhere"], "--data nowhere: neither a known data set nor an existing path"),
        ([*GPUS, "--model.hidden", "3"], "--model.hidden: no such option; did you mean --model.hidden_size?"),
        ([*NEITHER, "--node", "2"], "--node: no such option; did you mean --nodes?"),
        ([*NEITHER, "--gpu-per-node=2"], "--gpu-per-node: no such option; did you mean --gpus-per-node?"),
        ([*NEITHER, "--nodes", "0"], "--nodes: expected a whole number from 1 to 65535, got 0"),
        ([*NEITHER, "--nodes", "two"], "--nodes: expected a whole number from 1 to 65535, got two"),
        ([*NEITHER, "--nodes"], "--nodes needs a value"),
        ([*NEITHER, "--gpus-per-node", "-1"], "--gpus-per-node: expected a whole number from 0 to 65535, got -1"),
        ([*GPUS, "--nodes", "3"], "--nodes 2 and --nodes 3 contradict each other; give one"),
        (
            [*GPUS, "--tasks-per-node", "4"],
            "--gpus-per-node 8 and --tasks-per-node 4 contradict each other: a GPU has one task; give one",
        ),
        (
            [*GPUS, "--trainer.devices", "4"],
            "--trainer.devices 4 and --gpus-per-node (or --tasks-per-node) contradict each other",
        ),
        (
            [*GPUS, "--trainer.num_nodes=2"],
            "--trainer.num_nodes 2 and --nodes contradict each other; give --nodes only",
        ),
        (
            [*GPUS, "--trainer.accelerator", "cpu"],
            "--trainer.accelerator cpu and --gpus-per-node contradict each other",
        ),
        ([*NEITHER, "--time", "4h"], "--time: expected MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES:SECONDS"),
        ([*NEITHER, "--time", "1"], "--time 1 and --grace 120 contradict each other"),
        ([*NEITHER, "--time", "0:10:00", "--grace", "600"], "--time 0:10:00 and --grace 600 contradict each other"),
        ([*NEITHER, "--sbatch", "gres=gpu:4"], "--sbatch gres=gpu:4: gres is set by --gpus-per-node"),
        ([*NEITHER, "--sbatch=--no-requeue"], "--sbatch --no-requeue: no-requeue is set by submit.py itself"),
        ([*NEITHER, "--sbatch", "a b"], "--sbatch: expected NAME or NAME=VALUE"),
        ([*NEITHER, "--sbatch", "comment=a\nb"], "comment: expected one line of text"),
    ],
)
def test_refuses_in_one_line_and_submits_nothing(
    capsys: pytest.CaptureFixture[str], sbatch: Path, words: list[str], expected: str
) -> None:
    assert refused(capsys, *words).startswith(f"error: {expected}")
    assert not (sbatch / "script").exists()


@pytest.mark.parametrize(
    ("time", "length"),
    [("90", 5400), ("90:30", 5430), ("1:30:00", 5400), ("2-12", 216000), ("1-00:30", 88200), ("1-01:01:01", 90061)],
)
def test_time_limits_are_read_as_slurm_reads_them(time: str, length: int) -> None:
    assert slurm.seconds(time) == length


def test_submits_the_script_and_keeps_it_beside_the_output(capsys: pytest.CaptureFixture[str], sbatch: Path) -> None:
    words = [*GPUS, "--logs", str(sbatch / "logs")]
    script = script_of(capsys, *words)
    submit.main(words)
    assert (sbatch / "arguments").read_text() == "--parsable"
    assert (sbatch / "script").read_text() == script
    assert (sbatch / "logs" / "mlp" / "slurm-7.sh").read_text() == script
    out = capsys.readouterr().out
    assert out.startswith("job 7: mlp on 2 nodes with 8 GPUs each\n")
    assert "slurm-7.out" in out


def test_a_run_that_is_resumed_has_its_script_and_output_beside_it(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mlp" / "version_3"
    assert slurm.folder_of("mlp", ["--resume", str(run)]) == run.parent
    assert slurm.folder_of("mlp", ["--logs=runs"]) == Path.cwd() / "runs" / "mlp"
    assert slurm.folder_of("mlp", ["--model", "mlp"]) == ROOT / "lightning_logs" / "mlp"


def test_says_what_sbatch_says(capsys: pytest.CaptureFixture[str], sbatch: Path) -> None:
    (sbatch / "bin" / "sbatch").write_text('#!/bin/sh\necho "sbatch: error: invalid partition: fast" >&2\nexit 1\n')
    line = refused(capsys, *GPUS, "--logs", str(sbatch / "logs"))
    assert line == "error: sbatch refused the job: invalid partition: fast"
    assert not list((sbatch / "logs" / "mlp").iterdir())


def test_says_that_there_is_no_slurm(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(capsys, *GPUS).startswith("error: sbatch: no such command here; submit on a machine of the cluster")


def test_says_that_the_output_cannot_be_written(capsys: pytest.CaptureFixture[str], sbatch: Path) -> None:
    (sbatch / "taken").write_text("")
    line = refused(capsys, *GPUS, "--logs", str(sbatch / "taken"))
    assert line.startswith(f"error: --logs {sbatch / 'taken'}: cannot be written")
    assert not (sbatch / "script").exists()


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["--help"], 0, "--gpus-per-node"),
        (["--model", "mlp", "--help"], 0, "--gpus-per-node"),
        (["--list"], 0, "gat"),
        ([], 2, "--gpus-per-node"),
        (["--model", "mlb"], 2, "did you mean mlp?"),
        ([*NEITHER, "--nodes", "0"], 2, "--nodes"),
    ],
)
def test_answers_without_torch(words: list[str], status: int, expected: str) -> None:
    code = "import sys, runpy; sys.argv = ['submit.py', *sys.argv[1:]]\n"
    code += f"try: runpy.run_path({str(ROOT / 'scripts' / 'submit.py')!r}, run_name='__main__')\n"
    code += "finally: assert not {'torch', 'lightning', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert expected in done.stdout + done.stderr

"""Faults of the command line and of data, provoked through the whole program; each is numbered as the list has it."""

import csv
import ctypes
import errno
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.graphs import GraphClasses
from datamodules.storage.catalogue import Remote
from scripts.cli.command_line.recipes import RECIPES
from scripts.cli.run import files
from scripts.cli.run import folder as run_folder
from scripts.fit import main as fit
from scripts.predict import main as predict
from tests.helpers.archives import zipped

ROOT = RECIPES.parents[1]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs fit.py with the words, which it must refuse with status 2; gives the one line."""

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as stop:
            fit(list(words))
        assert stop.value.code == 2
        out, err = capsys.readouterr()
        assert len(err.strip().splitlines()) == 1, err
        assert err.startswith("error: ")
        assert out == ""
        return err.strip()

    return run


# 4. zero, negative or NaN
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data.batch_size", "nan"], "--data.batch_size: expected int or auto or null, got nan"),
        (["--trainer.max_epochs", "nan"], "--trainer.max_epochs: expected int or null, got nan"),
        (["--trainer.val_check_interval", "0"], "--trainer.val_check_interval: expected a positive number, got 0"),
        (["--trainer.val_check_interval", "-0.5"], "--trainer.val_check_interval: expected a positive number"),
        (["--trainer.check_val_every_n_epoch", "0"], "--trainer.check_val_every_n_epoch: expected at least 1, got 0"),
        (["--trainer.check_val_every_n_epoch", "-1"], "--trainer.check_val_every_n_epoch: expected at least 1, got"),
        (["--trainer.num_nodes", "0"], "--trainer.num_nodes: expected at least 1, got 0"),
        (["--trainer.devices", "0"], "--trainer.devices: expected at least 1, got 0"),
        (["--trainer.devices", "-7"], "--trainer.devices: expected at least 1, got -7"),
    ],
)
def test_numbers_that_no_run_can_have_are_refused(
    words: list[str], expected: str, refused: Any, tmp_path: Path
) -> None:
    assert expected in refused("--model", "linear_regression", "--logs", str(tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


# 9. more devices than there are
@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
def test_more_devices_than_there_are_shows_how_many(accelerator: str, refused: Any, tmp_path: Path) -> None:
    words = ["--trainer.accelerator", accelerator, "--trainer.devices", "9999", "--logs", str(tmp_path)]
    line = refused("--model", "linear_regression", *words)
    assert line.startswith("error: --trainer.devices 9999: expected at most ")
    assert f"{os.cpu_count()} CPU cores" in line
    if accelerator == "auto" and torch.cuda.is_available():
        assert f"{torch.cuda.device_count()} GPU" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "value"), [("gradient_clip_val", "1"), ("accumulate_grad_batches", "2")])
def test_what_a_model_with_two_optimizers_cannot_do_is_refused(
    option: str, value: str, refused: Any, tmp_path: Path
) -> None:
    line = refused("--model", "gan", f"--trainer.{option}", value, "--logs", str(tmp_path))
    assert line.startswith(f"error: --trainer.{option} {value}")
    assert "GAN steps its optimizers itself" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("devices", ["[0]", "0,1"])
def test_a_cpu_has_no_numbers_of_devices(devices: str, refused: Any, tmp_path: Path) -> None:
    words = ["--trainer.accelerator", "cpu", "--trainer.devices", devices, "--logs", str(tmp_path)]
    line = refused("--model", "linear_regression", *words)
    assert line.startswith("error: --trainer.devices ")
    assert "expected how many processes on a CPU, such as 1" in line


def test_a_model_without_an_optimizer_is_refused(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("model: {init_args: {optimizer: null}}\n")
    words = ["--config", str(tmp_path / "x.yaml"), "--logs", str(tmp_path / "logs")]
    line = refused("--model", "mlp", *words)
    assert line.startswith("error: --model.optimizer: expected an Optimizer of torch.optim")
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("section", ["trainer", "lora", "early_stopping", "compile"])
def test_a_section_without_settings_says_nothing(section: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "x.yaml").write_text(f"{section}:\n")
    shown = []
    for words in ([], ["--config", str(tmp_path / "x.yaml")]):
        fit(["--model", "linear_regression", *words, "--print_config"])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


# 50. a GPU asked for and none there
@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_that_is_not_there_is_told_with_what_is(
    accelerator: str, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is a GPU here")
    line = refused("--model", "linear_regression", "--trainer.accelerator", accelerator, "--trainer.devices", "8")
    expected = f"--trainer.accelerator {accelerator}: expected a device that is here: no GPU and {os.cpu_count()} CPU"
    assert expected in line


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("devices", ["99", "[0, 99]", "0,99"])
def test_a_gpu_past_the_last_is_told_with_those_that_are_there(devices: str, refused: Any) -> None:
    line = refused("--model", "linear_regression", "--trainer.accelerator", "gpu", "--trainer.devices", devices)
    assert f"{torch.cuda.device_count()} GPU" in line


MUTAG = {
    "MUTAG/MUTAG_A.txt": b"".join(b"%d, %d\n%d, %d\n" % (n, n + 1, n + 1, n) for n in range(1, 200, 2)),
    "MUTAG/MUTAG_graph_indicator.txt": b"".join(b"%d\n%d\n" % (n, n) for n in range(1, 101)),
    "MUTAG/MUTAG_graph_labels.txt": b"1\n-1\n" * 50,
}


def packed(link: str | None = None, **more: bytes) -> bytes:
    """The archive of MUTAG, with further members and a link perhaps."""
    return zipped(MUTAG | more, link, at="MUTAG/link")


def taped(**kind: Any) -> bytes:
    """A tar archive with a member that is no plain file below its folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo(kind.pop("name", "link"))
        for name, value in kind.items():
            setattr(member, name, value)
        archive.addfile(member)
    return content.getvalue()


# 14. a truncated archive; 25. a member with `..`, or a link
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (packed()[:-40], "a damaged archive"),
        (packed()[:100], "a damaged archive"),
        (b"", "a damaged archive"),
        (
            packed(None, **{"../../../outside.txt": b"out"}),
            "refused, since its member ../../../outside.txt would leave",
        ),
        (packed(None, **{"/tmp/outside.txt": b"out"}), "refused, since its member /tmp/outside.txt would leave"),
        (packed(link="/etc/passwd"), "refused, since its member MUTAG/link is a link"),
        (taped(name="../outside.txt"), "refused, since its member ../outside.txt would leave"),
        (taped(type=tarfile.SYMTYPE, linkname="../.."), "refused, since its member link is a link"),
        (taped(type=tarfile.LNKTYPE, linkname="/etc/passwd"), "refused, since its member link is a link"),
        (taped(type=tarfile.FIFOTYPE), "refused, since its member link is a link or a device"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # an archive's bytes have the time in them
)
def test_an_archive_that_is_damaged_or_reaches_outside(
    content: bytes, expected: str, refused: Any, tmp_path: Path
) -> None:
    root = tmp_path / "my data 数据"
    archive = root / "MUTAG" / "MUTAG.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(content)
    line = refused("--model", "gat", "--data", "MUTAG", "--data.root", str(root), "--logs", str(tmp_path / "logs"))
    assert line.startswith(f"error: {archive}: ")
    assert expected in line
    left = [path.name for path in tmp_path.rglob("*") if path.suffix != ".lock"]
    assert sorted(left) == ["MUTAG", "MUTAG.zip", "my data 数据"]


# 14. an archive that is not what its publisher states
def test_a_download_with_another_checksum_is_refused(
    refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path / "site"))

        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "MUTAG.zip").write_bytes(packed()[:-40])
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        remote = Remote(f"http://127.0.0.1:{server.server_port}/MUTAG.zip", "sha256:" + "0" * 64)
        monkeypatch.setattr(GraphClasses, "published", {"MUTAG": (remote,)})
        line = refused("--model", "gat", "--data", "MUTAG", "--data.root", str(tmp_path / "data"))
        server.shutdown()
    assert f"{remote.url}: the sha256 of what arrived is " in line
    assert "run again to download it anew" in line
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.suffix != ".lock"] == []


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address is asked for at a port of this machine where nobody answers."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


# 51. no network
@pytest.mark.parametrize(
    ("model", "dataset", "url"),
    [
        ("gat", "MUTAG", "https://www.chrsmrrs.com/graphkerneldatasets/MUTAG.zip"),
        ("cnn", "MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz"),
        ("gcn", "Cora", "https://github.com/kimiyoung/planetoid/raw/master/data/ind.cora.x"),
    ],
)
@pytest.mark.usefixtures("no_network")
def test_without_a_network_the_address_and_the_folder_are_told(
    model: str, dataset: str, url: str, refused: Any, tmp_path: Path
) -> None:
    line = refused("--model", model, "--data", dataset, "--data.root", str(tmp_path), "--logs", str(tmp_path / "logs"))
    assert line.startswith(f"error: cannot download {url} (")
    assert f"put the file into {tmp_path / dataset}" in line
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


@pytest.mark.usefixtures("no_network")
def test_without_a_network_what_is_there_is_used(tmp_path: Path) -> None:
    (tmp_path / "MUTAG").mkdir()
    (tmp_path / "MUTAG" / "MUTAG.zip").write_bytes(packed())
    words = ["--data", "MUTAG", "--data.root", str(tmp_path), "--data.batch_size", "10", "--trainer.max_epochs", "1"]
    fit(["--model", "gat", *words, "--logs", str(tmp_path / "logs")])
    assert (tmp_path / "logs" / "gat" / "version_0" / "results.json").is_file()


def without_privilege() -> None:
    """Have the program that is started next heed the permissions of files, although it is root's."""
    drop_from_bounding_set, dac_override = 24, 1  # of Linux's prctl.h and capability.h
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


# 52. an output folder that cannot be written
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="root's privileges are dropped in Linux's way")
@pytest.mark.long
def test_logs_that_may_not_be_written_are_refused_before_training(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    logs.chmod(0o555)
    words = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--model", "linear_regression", "--logs", str(logs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    forbid = without_privilege if os.geteuid() == 0 else None
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, preexec_fn=forbid)
    logs.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: --logs {logs}: cannot be written (Permission denied)")
    assert len(done.stderr.splitlines()) == 1
    assert list(logs.iterdir()) == []


# Shared machines. With real users, mounts and limits the same and more was tried; here the system's errors are made.
DENIALS = {
    "logs in a folder of another user": ("make_folder", errno.EACCES, "; give --logs, a folder that you may write"),
    "logs on a file system that is read-only": ("make_folder", errno.EROFS, "; give --logs, a folder that you may"),
    "logs beyond a quota": ("write_file", errno.EDQUOT, "config.yaml: "),
    "logs on a full disk": ("write_file", errno.ENOSPC, "config.yaml: "),
    "a limit of a file's size": ("write_file", errno.EFBIG, "config.yaml: "),
    "a server that is gone": ("write_file", getattr(errno, "ESTALE", errno.EIO), "config.yaml: "),
    "a lock that the server fails to give": ("Lock", errno.EIO, ".lock: "),
    "a lock that may not be opened": ("Lock", errno.EACCES, ".lock: "),
}


@pytest.mark.parametrize(("function", "code", "expected"), DENIALS.values(), ids=DENIALS)
def test_what_a_shared_machine_denies_is_one_line(
    function: str, code: int, expected: str, refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, *_: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(files if function == "write_file" else run_folder, function, denied)
    line = refused("--model", "linear_regression", "--logs", str(tmp_path))
    assert expected in line
    assert os.strerror(code) in line
    assert str(tmp_path) in line
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert left in ([], [".lock"]), "nothing half-written"


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC])
def test_predictions_that_may_not_be_written_are_one_line(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(["--model", "linear_regression", "--trainer.max_epochs", "1", "--logs", str(tmp_path)])

    def denied(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", denied)
    output = tmp_path / "predictions.csv"
    example = ["--example", ", ".join(["1"] * 10), "--output", str(output)]
    with pytest.raises(SystemExit) as stop:
        predict(["--checkpoint", str(tmp_path / "linear_regression" / "version_0"), *example])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {output}: {os.strerror(code)}"
    assert [path.name for path in tmp_path.iterdir()] == ["linear_regression"]


# 53. another working directory; 54. no $TMPDIR; 55. spaces and letters beyond ASCII
@pytest.mark.long
def test_the_same_result_from_another_folder_and_without_a_temporary_one(tmp_path: Path) -> None:
    table = tmp_path / "我的 tables" / "表 1.csv"
    table.parent.mkdir()
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("长 度", "类"), *((number % 7 + number % 2, "ab"[number % 2]) for number in range(90))]
        )
    results = []
    for folder, temporary in ((tmp_path, None), (table.parent, str(tmp_path / "is not there"))):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        environment |= {"TMPDIR": temporary} if temporary else {}
        command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--model", "mlp", "--trainer.max_epochs", "3"]
        command += ["--data", os.path.relpath(table, folder), "--logs", "记录 logs"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        result = json.loads((folder / "记录 logs" / "mlp" / "version_0" / "results.json").read_text(encoding="utf-8"))
        assert Path(result["best_checkpoint"]).is_file()
        results.append((result["test"], result["best"], result["data"]))
    assert results[0] == results[1]

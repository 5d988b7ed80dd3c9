"""Runs that start at the same moment: a folder each, and one download between them."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts import test as testing
from scripts.cli.command_line.recipes import RECIPES
from scripts.predict import main as predict

ROOT = RECIPES.parents[1]
CONTENT = b"0123456789" * 20_000
LINES = [
    "import sys, time",
    "from pathlib import Path",
    "{imports}",
    "print('ready', flush=True)",
    "sys.stdin.readline()",
    "{call}",
]


def at_once(count: int, imports: str, call: str) -> list[str]:
    """What each of several processes prints that import, wait for each other, and then call at the same moment."""
    code = "\n".join(LINES).format(imports=imports, call=call)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1", "PYTHONUTF8": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count, printed
    return [text.strip() for text in printed]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a slow web site that answers every path with the same, and the paths that were asked for."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            time.sleep(0.5)  # long enough for the others to come
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", requests
        server.shutdown()
        thread.join()


# 57. two and eight runs at the same moment
@pytest.mark.long
@pytest.mark.parametrize("count", [2, 8])
def test_processes_that_claim_at_once_get_a_folder_each(count: int, tmp_path: Path) -> None:
    logs = tmp_path / "记录 logs"
    call = f"for _ in range(5): print(claim(Path({str(logs)!r}), 'gat').name)"
    printed = at_once(count, "from scripts.cli.run.folder import claim", call)
    folders = [name for text in printed for name in text.split()]
    assert sorted(folders) == sorted(f"version_{number}" for number in range(5 * count))
    assert sorted(folders) == sorted(folder.name for folder in (logs / "gat").iterdir())


@pytest.mark.long
def test_runs_that_start_at_once_do_not_mix(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fit.py"), "--model", "linear_regression"]
    command += ["--logs", str(tmp_path), "--trainer.max_epochs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([*command, "--seed_everything", str(seed)], env=environment, stderr=subprocess.PIPE, text=True)
        for seed in (1, 2)
    ]
    errors = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    folders = sorted((tmp_path / "linear_regression").iterdir())
    assert [folder.name for folder in folders] == ["version_0", "version_1"]
    seeds = set()
    for folder in folders:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        assert Path(results["best_checkpoint"]).is_relative_to(folder)
        best = torch.load(next((folder / "checkpoints").glob("best*.ckpt")), weights_only=True)
        assert best["config"]["seed_everything"] == results["seed"]
        seeds.add(results["seed"])
        for kind in ("config.yaml", "metrics.csv"):
            assert len(list(folder.glob(kind))) == 1
        writers = {file.name.rsplit(".", 2)[1] for file in folder.glob("events.out.tfevents.*.*.*.*")}  # process ids
        assert len(writers) == 1
    assert seeds == {1, 2}


# 58. two runs, one download
@pytest.mark.parametrize("checked", [True, False])
def test_processes_that_download_at_once_make_one_request(
    checked: bool, site: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, requests = site
    checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}" if checked else None
    call = f"print(len(download(Remote({address + 'file.bin'!r}, {checksum!r}), Path({str(tmp_path)!r})).read_bytes()))"
    imports = "from datamodules.storage.catalogue import Remote\nfrom datamodules.storage.download import download"
    assert at_once(4, imports, call) == [str(len(CONTENT))] * 4
    assert requests == ["/file.bin"]
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["file.bin"]


# 26. an interrupted download
@pytest.mark.needs("SIGKILL")
def test_a_download_that_is_killed_leaves_nothing_under_the_name_and_the_next_one_is_whole(
    site: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, requests = site
    code = "from pathlib import Path\nfrom datamodules.storage.catalogue import Remote\n"
    code += "from datamodules.storage.download import download\n"
    code += f"download(Remote({address + 'file.bin'!r}), Path({str(tmp_path)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        while not requests:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()  # nobody tidies up after this one, and its lock goes with it
    assert not (tmp_path / "file.bin").exists()
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert done.returncode == 0
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


# 31. a checkpoint from the network
@pytest.mark.parametrize("script", [testing.main, predict])
def test_a_checkpoint_is_not_fetched_from_an_address(
    script: Any, site: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, requests = site
    words = ["--checkpoint", address + "best.ckpt"] + (["--input", "x"] if script is predict else [])
    with pytest.raises(SystemExit) as stop:
        script(words)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert err.startswith("error: --checkpoint http")
    assert requests == []

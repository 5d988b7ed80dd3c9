"""Runs that start at the same moment: a folder each, and one download between them."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.storage.catalogue import Remote
from datamodules.storage.download import download
from scripts import test as testing
from scripts.cli.run.folder import claim
from scripts.fit import main as fit
from scripts.predict import main as predict
from tests.helpers.fork_server import FORKSERVER, Forked

CONTENT = b"0123456789" * 20_000


def at_once(folder: Path, count: int, function: Callable[..., object], *args: Any) -> list[str]:
    """What each of several processes prints that wait for each other, and then call a function at the same moment."""
    barrier = FORKSERVER.Barrier(count)
    printed = [folder / f"printed {number}.txt" for number in range(count)]
    processes = [Forked(together, barrier, function, args, out=file) for file in printed]
    statuses = [process.wait(120) for process in processes]
    texts = [file.read_text(encoding="utf-8").strip() for file in printed]
    assert statuses == [0] * count, texts
    return texts


def together(barrier: Any, function: Callable[..., object], args: tuple[Any, ...]) -> None:
    barrier.wait()
    function(*args)


def claim_five(logs: Path) -> None:
    for _ in range(5):
        print(claim(logs, "gat").name)


def fetch(address: str, checksum: str | None, folder: Path) -> None:
    os.environ["no_proxy"] = "127.0.0.1"
    print(len(download(Remote(address, checksum), folder).read_bytes()))


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
    (tmp_path / "printed").mkdir()
    printed = at_once(tmp_path / "printed", count, claim_five, logs)
    folders = [name for text in printed for name in text.split()]
    assert sorted(folders) == sorted(f"version_{number}" for number in range(5 * count))
    assert sorted(folders) == sorted(folder.name for folder in (logs / "gat").iterdir())


@pytest.mark.long
def test_runs_that_start_at_once_do_not_mix(tmp_path: Path) -> None:
    words = ["--model", "linear_regression", "--logs", str(tmp_path), "--trainer.max_epochs", "2"]
    texts = [tmp_path / f"printed {seed}.txt" for seed in (1, 2)]
    runs = [Forked(fit, [*words, "--seed_everything", str(seed)], out=texts[seed - 1]) for seed in (1, 2)]
    assert [run.wait(300) for run in runs] == [0, 0], [text.read_text() for text in texts]
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
    (tmp_path / "data").mkdir()
    texts = at_once(tmp_path, 4, fetch, address + "file.bin", checksum, tmp_path / "data")
    assert texts == [str(len(CONTENT))] * 4
    assert requests == ["/file.bin"]
    assert [path.name for path in (tmp_path / "data").iterdir() if path.suffix != ".lock"] == ["file.bin"]


# 26. an interrupted download
@pytest.mark.needs("SIGKILL")
def test_a_download_that_is_killed_leaves_nothing_under_the_name_and_the_next_one_is_whole(
    site: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, requests = site
    asked = address + "file.bin", None, tmp_path
    process = Forked(fetch, *asked, out=tmp_path / "printed.txt")
    while not requests:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()  # nobody tidies up after this one, and its lock goes with it
    assert process.wait(60) == -signal.SIGKILL
    assert not (tmp_path / "file.bin").exists()
    assert Forked(fetch, *asked, out=tmp_path / "printed.txt").wait(60) == 0
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

"""What only a GPU runs: other precisions, compilation, a search for memory, NCCL, exports of what was trained there."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from scripts.benchmark import main as benchmark
from scripts.cli.command_line.recipes import ROOT
from scripts.cli.export.formats import export
from scripts.cli.measure import benchmark as harness
from scripts.find_rate import main as find_rate
from tests.gpu.parts import Figures, Part, Stage
from tests.helpers.stopping import FURTHER, SHORT, train

SCARCE = 0.01  # of a GPU's memory: what a batch that is too large is tried with
SMALL = ("export_mlp", "more_devices", "fsdp_alone", "ddp")  # what the small form runs


def path_parts(device: list[str], gpus: int, small: bool) -> list[Part]:
    """A part for each path.

    Args:
        device: the options that say where to train, and in which precision.
        gpus: how many there are.
        small: only some.
    """
    compiled = ["--compile.mode", "default"]
    several = ["--trainer.strategy", "fsdp"] if gpus > 1 else []
    tests = ROOT / "tests"
    processes = tests / "helpers" / "two_processes.py"
    fsdp = processes if gpus > 1 else tests / "gpu" / "one_process_fsdp.py"
    norms = ["cnn", *device, "--trainer.strategy", "ddp", "--trainer.sync_batchnorm", "true"]
    checks: dict[str, Callable[[Path, Figures], Figures]] = {
        "more_devices": partial(refused, ["mlp", *device, "--trainer.devices", str(gpus + 1)], gpus > 0),
        "fsdp_alone": partial(refused, ["transformer", *device, "--trainer.strategy", "fsdp"], True),
        "batch_size_auto": partial(trains, "cnn", [*device, "--data.batch_size", "auto"]),
        **({"out_of_memory": partial(out_of_memory, device)} if gpus else {}),
        "ddp": partial(torchrun, processes, gpus, ["mlp", *device, "--trainer.strategy", "ddp"]),
        "sync_batchnorm": partial(torchrun, processes, gpus, norms),
        "fsdp": partial(torchrun, fsdp, gpus, ["transformer", "bert_classifier", *device, *several]),
        **{f"compile_{name}": partial(trains, name, [*device, *compiled]) for name in ("cnn", "transformer", "gan")},
        **{
            f"{precision}_{name}": partial(trains, name, [*device, "--trainer.precision", precision])
            for precision in ("16-mixed", "32")
            for name in ("mlp", "bert_qa", "transformer")
        },
        **{
            f"export_{name}": partial(exported, name, device)
            for name in ("mlp", "cnn", "gat", "transformer", "bert_ner")
        },
        "find_rate": partial(measured, find_rate, ["--model", "cnn", *device]),
        "benchmark": partial(measured, benchmark, ["--model", "mlp", *device]),
    }
    return [
        Part("paths", name, [Stage(check)], seconds=120 if "compile" in name or "fsdp" in name else 90)
        for name, check in checks.items()
        if not small or name in SMALL
    ]


def trains(name: str, further: Sequence[str], folder: Path, found: Figures) -> Figures:
    """Train briefly, and test."""
    status = train(["--model", name, *SHORT, *FURTHER[name], *further, "--logs", str(folder)])
    assert status == 0, status
    results = json.loads((folder / name / "version_0" / "results.json").read_text())
    return {"test": results["test"]}


def failing(words: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """The status of a run that fails, and what it says on stderr."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = train(["--model", words[0], *SHORT, *words[1:], "--logs", str(folder)])
    print(said.getvalue())
    return status, said.getvalue().strip().splitlines()


def refused(words: Sequence[str], in_one_line: bool, folder: Path, found: Figures) -> Figures:
    """A request that cannot be met: one line and status 2; a CPU has as many devices as it is told to."""
    if not in_one_line:
        return {"line": "nothing to refuse"}
    status, lines = failing(words, folder)
    assert status == 2, status
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: "), lines
    return {"line": lines[0]}


def out_of_memory(device: list[str], folder: Path, found: Figures) -> Figures:
    """A batch that does not fit: one line, with a batch size to try."""
    torch.cuda.set_per_process_memory_fraction(SCARCE)
    size = ["--data.image_size", "224", "--data.batch_size", "512"]
    status, lines = failing(["resnet", *device, *size], folder)
    assert status == 1, status
    assert len(lines) == 1, lines
    assert "out of memory on cuda" in lines[0], lines
    assert "try --data.batch_size 256" in lines[0], lines
    return {"line": lines[0]}


def torchrun(script: Path, gpus: int, words: Sequence[str], folder: Path, found: Figures) -> Figures:
    """Stop and resume runs under torchrun, a process for each GPU; what differs from runs that nobody stopped."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(max(1, gpus))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    subprocess.run([*command, str(script), str(folder), *words], env=environment, check=True)
    unlike: dict[str, list[str]] = json.loads((folder / "found.json").read_text())
    (folder / "found.json").unlink()
    broken = {name: places for name, places in unlike.items() if any("Traceback" in place for place in places)}
    assert not broken, "\n".join(place for places in broken.values() for place in places)
    return {"processes": max(1, gpus), "unlike": [f"{name}: {place}" for name in unlike for place in unlike[name]]}


def exported(name: str, device: list[str], folder: Path, found: Figures) -> Figures:
    """Train, and export in every format; export.py compares what it has written with the model."""
    trains(name, device, folder, found)
    formats = ["safetensors", "torch", "onnx"]
    export([], str(folder / name / "version_0"), formats, str(folder / "model"), None)
    return {"formats": formats}


def measured(main: Callable[[list[str]], None], words: list[str], folder: Path, found: Figures) -> Figures:
    """Run one of the scripts that measure."""
    harness.STEPS = 20
    with contextlib.chdir(folder):  # where one of them writes a curve
        main(words)
    return {}

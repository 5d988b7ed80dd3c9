"""What Windows lacks is not needed to list, import and run, as far as a system that has it can tell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.cli.command_line.recipes import ROOT
from tests.helpers.stopping import FURTHER, SHORT

# The libraries are imported first: they have a Windows of their own.
WITHOUT = """
import importlib, multiprocessing.context, os, pathlib, signal, sys
from multiprocessing import popen_fork
for library in sys.argv[1].split():
    importlib.import_module(library)
import filelock._native._unix as native
def no_fcntl(descriptor):
    raise OSError(38, "fcntl is unavailable")
native.lock_fd_nonblocking = sys.modules["filelock._native._descriptor"].lock_fd_nonblocking = no_fcntl
for module in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[module] = None
for name in ("SIGUSR1", "SIGUSR2", "SIGALRM", "SIGKILL", "SIGHUP", "SIGCONT", "alarm", "pause"):
    delattr(signal, name)
for name in ("fork", "getuid", "geteuid", "chown", "killpg", "setsid", "sysconf", "register_at_fork", "mkfifo"):
    delattr(os, name)
for name in ("ForkContext", "ForkProcess"):
    delattr(multiprocessing.context, name)
opened = os.open
def no_folders(path, *args, **kwargs):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return opened(path, *args, **kwargs)
os.open = no_folders
"""
LIBRARIES = (
    "filelock lightning.pytorch torch torch._inductor torch.distributed.checkpoint torch.onnx torch_geometric "
    "torchmetrics torchvision transformers pyarrow sklearn.linear_model peft sacrebleu optuna"
)
IMPORTS = """
for folder in ("callbacks", "datamodules", "lightning_modules", "scripts"):
    for file in sorted(pathlib.Path(folder).rglob("*.py")):
        importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
"""
RUN = """
from lightning.pytorch.trainer.connectors import signal_connector
connector = signal_connector._SignalConnector  # has a branch for Windows
connector.register_signal_handlers = connector.teardown = lambda self: None
from scripts.fit import main
main(sys.argv[2:])
"""
AFTERWARDS = """
from scripts import export, fit, predict, sweep, test
folder = pathlib.Path(sys.argv[-1])
run = ["--checkpoint", str(folder / "mlp" / "version_0")]
test.main(run)
rows = "tests/inputs/TabularClassification/breast_cancer.csv"
predict.main([*run, "--input", rows, "--output", str(folder / "x.csv")])
export.main([*run, "--format", "safetensors,onnx", "--output", str(folder / "model")])
fit.main(["--resume", run[1], "--trainer.max_epochs", "2"])
sweep.main(["--model", "mlp", "--trials", "2", "--trainer.max_epochs", "1", "--logs", str(folder)])
"""


def run(code: str, *words: str) -> str:
    """What the code prints, without what Windows lacks."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITHOUT + code, *words]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_models_are_listed() -> None:
    assert "linear_regression" in run("from scripts.fit import main\nmain(['--list'])", "filelock")


@pytest.mark.long
def test_everything_is_imported_and_a_model_trained_tested_exported_resumed_and_searched(tmp_path: Path) -> None:
    words = ["--model", "mlp", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--logs", str(tmp_path)]
    run(IMPORTS + RUN + AFTERWARDS, LIBRARIES, *words)
    folder = tmp_path / "mlp" / "version_0"
    assert json.loads((folder / "results.json").read_text(encoding="utf-8"))["test"]
    assert not (folder / ".lock.held").exists()
    assert (tmp_path / "x.csv").exists()
    assert (tmp_path / "predict_onnx.py").exists()
    assert len((tmp_path / "mlp" / "sweep_0" / "trials.csv").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.long
@pytest.mark.parametrize("name", ["bert_ner", "gat"])
def test_a_run_whose_workers_are_not_forked_trains(name: str, tmp_path: Path) -> None:
    script = ["import multiprocessing, sys", "from scripts.fit import main", "if __name__ == '__main__':"]
    script += ["    multiprocessing.set_start_method('spawn')", "    main(sys.argv[1:])"]
    (tmp_path / "run.py").write_text("\n".join(script), encoding="utf-8")
    words = ["--model", name, *SHORT, *FURTHER.get(name, []), "--data.num_workers", "1", "--logs", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(tmp_path / "run.py"), *words], env=environment, check=True)
    assert (tmp_path / name / "version_0" / "results.json").exists()

"""A LightningModule with a LightningDataModule of another package trains, is tested and resumed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import test as testing
from scripts.cli.command_line.recipes import dump
from scripts.fit import main as fit
from scripts.predict import main as predict

THEIRS = """
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch.utils.data import DataLoader, TensorDataset

class Net(LightningModule):
    def __init__(self, lr: float = 0.01):
        super().__init__()
        self.lr = lr
        self.layer = torch.nn.Linear(4, 1)
    def loss(self, name, batch):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.layer(x), y)
        self.log(name, loss)
        return loss
    def training_step(self, batch, index):
        return self.loss("train_loss", batch)
    def validation_step(self, batch, index):
        self.loss("val_loss", batch)
    def test_step(self, batch, index):
        self.loss("test_loss", batch)
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)

class Watched(Net):
    monitor = "val_loss"

class Data(LightningDataModule):
    def __init__(self, size: int = 100, batch_size: int = 10):
        super().__init__()
        self.size, self.batch_size = size, batch_size
    def setup(self, stage=None):
        x = torch.randn(self.size, 4, generator=torch.Generator().manual_seed(0))
        self.data = TensorDataset(x, x.sum(1, keepdim=True))
    def train_dataloader(self):
        return DataLoader(self.data, self.batch_size, shuffle=True)
    def val_dataloader(self):
        return DataLoader(self.data, self.batch_size)

class Tested(Data):
    def test_dataloader(self):
        return DataLoader(self.data, self.batch_size)
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains with a class of a model and one of data, and gives the run's results."""
    (tmp_path / "of_others.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "of_others", raising=False)

    def train(model: str, data: str, *words: str) -> dict[str, Any]:
        config = {
            "about": {"name": "theirs"},
            "model": {"class_path": f"of_others.{model}"},
            "data": {"class_path": f"of_others.{data}"},
            "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        }
        (tmp_path / "theirs.yaml").write_text(dump(config))
        fit(["--config", str(tmp_path / "theirs.yaml"), "--allow", "of_others", "--logs", str(tmp_path), *words])
        results = (tmp_path / "theirs" / "version_0" / "results.json").read_text(encoding="utf-8")
        return dict(json.loads(results))

    return train


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_they_train_are_tested_and_resumed(theirs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = theirs("Watched", "Tested", "--data.batch_size", "20", "--model.lr", "0.1")
    assert results["monitor"] == "val_loss"
    assert results["best"] == pytest.approx(results["test"]["test_loss"], rel=0.05)
    run = tmp_path / "theirs" / "version_0"
    testing.main(["--checkpoint", str(run), "--allow", "of_others"])
    assert "test_loss" in capsys.readouterr().out
    fit(["--resume", str(run), "--trainer.max_epochs", "3", "--allow", "of_others"])
    assert "begins a resumed epoch anew" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        predict(["--checkpoint", str(run), "--input", str(tmp_path / "theirs.yaml"), "--allow", "of_others"])
    assert "cannot predict for" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_what_is_missing_is_done_without(theirs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """No monitor, and no test split."""
    results = theirs("Net", "Data")
    printed = capsys.readouterr()
    assert "note: Net has no `monitor`, the name of a metric that it logs: the last weights are tested" in printed.err
    assert "not tested" in printed.out
    assert (results["test"], results["best"], results["best_checkpoint"]) == ({}, None, None)


def test_without_leave_they_are_refused(theirs: Any, tmp_path: Path, refused: Any) -> None:
    (tmp_path / "theirs.yaml").write_text("about: {name: theirs}\nmodel: {class_path: of_others.Net}\n"
                                          "data: {class_path: of_others.Data}\n")  # fmt: skip
    assert refused(fit, "--config", str(tmp_path / "theirs.yaml")).endswith("add --allow of_others.Net")

"""Whatever a file of weights is given to: no code of its own runs."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig

from callbacks.run.checkpoint_file import read_checkpoint, write_checkpoint
from datamodules.tokenizing.tokens import new_tokenizer
from scripts.export import main as export
from scripts.fit import main as fit
from tests.helpers.fuzzing import Leaves


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    fit(["--model", "linear_regression", "--logs", str(folder), "--trainer.max_epochs", "1"])
    return folder / "linear_regression" / "version_0"


def spoiled(run: Path, evil: dict[str, Any]) -> list[str]:
    """A run whose every checkpoint is malicious."""
    for name in ("last", "previous", "best"):
        write_checkpoint(evil, run / "checkpoints" / f"{name}.ckpt")
    return ["--resume", str(run)]


def of_our_own(run: Path, evil: dict[str, Any]) -> list[str]:
    write_checkpoint(evil, run / "checkpoints" / "best.ckpt")
    return ["--model", "mlp", "--model.pretrained", str(run / "checkpoints" / "best.ckpt")]


def of_torchvision(run: Path, evil: dict[str, Any]) -> list[str]:
    torch.save(evil, run / "resnet.pth")
    return ["--model", "resnet", "--model.pretrained", str(run / "resnet.pth")]


def of_transformers(run: Path, evil: dict[str, Any]) -> list[str]:
    folder = run / "bert"
    BertConfig(vocab_size=60, hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(new_tokenizer("wordpiece", ["a b"] * 3, 60).to_str(), encoding="utf-8")
    torch.save(evil, folder / "pytorch_model.bin")
    return ["--model", "bert_classifier", "--model.pretrained", str(folder)]


def exported(run: Path, evil: dict[str, Any]) -> list[str]:
    write_checkpoint(evil, run / "checkpoints" / "best.ckpt")
    return ["--checkpoint", str(run), "--format", "safetensors", "--output", str(run / "model")]


@pytest.mark.parametrize("given", [spoiled, of_our_own, of_torchvision, of_transformers, exported])
def test_no_code_comes_with_weights(given: Any, run: Path, tmp_path: Path, capsys: Any) -> None:
    evil = {**read_checkpoint(run / "checkpoints" / "last.ckpt"), "more": Leaves(tmp_path / "it ran")}
    copy = tmp_path / "version_0"
    (copy / "checkpoints").mkdir(parents=True)
    (copy / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    words = given(copy, evil)
    if words[0] == "--model":
        words += ["--logs", str(tmp_path / "logs")]
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        (export if given is exported else fit)(words)
    assert stop.value.code == 2
    *notes, line = capsys.readouterr().err.splitlines()
    assert all(note.startswith(f"note: {copy}") for note in notes)
    assert re.match(rf"error: --\S+ {re.escape(str(copy))}", line)
    assert not (tmp_path / "it ran").exists()
    assert not (tmp_path / "logs").exists()

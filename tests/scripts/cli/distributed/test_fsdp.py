"""Weights that are sharded over processes; tests/test_processes.py starts them."""

from pathlib import Path

import pytest
from lightning.pytorch import LightningModule

from lightning_modules.layers.sequence import blocks
from scripts.cli.command_line.recipes import resolve
from scripts.cli.distributed.fsdp import FSDPStrategy
from scripts.cli.distributed.launch import pick_strategy
from scripts.cli.run.experiment import Experiment
from scripts.fit import main as fit

FSDP = ["--trainer.strategy", "fsdp", "--trainer.accelerator", "cpu"]


def model_of(name: str, *words: str) -> LightningModule:
    request = resolve(["--model", name, *words])
    return Experiment(request).build().model


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("transformer", ["EncoderLayer"] * 2 + ["DecoderLayer"] * 2),
        ("torch_transformer", ["TransformerEncoderLayer"] * 2 + ["TransformerDecoderLayer"] * 2),
        ("bert_classifier", ["ModernBertEncoderLayer"] * 2),
        ("bert_ner", ["ModernBertEncoderLayer"] * 2),
        ("bert_qa", ["ModernBertEncoderLayer"] * 2),
        ("llm", ["Layer"] * 3),
        ("gat", []),  # has lists of layers, too
        ("gcn", []),
        ("attention_rnn", []),
        ("seq2seq", []),
    ],
)
def test_the_blocks_of_transformers_are_found_and_nothing_else(name: str, expected: list[str]) -> None:
    assert sorted(type(block).__name__ for block in blocks(model_of(name))) == sorted(expected)


def test_the_blocks_of_a_pretrained_model_are_found(minilm: str) -> None:
    model = model_of("bert_classifier", "--model.pretrained", minilm)
    assert [type(block).__name__ for block in blocks(model)] == ["BertLayer"] * 6


def test_the_strategy_waits_as_long_as_that_of_ddp() -> None:
    options = {"devices": "2", "accelerator": "cpu", "num_nodes": 1, "precision": "bf16-mixed", "strategy": "fsdp"}
    strategy = pick_strategy(options, model_of("transformer"), timeout=120)
    assert type(strategy) is FSDPStrategy
    assert strategy._timeout is not None
    assert strategy._timeout.total_seconds() == 180


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--model", "mlp", "--trainer.devices", "2"],
            "--trainer.strategy fsdp: shards the blocks of Transformers, BERTs, LLMs, of which MLP has none; use ddp",
        ),
        (
            ["--model", "transformer"],
            "--trainer.strategy fsdp: there is one process; give --trainer.devices 2 or more",
        ),
        (
            ["--model", "transformer", "--trainer.devices", "2", "--trainer.precision", "16-mixed"],
            "--trainer.strategy fsdp and --trainer.precision 16-mixed contradict each other: expected 32 or bf16-mixed",
        ),
    ],
)
def test_what_cannot_be_sharded_is_refused_in_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stop:
        fit([*words, *FSDP, "--logs", str(tmp_path / "logs")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {expected}"]
    assert not (tmp_path / "logs").exists()

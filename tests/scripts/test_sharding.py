"""Weights that are shared out among processes; what is trained with them is compared in tests/test_processes.py."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor

from lightning_modules.transformer import EncoderLayer
from scripts.cli.build import build
from scripts.cli.launch import pick_strategy
from scripts.cli.options import parse
from scripts.cli.recipes import resolve
from scripts.cli.sharding import FSDPStrategy, blocks, shared_out
from scripts.fit import main as fit

FSDP = ["--trainer.strategy", "fsdp", "--trainer.accelerator", "cpu"]


def model_of(name: str, *words: str) -> nn.Module:
    request = resolve(["--model", name, *words])
    return build(request, *parse(request)).model


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("transformer", ["EncoderLayer"] * 2 + ["DecoderLayer"] * 2),
        ("torch_transformer", ["TransformerEncoderLayer"] * 2 + ["TransformerDecoderLayer"] * 2),
        ("bert_classifier", ["ModernBertEncoderLayer"] * 2),
        ("bert_ner", ["ModernBertEncoderLayer"] * 2),
        ("bert_qa", ["ModernBertEncoderLayer"] * 2),
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
            "--trainer.strategy fsdp: shares out the blocks of Transformers and BERTs, of which MLP has none; use ddp",
        ),
        (
            ["--model", "transformer"],
            "--trainer.strategy fsdp: there is one process; give --trainer.devices 2 or more",
        ),
        (
            ["--model", "transformer", "--trainer.devices", "2", "--trainer.precision", "16-mixed"],
            "--trainer.strategy fsdp and --trainer.precision 16-mixed contradict each other: expected 32 or bf16-mixed",
        ),
        (
            ["--model", "transformer", "--trainer.devices", "2", "--averaging.kind", "ema"],
            "--trainer.strategy fsdp and --averaging contradict each other; use ddp",
        ),
    ],
)
def test_what_cannot_be_shared_out_is_refused_in_one_line(words, expected, capsys, tmp_path) -> None:
    with pytest.raises(SystemExit) as stop:
        fit([*words, *FSDP, "--logs", str(tmp_path / "logs")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [f"error: {expected}"]
    assert not (tmp_path / "logs").exists()


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(8, 2, 16, 0.0, True) for _ in range(2))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, torch.ones(1, 1, 1, 3, dtype=torch.bool))
        return self.head(x)


def _keeps_half(rank: int, folder: Path) -> None:
    """In each of two processes: what is kept of a weight, and that all of it is there while the model computes."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(rank)
    model = Encoder()
    layers: Any = model.layers
    seen: list[tuple[bool, ...]] = []

    def look(*_: object) -> None:
        seen.append(tuple(isinstance(layer.attention.query.weight, DTensor) for layer in layers))

    for layer in layers:
        layer.feedforward.register_forward_pre_hook(look)
    shared_out(model, torch.device("cpu"))
    for name, weight in model.named_parameters():
        assert isinstance(weight, DTensor), name
        assert weight.to_local().numel() * 2 == weight.numel(), name
    with torch.no_grad():
        model(torch.zeros(1, 3, 8))
    assert seen == [(False, True), (True, False)]
    whole = layers[0].attention.query.weight.full_tensor()
    torch.manual_seed(0)
    first: Any = Encoder().layers[0]
    assert torch.equal(whole, first.attention.query.weight)  # the first process's
    distributed.destroy_process_group()


@pytest.mark.long
def test_each_of_two_processes_keeps_half_of_every_weight(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(_keeps_half, (tmp_path,), nprocs=2, start_method="spawn")

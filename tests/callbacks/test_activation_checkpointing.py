"""Activations of blocks are recomputed: the same gradients, from less memory."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from callbacks.activation_checkpointing import ActivationCheckpointing
from lightning_modules.layers.sequence import blocks
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment
from scripts.fit import main as fit
from tests.helpers.stopping import SHORT, train

NAMES = ["transformer", "torch_transformer", "bert_classifier", "bert_ner", "bert_qa", "llm", "llm_chat"]


def gradients(model: Any, batch: Any) -> tuple[dict[str, Tensor], int]:
    """The gradients of one training step with dropout, and the bytes that were saved for them."""
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model.step(batch).loss
    loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters()}, sum(saved.values())


@pytest.mark.parametrize("name", NAMES)
def test_gives_the_same_gradients_from_less(name: str) -> None:
    request = resolve(["--model", name, "--data.batch_size", "16"])
    run = Experiment(request).build()
    batch = next(iter(run.data.train_dataloader()))
    run.model.train()
    changed = copy.deepcopy(run.model)
    technique = ActivationCheckpointing(every=1)
    technique.setup(None, changed, "fit")  # type: ignore[arg-type]
    plain, all_of_it = gradients(run.model, batch)
    found, less = gradients(changed, batch)
    for weight, gradient in plain.items():
        assert torch.equal(found[weight], gradient), weight
    assert less < 0.75 * all_of_it
    technique.teardown(None, changed, "fit")  # type: ignore[arg-type]
    _, as_before = gradients(changed, batch)
    assert as_before == all_of_it


def test_half_the_memory_is_enough_for_a_deep_network() -> None:
    words = ["--model", "bert_classifier", "--model.num_layers", "8", "--data.batch_size", "4"]
    request = resolve([*words, "--data.num_reviews", "200"])
    run = Experiment(request).build()
    batch = next(iter(run.data.train_dataloader()))
    _, all_of_it = gradients(run.model.train(), batch)
    ActivationCheckpointing(every=1).setup(None, run.model, "fit")  # type: ignore[arg-type]
    _, less = gradients(run.model, batch)
    assert less < 0.5 * all_of_it


def test_every_second_block_is_checkpointed() -> None:
    request = resolve(["--model", "transformer", "--model.num_layers", "3"])
    model = Experiment(request).build().model
    ActivationCheckpointing(every=2).setup(None, model, "fit")  # type: ignore[arg-type]
    assert ["forward" in vars(block) for block in blocks(model)] == [True, False, True, False, True, False]


def test_an_evaluation_computes_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[bool] = []
    checkpoint = torch.utils.checkpoint.checkpoint

    def counted(*args: Any, **kwargs: Any) -> Any:
        modes.append(torch.is_grad_enabled())
        return checkpoint(*args, **kwargs)

    monkeypatch.setattr("callbacks.activation_checkpointing.checkpoint", counted)
    words = ["--model", "bert_classifier", *SHORT, "--data.batch_size", "8", "--activation_checkpointing.every", "1"]
    assert train([*words, "--logs", str(tmp_path)]) == 0
    assert modes == [True] * 2 * 8  # blocks in each of eight steps


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "transformer", "--activation_checkpointing.every", "0"], "every: expected at least 1, got 0"),
        (
            ["--model", "resnet", "--activation_checkpointing.every", "1"],
            "every 1: computes the blocks of Transformers, BERTs, LLMs twice, of which ResNet has none; leave it out",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], expected: str, capsys: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        fit([*words, "--logs", str(tmp_path / "logs")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [f"error: --activation_checkpointing.{expected}"]
    assert not (tmp_path / "logs").exists()

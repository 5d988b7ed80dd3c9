"""The head is trained first, then the backbone with a lower rate; resumable at any time, on one process or two."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from callbacks.finetuning import Finetuning
from callbacks.private.torch import BatchNorm
from lightning_modules.attention_rnn import AttentionRNN
from lightning_modules.bert_classifier import BertClassifier
from lightning_modules.cnn import CNN
from lightning_modules.efficientnet import EfficientNet
from lightning_modules.gcn import GCN
from lightning_modules.inception import Inception
from lightning_modules.resnet import ResNet
from tests.helpers.stopping import SHORT, compare, in_pieces, train
from tests.test_exactness import on_two_processes

FREEZE = ["--finetuning.freeze_epochs", "1", "--finetuning.backbone_rate", "0.1"]
GRADUALLY = ["--finetuning.freeze_epochs", "1", "--finetuning.unfreeze_epochs", "2", "--trainer.max_epochs", "3"]
BEFORE, AT, AFTER = 2, 4, 6  # steps, of which an epoch has four
FREEZERS: dict[str, Any] = {
    "resnet": lambda: ResNet(1, 8, 3),
    "inception": lambda: Inception(1, 8, 3),
    "efficientnet": lambda: EfficientNet(1, 8, 3),
    "cnn": lambda: CNN(1, 8, 3),
    "bert_classifier": lambda: BertClassifier(30, 3, hidden_size=8, num_heads=2, max_length=16),
    "attention_rnn": lambda: AttentionRNN(30, 3, embedding_size=4, hidden_size=4),
}


class Watch(Callback):
    """Records which weights each step has changed, and which had a gradient after each backward pass."""

    def __init__(self) -> None:
        self.changed: list[set[str]] = []
        self.graded: list[set[str]] = []
        self.statistics: list[set[str]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.before = {name: value.clone() for name, value in pl_module.state_dict().items()}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self.graded.append({name for name, weight in pl_module.named_parameters() if weight.grad is not None})

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        changed = {name for name, value in pl_module.state_dict().items() if not torch.equal(value, self.before[name])}
        weights = dict(pl_module.named_parameters()).keys()
        self.changed.append(changed & weights)
        self.statistics.append(changed - weights)


def watched(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> Watch:
    watch = Watch()
    original = Finetuning.on_train_start

    def watching(self: Finetuning, trainer: Any, pl_module: Any) -> None:
        trainer.callbacks.append(watch)
        original(self, trainer, pl_module)

    monkeypatch.setattr(Finetuning, "on_train_start", watching)
    assert train(["--model", "cnn", *SHORT, *words]) == 0
    return watch


def test_the_backbone_is_frozen_until_its_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = watched(monkeypatch, [*FREEZE, "--logs", str(tmp_path)])
    head = {"head.3.weight", "head.3.bias"}
    assert watch.changed[:AT] == watch.graded[:AT] == [head] * AT
    assert watch.statistics[:AT] == [set()] * AT  # frozen batch norms normalise by their running statistics
    for changed, graded in zip(watch.changed[AT:], watch.graded[AT:], strict=True):
        assert changed == graded == head | {name for name in changed if name.startswith("blocks.")}
        assert len(changed) == 11
    assert all(len(statistics) == 9 for statistics in watch.statistics[AT:])


def test_it_is_unfrozen_from_its_last_layers_to_its_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = watched(monkeypatch, [*GRADUALLY, "--logs", str(tmp_path)])
    layers = [{name.rpartition(".")[0] for name in step if name.startswith("blocks.")} for step in watch.graded]
    assert layers[::4] == [
        set(),
        {"blocks.1.1", "blocks.2.0", "blocks.2.1"},
        {f"blocks.{block}.{layer}" for block in range(3) for layer in range(2)},
    ]


@pytest.mark.parametrize("name", FREEZERS)
def test_every_model_has_a_head_and_a_backbone(name: str) -> None:
    model: nn.Module = FREEZERS[name]()
    technique = Finetuning(freeze_epochs=1)
    technique.prepare(model, None)  # type: ignore[arg-type]
    trained = {key for key, weight in model.named_parameters() if weight.requires_grad}
    assert trained
    assert all(key.startswith(("head.", "network.fc", "network.classifier", "network.aux")) for key in trained)
    norms = {key for key, layer in model.named_modules() if isinstance(layer, BatchNorm) and "aux" not in key}
    assert norms <= {*technique.layers}


def test_a_model_without_a_head_is_refused() -> None:
    with pytest.raises(ValueError, match="--finetuning: expected a model with a head on a backbone, which GCN is not"):
        Finetuning(freeze_epochs=1).prepare(GCN(3, 2), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"), [("freeze_epochs", -1), ("unfreeze_epochs", 0), ("backbone_rate", 0.0), ("backbone_rate", -1)]
)
def test_values_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"--finetuning.{option}: expected"):
        Finetuning(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [FREEZE, GRADUALLY])
def test_resumes_exactly_from_before_at_and_after_the_unfreezing(words: list[str], tmp_path: Path) -> None:
    whole, pieces = in_pieces("cnn", tmp_path, [BEFORE, AT, AFTER], words)
    assert compare(whole, pieces) == []


@pytest.mark.long
def test_two_processes_resume_exactly(tmp_path: Path) -> None:
    assert on_two_processes(tmp_path, "cnn", "resnet", *FREEZE) == {"cnn": [], "resnet": []}

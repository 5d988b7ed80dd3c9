"""Adapters are trained in place of an encoder, resumed exactly, and can be exported or merged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from callbacks.lora import LoRA, merged
from callbacks.run.checkpoint_file import read_checkpoint
from datamodules.tokenizing.tokens import Ragged, Text
from lightning_modules.bert_classifier import BertClassifier
from lightning_modules.mlp import MLP
from scripts.cli.command_line.recipes import resolve
from scripts.cli.evaluate import testing
from scripts.cli.run.experiment import Experiment
from scripts.export import main as export
from tests.helpers.stopping import SHORT, compare, in_pieces, train

SMALL = ["--model.hidden_size", "16", "--model.num_heads", "2", "--data.batch_size", "8", "--data.num_reviews", "200"]
ADAPTED = [*SMALL, "--lora.rank", "2", "--lora.dropout", "0.1"]


def text() -> Text:
    torch.manual_seed(0)
    return Ragged([torch.randint(1, 30, (length,)).tolist() for length in (5, 2, 9)]).padded(torch.arange(3), 0)


def adapted(**options: Any) -> BertClassifier:
    torch.manual_seed(1)
    model = BertClassifier(30, 3, hidden_size=8, num_heads=2, max_length=16)
    LoRA(rank=2, **options).prepare(model, None)  # type: ignore[arg-type]
    return model.eval()


def randomize(model: nn.Module) -> None:
    """Give the adapters an effect: they are initialised to change nothing."""
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight.data)


def test_only_adapters_and_the_head_are_trained_and_at_first_they_change_nothing() -> None:
    model = adapted()
    trained_names = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or name.startswith("head.") for name in trained_names)
    assert sum("lora_A" in name for name in trained_names) == 8  # four linear layers in each of two
    torch.manual_seed(1)
    plain = BertClassifier(30, 3, hidden_size=8, num_heads=2, max_length=16).eval()
    torch.testing.assert_close(model(text()), plain(text()))


def test_adds_the_product_of_its_matrices_scaled() -> None:
    model = adapted(alpha=6, targets=["Wqkv"])
    randomize(model)
    layer: Any = model.get_submodule("encoder.layers.0.attn.Wqkv")
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x = torch.randn(5, 8)
    torch.testing.assert_close(layer(x), x @ (layer.base_layer.weight + 6 / 2 * b @ a).T, atol=1e-5, rtol=1e-5)


def test_merged_it_computes_the_same_under_the_names_it_had_before() -> None:
    model = adapted()
    randomize(model)
    plain = merged(model)
    assert "lora" not in str(plain)
    assert plain.state_dict().keys() == BertClassifier(30, 3, hidden_size=8, num_heads=2).state_dict().keys()
    torch.testing.assert_close(plain(text()), model(text()), atol=1e-5, rtol=1e-5)
    assert any("lora_A" in name for name in model.state_dict())  # which is as it was


def test_the_adapter_loads_with_peft_and_the_head_beside_it(tmp_path: Path) -> None:
    from peft import PeftModel

    model = adapted()
    torch.manual_seed(1)
    base = BertClassifier(30, 3, hidden_size=8, num_heads=2, max_length=16).eval()
    randomize(model)
    LoRA(rank=2).save(model, model.state_dict(), tmp_path / "adapter")
    assert {file.name for file in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "head.safetensors"
    }  # fmt: skip
    nn.init.zeros_(base.get_parameter("head.3.weight"))
    encoder = inject(base.encoder, tmp_path / "adapter", PeftModel)
    head = load_file(tmp_path / "adapter" / "head.safetensors")
    base.encoder = encoder  # type: ignore[assignment]  # peft's wrapper of it
    base.load_state_dict(head, strict=False)
    torch.testing.assert_close(base(text()), model(text()))


def inject(encoder: Any, folder: Path, cls: Any) -> nn.Module:
    """Apply an adapter to a model with peft alone."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")  # transformers says it to peft
        return cls.from_pretrained(encoder, folder).eval().get_base_model()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rank": 0}, "--lora.rank: expected at least 1"),
        ({"alpha": 0}, "--lora.alpha: expected at least 1"),
        ({"dropout": 1.0}, "--lora.dropout: expected a probability"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LoRA(**options)


def test_a_model_without_such_an_encoder_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"--lora\.rank: adapts BERT's encoder and language models, and MLP is neither"
    ):
        LoRA(rank=2).prepare(MLP(num_features=2, num_classes=2), None)  # type: ignore[arg-type]


def test_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--lora.targets \['nothing'\]: cannot be adapted"):
        adapted(targets=["nothing"])


def test_resumes_exactly_and_saves_an_adapter_of_the_best_weights(tmp_path: Path) -> None:
    whole, pieces = in_pieces("bert_classifier", tmp_path, [2, 4, 6], [*ADAPTED, "--finetuning.freeze_epochs", "1"])
    assert compare(whole, pieces) == []
    best = read_checkpoint(whole / "checkpoints" / "best.ckpt")
    assert not best["optimizer_states"][0]["state"].keys() - range(len(best["state_dict"]))
    for run in (whole, pieces):
        adapter = load_file(run / "adapter" / "adapter_model.safetensors")
        for name, weight in adapter.items():
            own = name.replace("base_model.model", "encoder").replace(".weight", ".default.weight")
            assert torch.equal(weight, best["state_dict"][own])


def test_a_checkpoint_alone_is_tested_and_starts_other_runs(tmp_path: Path, capsys: Any) -> None:
    words = ["--model", "bert_classifier", *SHORT, *ADAPTED, "--logs", str(tmp_path), "--model.optimizer.lr", "0.05"]
    results = Experiment(resolve(words)).fit().results
    run = tmp_path / "bert_classifier" / "version_0"
    assert results is not None
    assert testing.test([], [str(run)], None, None) == pytest.approx(results["test"], rel=1e-5)
    capsys.readouterr()
    with_merged = merged(Experiment.load(str(run)).model).state_dict()
    export(["--checkpoint", str(run), "--format", "safetensors", "--output", str(tmp_path / "model")])
    plain = load_file(tmp_path / "model.safetensors")
    assert not [name for name in plain if "lora" in name or "base_layer" in name]
    capsys.readouterr()
    frozen = ["--model.pretrained", str(run), "--finetuning.freeze_epochs", "9", "--logs", str(tmp_path)]
    assert train(["--model", "bert_classifier", *SHORT, *SMALL[4:], *frozen]) == 0
    assert f"from {run}: " in capsys.readouterr().out
    again: dict[str, Tensor] = read_checkpoint(
        tmp_path / "bert_classifier" / "version_1" / "checkpoints" / "last.ckpt"
    )["state_dict"]
    for name, weight in with_merged.items():
        if name.startswith("encoder."):
            torch.testing.assert_close(again[name], weight)


@pytest.mark.long
def test_a_pretrained_encoder_is_adapted_by_a_hundredth_of_its_weights(minilm: str, tmp_path: Path) -> None:
    words = ["--model", "bert_classifier", "--model.pretrained", minilm, "--lora.rank", "4", "--logs", str(tmp_path)]
    words += ["--data.num_reviews", "700", "--data.batch_size", "16", "--model.optimizer.lr", "0.002"]
    results = Experiment(resolve([*words, "--trainer.accelerator", "cpu"])).fit().results
    assert results is not None
    assert results["test"]["auroc"] > results["baseline"]["tf_idf_auroc"] + 0.1
    run = tmp_path / "bert_classifier" / "version_0"
    assert (run / "adapter" / "adapter_model.safetensors").stat().st_size < 2_000_000
    source = nn.Module()
    from lightning_modules.layers.bert import bert

    source.encoder = bert(minilm, 30522)
    kept = read_checkpoint(run / "checkpoints" / "best.ckpt")["state_dict"]
    for name, weight in source.state_dict().items():
        own = name if name in kept else f"{name.rpartition('.')[0]}.base_layer.{name.rpartition('.')[2]}"
        assert torch.equal(kept[own], weight), name

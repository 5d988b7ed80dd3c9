from typing import Any

import pytest
import torch
from torch import Tensor

from callbacks.run.processes import load_weights
from lightning_modules.layers.later_weights import make_weights, weights_left
from lightning_modules.llm import LLM
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment


def built(left: bool) -> LLM:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_layers": 2, "num_heads": 2}
    with weights_left(left):
        return LLM(50, tokenizer_json="", end=0, window=8, attention_bias="all", qk_norm=True, **sizes)


def test_weights_that_are_made_later_are_those_that_are_made_at_once() -> None:
    now, later = built(False), built(True)
    assert not now.later
    assert {weight.device.type for weight in later.parameters()} == {"meta"}
    assert later.model.frequencies.device.type == "cpu"
    make_weights(later, lambda value, _: value)
    assert later.lm_head.weight is later.model.embed_tokens.weight
    mine, theirs = later.state_dict(), now.state_dict()
    assert mine.keys() == theirs.keys()
    for name, weight in theirs.items():
        assert torch.equal(mine[name], weight), name


def test_one_weight_is_made_at_a_time_and_only_where_none_was_given() -> None:
    model = built(True)
    asked: list[bool] = []

    def look(value: Tensor, empty: Tensor) -> Tensor:
        asked.append(value.shape == empty.shape)
        return value

    model.model.norm.weight = torch.nn.Parameter(torch.full((16,), 7.0))
    model.model.embed_tokens.weight.requires_grad_(False)
    make_weights(model, look)
    assert all(asked)
    assert len(asked) == len([*model.parameters()]) - 1
    assert model.model.norm.weight.tolist() == [7.0] * 16
    assert [name for name, weight in model.named_parameters() if not weight.requires_grad] == [
        "model.embed_tokens.weight"
    ]


@pytest.mark.parametrize("words", [[], ["--lora.rank", "2"]])
def test_weights_are_left_where_they_will_be_sharded(words: list[str]) -> None:
    def of(*further: str) -> LLM:
        model = Experiment(resolve(["--model", "llm", *words, *further])).build().model
        assert isinstance(model, LLM)
        return model

    whole, left = of(), of("--trainer.strategy", "fsdp", "--trainer.devices", "2", "--trainer.accelerator", "cpu")
    assert all(weight.is_meta for weight in left.parameters())
    make_weights(left, lambda value, _: value)
    other, mine = left.state_dict(), whole.state_dict()
    assert [name for name, weight in mine.items() if not torch.equal(weight, other[name])] == []
    assert {name for name, weight in whole.named_parameters() if weight.requires_grad} == {
        name for name, weight in left.named_parameters() if weight.requires_grad
    }


def test_weights_of_a_checkpoint_are_taken_when_they_are_made() -> None:
    weights = {name: torch.full_like(weight, 3.0) for name, weight in built(False).state_dict().items()}
    model = built(True)
    load_weights(model, weights)
    make_weights(model, lambda value, _: value)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name]), name
        assert weight.data_ptr() != weights[name].data_ptr()
    with pytest.raises(
        RuntimeError, match=r"1 weights differ in name: model\.norm\.weight is missing in what is loaded"
    ):
        load_weights(model, {name: weight for name, weight in weights.items() if name != "model.norm.weight"})

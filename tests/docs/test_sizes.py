"""The table of sizes states the weights of the models, and the memory that these take."""

import re
from typing import Any

import pytest

from lightning_modules.layers.llama_config import Architecture
from scripts.cli.command_line.recipes import ROOT
from tests.helpers.pages import read

CONFIGS: dict[str, dict[str, Any]] = {  # what their config.json have
    "SmolLM2 135M": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    "Qwen 2.5 0.5B": {
        "vocab_size": 151936,
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "intermediate_size": 4864,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "model_type": "qwen2",
    },
    "Llama 3.2 1B": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    },
    "Llama 3.2 3B": {
        "vocab_size": 128256,
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "intermediate_size": 8192,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    },
    "Llama 3.1 8B": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
    },
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_weights_and_memory_are_those_of_the_configurations(language: str) -> None:
    page = read(ROOT / "docs" / language / "text-to-chat.md")
    rows = re.findall(r"^\| ([\w. ]+) \| ([\d,]+) \| ([\d.]+) GB \| ([\d.]+) GB \|", page, re.MULTILINE)
    assert [name for name, *_ in rows] == [*CONFIGS]
    for name, weights, training, frozen in rows:
        config = {"model_type": "llama", "max_position_embeddings": 2048, "rope_theta": 1e4} | CONFIGS[name]
        count = Architecture.of_config(config, name).num_weights()
        assert (weights, training, frozen) == (f"{count:,}", f"{16e-9 * count:.1f}", f"{4e-9 * count:.1f}")

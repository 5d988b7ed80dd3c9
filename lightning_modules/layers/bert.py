"""BERT-like encoders of transformers, which takes seconds to import: apart from layers.py, whose models need none."""

import json
import pickle
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, ModernBertConfig, ModernBertModel
from transformers.utils import logging


def bert(
    pretrained: str | None,
    num_tokens: int,
    hidden_size: int = 128,
    num_layers: int = 2,
    num_heads: int = 4,
    padding: int = 0,
    dropout: float = 0.1,
    max_length: int = 512,
    architecture: dict[str, Any] | None = None,
    attention_dropout: float | None = None,
) -> nn.Module:
    """A BERT-like encoder without a head: a pretrained one of transformers, or a small one with fresh weights.

    Devlin et al. 2019, https://arxiv.org/abs/1810.04805; the fresh one is built as in Warner et al. 2024,
    https://arxiv.org/abs/2412.13663, which learns from few examples. See `encode` for what it takes and gives.

    Args:
        pretrained: a name that transformers knows, or a model's folder; None for fresh weights.
        num_tokens: V, the tokenizer's.
        hidden_size: D, of the fresh one.
        num_layers: of the fresh one.
        num_heads: attention heads in each layer of the fresh one.
        padding: number of the padding token.
        dropout: share of features silenced in training, of the fresh one.
        max_length: tokens in the longest input.
        architecture: as a checkpoint keeps it (`architecture_of`); then neither a name nor a folder is looked for.
        attention_dropout: share of attention weights silenced in training, of the fresh one; by default as dropout.

    Raises:
        ValueError: there is no such model, or it is made for fewer tokens.
    """
    if architecture is not None:
        kind = dict(architecture)
        config = AutoConfig.for_model(kind.pop("model_type"), **kind)
        network = AutoModel.from_config(without_foreign_code(config), trust_remote_code=False)
    elif pretrained is not None:
        network = _pretrained(pretrained)
    else:
        if hidden_size % num_heads:
            raise ValueError(
                f"--model.hidden_size {hidden_size} and --model.num_heads {num_heads}: expected a multiple of the heads"
            )
        attention_dropout = dropout if attention_dropout is None else attention_dropout
        network = _fresh(
            num_tokens, hidden_size, num_layers, num_heads, padding, dropout, attention_dropout, max_length
        )
    if getattr(network, "pooler", None) is not None:
        network.pooler = None  # the models here have heads of their own; weights without a gradient would stop DDP
    config = network.config
    places = getattr(config, "max_position_embeddings", max_length)
    if num_tokens > config.vocab_size:
        raise ValueError(
            f"--model.pretrained {pretrained}: knows {config.vocab_size} tokens, the data has {num_tokens}"
        )
    if max_length > places:
        raise ValueError(
            f"--data.max_length {max_length}: --model.pretrained {pretrained} reads at most {places} tokens"
        )
    return network


def _fresh(
    num_tokens: int,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    padding: int,
    dropout: float,
    attention_dropout: float,
    max_length: int,
) -> nn.Module:
    """A ModernBERT: its places are rotations, and its lower layers see only what is near.

    Without years of pretraining that is worth much: on Resume, BERT's own learned places reached an F1 of 0.67 in four
    epochs where this one reached 0.89.
    """
    local = num_layers // 2
    rotations: Any = {  # the slowest rotation, for texts of this length
        "full_attention": {"rope_theta": 10000.0, "rope_type": "default"},
        "sliding_attention": {"rope_theta": 1000.0, "rope_type": "default"},
    }
    config = ModernBertConfig(
        vocab_size=num_tokens,
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=2 * hidden_size,  # it is gated: with as many weights as one of 3 · D
        layer_types=["sliding_attention"] * local + ["full_attention"] * (num_layers - local),
        local_attention=16,  # tokens, half of them on each side
        rope_parameters=rotations,
        max_position_embeddings=max_length,
        initializer_range=0.5 * hidden_size**-0.5,
        embedding_dropout=dropout,
        attention_dropout=attention_dropout,
        mlp_dropout=dropout,
        pad_token_id=padding,
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
    )
    return ModernBertModel(config)


def without_foreign_code(config: Any) -> Any:
    """The settings of a model without what they may name to be downloaded: an attention kernel, which would be run."""
    config._attn_implementation = None
    if hasattr(config, "use_pretrained_backbone"):
        config.use_pretrained_backbone = False
    return config


def _pretrained(name: str) -> nn.Module:
    bars = logging.is_progress_bar_enabled()
    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # it lists the weights of heads that are not wanted here
    try:
        # No code that comes with a model is run: nor is anybody asked whether to, as transformers would.
        config = without_foreign_code(AutoConfig.from_pretrained(name, trust_remote_code=False))
        network = AutoModel.from_pretrained(
            name, config=config, dtype=torch.float32, trust_remote_code=False, weights_only=True
        )
        return network.train()  # it comes without its dropout
    except pickle.UnpicklingError:
        raise ValueError(
            f"--model.pretrained {name}: refused, since its file of weights holds more than weights; "
            f"give a model whose weights are in safetensors"
        ) from None
    except Exception as error:  # transformers and torch raise whatever the files lead them into
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"--model.pretrained {name}: no model there ({reason}); give a model's folder, "
            f"or a name that can be downloaded"
        ) from None
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def architecture_of(network: nn.Module) -> dict[str, Any]:
    """The encoder's settings as plain types, from which `bert` builds it again without its folder."""
    return json.loads(network.config.to_json_string(use_diff=False))  # type: ignore[operator,union-attr]


def encode(
    network: nn.Module, ids: Tensor, mask: Tensor, segments: Tensor | None = None, marks: Tensor | None = None
) -> Tensor:
    """The encoder's states.

    Args:
        network: of `bert`.
        ids: (B, T) token numbers.
        mask: (B, T), true where there is a token.
        segments: (B, T), 0 in the first and 1 in the second of two texts; left out where the encoder knows of none.
        marks: (B, T, D), added to the tokens' embeddings.

    Returns:
        (B, T, D)
    """
    further = {}
    if segments is not None and getattr(network.config, "type_vocab_size", 0) > 1:
        further["token_type_ids"] = segments
    if marks is None:
        further["input_ids"] = ids
    else:
        further["inputs_embeds"] = network.get_input_embeddings()(ids) + marks  # type: ignore[operator]
    return network(attention_mask=mask.long(), **further).last_hidden_state

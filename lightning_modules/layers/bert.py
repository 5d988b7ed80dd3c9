"""BERT-like encoders of transformers; apart from layers/sequence.py, since transformers takes seconds to import."""

import json
import pickle
import sys
from typing import Any, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from transformers import AutoConfig, AutoModel, ModernBertConfig, ModernBertModel, PreTrainedModel
from transformers.utils import logging


class SmallModernBert(NamedTuple):
    """The settings of a small ModernBERT with fresh weights.

    Warner et al. 2024, https://arxiv.org/abs/2412.13663: positions are rotations of queries and keys, feed-forward
    networks are gated, and here the lower half of the layers attends within 16 tokens. Without pretraining that
    matters: on Resume, BERT's learned positions reached an F1 of 0.67 in four epochs, this one 0.89.

    Args:
        hidden_size: D, a multiple of num_heads.
        num_layers: number of layers.
        num_heads: number of attention heads in each layer.
        dropout: dropout probability of the embeddings, the feed-forward networks and the attention weights.
        padding: index of the padding token.
        attention_dropout: dropout probability of the attention weights, where it is another.
    """

    hidden_size: int = 128
    num_layers: int = 2
    num_heads: int = 4
    dropout: float = 0.1
    padding: int = 0
    attention_dropout: float | None = None

    def build(self, num_tokens: int, max_length: int) -> PreTrainedModel:
        """The encoder.

        Args:
            num_tokens: V, the size of the vocabulary.
            max_length: maximum number of tokens of an input.

        Raises:
            ValueError: the heads do not divide the features.
        """
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"--model.hidden_size {self.hidden_size} and --model.num_heads {self.num_heads}: "
                f"expected a multiple of the heads"
            )
        num_local = self.num_layers // 2
        rotations: Any = {  # the slowest rotation, for texts of this length
            "full_attention": {"rope_theta": 10000.0, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 1000.0, "rope_type": "default"},
        }
        config = ModernBertConfig(
            vocab_size=num_tokens,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            intermediate_size=2 * self.hidden_size,  # it is gated: with as many weights as one of 3 · D
            layer_types=["sliding_attention"] * num_local + ["full_attention"] * (self.num_layers - num_local),
            local_attention=16,  # tokens, half of them on each side
            rope_parameters=rotations,
            max_position_embeddings=max_length,
            initializer_range=0.5 * self.hidden_size**-0.5,
            embedding_dropout=self.dropout,
            attention_dropout=self.dropout if self.attention_dropout is None else self.attention_dropout,
            mlp_dropout=self.dropout,
            pad_token_id=self.padding,
            bos_token_id=None,
            eos_token_id=None,
            cls_token_id=None,
            sep_token_id=None,
        )
        return ModernBertModel(config)

    @rank_zero_only
    def note(self) -> None:
        """Tell the user what is trained where no pretrained encoder was named."""
        print(
            f"note: without --model.pretrained a small ModernBERT of {self.num_layers} layers and "
            f"{self.hidden_size} features is trained from fresh weights (https://arxiv.org/abs/2412.13663)",
            file=sys.stderr,
        )


def bert(
    pretrained: str | None,
    num_tokens: int,
    max_length: int = 512,
    *,
    architecture: dict[str, Any] | None = None,
    small: SmallModernBert | None = None,
) -> PreTrainedModel:
    """A BERT-like encoder without a head: one rebuilt from a checkpoint, a pretrained one, or a small ModernBERT.

    Devlin et al. 2019, https://arxiv.org/abs/1810.04805. See `encode` for its inputs and outputs.

    Args:
        pretrained: a model's name in transformers, or its folder; None for a small ModernBERT with fresh weights.
        num_tokens: V, the size of the tokenizer's vocabulary.
        max_length: maximum number of tokens of an input.
        architecture: the settings that a checkpoint contains (`architecture_of`); no name or folder is then needed.
        small: the settings of the small ModernBERT.

    Raises:
        ValueError: there is no such model, or its vocabulary or its maximum length is too small.
    """
    network: Any
    if architecture is not None:
        network = rebuilt(architecture)
    elif pretrained is not None:
        network = downloaded(pretrained)
    else:
        small = small or SmallModernBert()
        network = small.build(num_tokens, max_length)
        small.note()
    if getattr(network, "pooler", None) is not None:
        network.pooler = None  # the models here have heads of their own; weights without a gradient would stop DDP
    check_size(network.config, pretrained, num_tokens, max_length)
    return network


def check_size(config: Any, pretrained: str | None, num_tokens: int, max_length: int) -> None:
    """Refuse an encoder whose vocabulary or maximum length is too small for the data.

    Raises:
        ValueError: it is.
    """
    if num_tokens > config.vocab_size:
        raise ValueError(
            f"--model.pretrained {pretrained}: its vocabulary has {config.vocab_size} tokens, the data's {num_tokens}"
        )
    max_positions = getattr(config, "max_position_embeddings", max_length)
    if max_length > max_positions:
        raise ValueError(
            f"--data.max_length {max_length}: --model.pretrained {pretrained} reads at most {max_positions} tokens"
        )


def rebuilt(architecture: dict[str, Any]) -> PreTrainedModel:
    """An encoder of the settings that `architecture_of` returned, with fresh weights."""
    settings = dict(architecture)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    return AutoModel.from_config(config, trust_remote_code=False, attn_implementation=None)


def downloaded(name: str) -> PreTrainedModel:
    """A pretrained encoder, of a folder or a name; none of the code that comes with it is run.

    The settings may name an attention kernel that would be downloaded and run: `attn_implementation=None` is
    transformers' own choice instead.

    Raises:
        ValueError: there is none, or its weights are a pickle of more than weights.
    """
    progress_bar = logging.is_progress_bar_enabled()
    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # it lists the weights of unused heads
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        options: dict[str, Any] = {"trust_remote_code": False, "attn_implementation": None, "weights_only": True}
        network = AutoModel.from_pretrained(name, config=config, dtype=torch.float32, **options)
        return network.train()  # transformers returns it in evaluation mode
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
        if progress_bar:
            logging.enable_progress_bar()


def architecture_of(network: PreTrainedModel) -> dict[str, Any]:
    """The encoder's settings as plain types, from which `bert` builds it again without its folder."""
    return json.loads(network.config.to_json_string(use_diff=False))


def encode(
    network: PreTrainedModel,
    ids: Tensor,
    mask: Tensor,
    segments: Tensor | None = None,
    features: Tensor | None = None,
) -> Tensor:
    """The encoder's last hidden states, (B, T, D).

    Args:
        network: an encoder that `bert` returned.
        ids: (B, T) token indices.
        mask: (B, T), true where there is a token.
        segments: (B, T), 0 in the first and 1 in the second of two texts; ignored by encoders without segments.
        features: (B, T, D), added to the tokens' embeddings.
    """
    inputs: dict[str, Tensor] = {}
    if segments is not None and getattr(network.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = segments
    if features is None:
        inputs["input_ids"] = ids
    else:
        inputs["inputs_embeds"] = network.get_input_embeddings()(ids) + features
    return network(attention_mask=mask.long(), **inputs).last_hidden_state


def attention_of_first(network: PreTrainedModel, ids: Tensor, mask: Tensor) -> Tensor | None:
    """How much the first token attends to each one in the last layer, the mean over its heads, (B, T).

    None of an encoder that does not tell.

    Args:
        network: an encoder that `bert` returned.
        ids: (B, T) token indices.
        mask: (B, T), true where there is a token.
    """
    usual = network.config._attn_implementation  # transformers has no other name for it
    network.set_attn_implementation("eager")  # the others do not keep weights
    try:
        output = network(input_ids=ids, attention_mask=mask.long(), output_attentions=True)
    finally:
        network.set_attn_implementation(usual)
    weights = getattr(output, "attentions", None)  # (B, H, T, T) of each layer
    return weights[-1][:, :, 0].float().mean(1) if weights else None

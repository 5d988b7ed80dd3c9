"""The architectures whose weights a language model of ours takes and gives, as transformers describes them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning_modules.layers.causal_attention import frequencies

Config = Mapping[str, Any]

NAMES = {  # of transformers' classes, by their `model_type`
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}


class Architecture(NamedTuple):
    """The sizes and options of a Llama-like network.

    Touvron et al. 2023, https://arxiv.org/abs/2302.13971, and its kin: Mistral, Qwen 2 and 3, SmolLM.

    Args:
        num_tokens: V, the size of the vocabulary.
        hidden_size: D
        num_layers: number of layers.
        num_heads: H, heads of queries.
        num_kv_heads: K, heads of keys and values (Ainslie et al. 2023, https://arxiv.org/abs/2305.13245).
        head_size: d, features of a head.
        mlp_size: hidden units of the feed-forward networks.
        max_positions: tokens that the model knows positions of.
        theta: base of the rotary positions.
        scaling: settings of longer rotary positions, as transformers names them; None for none.
        norm_eps: added to the mean square that features are divided by.
        qk_norm: normalise queries and keys (Henry et al. 2020, https://arxiv.org/abs/2010.04245).
        qkv_bias: biases of queries, keys and values.
        output_bias: biases of attention's output.
        tied: one matrix for the embeddings and the head.
        model_type: as transformers names it.
    """

    num_tokens: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    mlp_size: int
    max_positions: int
    theta: float = 10_000.0
    scaling: dict[str, Any] | None = None
    norm_eps: float = 1e-5
    qk_norm: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    tied: bool = True
    model_type: str = "llama"

    def check(self) -> "Architecture":
        """These, if they fit each other.

        Raises:
            ValueError: they do not.
        """
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"--model.num_heads {self.num_heads} and --model.num_kv_heads {self.num_kv_heads}: expected a multiple"
            )
        if self.head_size % 2:
            raise ValueError(
                f"--model.hidden_size {self.hidden_size} and --model.num_heads {self.num_heads}: expected an even "
                f"number of features in a head, got {self.head_size}"
            )
        return self

    def num_weights(self) -> int:
        """The number of weights of the network."""
        queries, keys = self.num_heads * self.head_size, self.num_kv_heads * self.head_size
        attention = self.hidden_size * (2 * queries + 2 * keys) + 2 * self.head_size * self.qk_norm
        attention += (queries + 2 * keys) * self.qkv_bias + self.hidden_size * self.output_bias
        layer = attention + 3 * self.hidden_size * self.mlp_size + 2 * self.hidden_size
        embeddings = self.num_tokens * self.hidden_size * (1 if self.tied else 2)
        return embeddings + self.num_layers * layer + self.hidden_size

    @classmethod
    def of_config(cls, config: Config, where: str) -> "Architecture":
        """That of a `config.json` of transformers.

        Args:
            config: its content.
            where: names it, in an error.

        Raises:
            ValueError: the architecture is another, or an option of it is none of ours.
        """
        kind = config.get("model_type")
        if kind not in NAMES:
            raise ValueError(f"{where}: architecture {kind}: expected one of {', '.join(NAMES)}")
        if config.get("hidden_act", "silu") != "silu":
            raise ValueError(f"{where}: hidden_act {config['hidden_act']}: expected silu")
        if config.get("mlp_bias"):
            raise ValueError(f"{where}: mlp_bias: expected feed-forward networks without biases")
        try:
            heads = int(config["num_attention_heads"])
            found = cls(
                num_tokens=int(config["vocab_size"]),
                hidden_size=int(config["hidden_size"]),
                num_layers=int(config["num_hidden_layers"]),
                num_heads=heads,
                num_kv_heads=int(config.get("num_key_value_heads") or heads),
                head_size=int(config.get("head_dim") or config["hidden_size"] // heads),
                mlp_size=int(config["intermediate_size"]),
                max_positions=_positions(config),
                **_rotary(config),
                norm_eps=float(config.get("rms_norm_eps", 1e-6)),
                qk_norm=kind == "qwen3",
                qkv_bias=kind == "qwen2" or bool(config.get("attention_bias")),
                output_bias=kind != "qwen2" and bool(config.get("attention_bias")),
                tied=bool(config.get("tie_word_embeddings", False)),
                model_type=kind,
            )
            frequencies(found.head_size, found.theta, found.scaling)
        except KeyError as error:
            raise ValueError(f"{where}: has no {error.args[0]}; expected the config.json of a {kind}") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from None
        return found.check()

    def config(self) -> dict[str, Any]:
        """The content of a `config.json`, which `of_config` reads, as all versions of transformers do."""
        return {
            "architectures": [NAMES[self.model_type]],
            "model_type": self.model_type,
            "vocab_size": self.num_tokens,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.head_size,
            "intermediate_size": self.mlp_size,
            "max_position_embeddings": self.max_positions,
            "rope_theta": self.theta,
            "rope_scaling": self.scaling,
            "rms_norm_eps": self.norm_eps,
            "attention_bias": self.qkv_bias,
            "tie_word_embeddings": self.tied,
            "hidden_act": "silu",
        }


def _positions(config: Config) -> int:
    """How many positions the model knows; a sliding window that is shorter ends them, for ours attends to all."""
    known = int(config.get("max_position_embeddings", 2048))
    sliding = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return min(known, int(sliding)) if sliding else known


def _rotary(config: Config) -> dict[str, Any]:
    """The base of the rotary positions and their scaling, from where either version of transformers has them."""
    newer = config.get("rope_parameters") or {}
    scaling = dict(config.get("rope_scaling") or {key: value for key, value in newer.items() if key != "rope_theta"})
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    theta = float(newer.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    return {"theta": theta, "scaling": None if kind == "default" else scaling}


def model_type_of(qk_norm: bool, qkv_bias: bool, output_bias: bool) -> str:
    """The architecture of transformers that has these options.

    Raises:
        ValueError: none has.
    """
    if qk_norm:
        if qkv_bias != output_bias:
            raise ValueError("--model.qk_norm: expected --model.attention_bias none or all, got qkv")
        return "qwen3"
    return "qwen2" if qkv_bias and not output_bias else "llama"

"""A large language model, from scratch: a Llama, whose weights are named as in transformers.

Shapes: B rows, T tokens, V tokens in the vocabulary, D features, H heads of queries, K of keys and values, d features
of a head.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.tokenizing.packed import Packed
from lightning_modules.layers.causal_attention import Rotation, apart, attend, frequencies
from lightning_modules.layers.keys_values import KeysValues
from lightning_modules.layers.later_weights import LaterWeight, settle_weights
from lightning_modules.layers.llama_config import Architecture, model_type_of
from lightning_modules.layers.pretrained_llama import config_of, readers_of
from lightning_modules.tasks.language_model import LanguageModel

Mask = Tensor | list[int] | None  # see `attend`
INITIAL_STD = 0.02  # of the weights, as in GPT-2


class RMSNorm(nn.RMSNorm):
    """Features divided by their root mean square (Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape and type; computed in the type of the weights, which autocast leaves in 32 bits."""
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


class Attention(nn.Module):
    """Each token's weighted mean of the values of those before it.

    Args:
        sizes: of the network.
        dropout: dropout probability of the weights.

    Shapes:
        x (B, T, D), output (B, T, D)
    """

    def __init__(self, sizes: Architecture, dropout: float) -> None:
        super().__init__()
        self.head_size = sizes.head_size
        self.dropout = dropout
        queries, keys = sizes.num_heads * sizes.head_size, sizes.num_kv_heads * sizes.head_size
        self.q_proj = nn.Linear(sizes.hidden_size, queries, bias=sizes.qkv_bias)
        self.k_proj = nn.Linear(sizes.hidden_size, keys, bias=sizes.qkv_bias)
        self.v_proj = nn.Linear(sizes.hidden_size, keys, bias=sizes.qkv_bias)
        self.o_proj = nn.Linear(queries, sizes.hidden_size, bias=sizes.output_bias)
        self.q_norm, self.k_norm = (
            RMSNorm(sizes.head_size, sizes.norm_eps) if sizes.qk_norm else nn.Identity() for _ in range(2)
        )

    def heads(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, d), keys and values (B, K, T, d); the first two are rotated."""
        q, k, v = (
            project(x).unflatten(-1, (-1, self.head_size)) for project in (self.q_proj, self.k_proj, self.v_proj)
        )  # (B, T, heads, d)
        q, k = self.q_norm(q), self.k_norm(k)
        return rotation(q.transpose(1, 2)), rotation(k.transpose(1, 2)), v.transpose(1, 2)

    def forward(self, x: Tensor, rotation: Rotation, mask: Mask) -> Tensor:
        """Of a whole row at once."""
        heads = attend(*self.heads(x, rotation), mask, self.dropout if self.training else 0.0)  # (B, H, T, d)
        return self.o_proj(heads.transpose(1, 2).flatten(2))  # (B, T, D)

    def advance(self, x: Tensor, rotation: Rotation, mask: Tensor, cache: KeysValues, places: Tensor) -> Tensor:
        """Of new tokens at their places, (B, T), given those in the cache, to which they are added."""
        q, k, v = self.heads(x, rotation)
        cache.write(places, KeysValues(k, v))
        heads = attend(q, *cache.first(mask.shape[-1]), mask)  # (B, H, T, d)
        return self.o_proj(heads.transpose(1, 2).flatten(2))  # (B, T, D)


class MLP(nn.Module):
    """A feed-forward network with a gate, SwiGLU (Shazeer 2020, https://arxiv.org/abs/2002.05202).

    Args:
        sizes: of the network.

    Shapes:
        x (B, T, D), output (B, T, D)
    """

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(sizes.hidden_size, sizes.mlp_size, bias=False)
        self.up_proj = nn.Linear(sizes.hidden_size, sizes.mlp_size, bias=False)
        self.down_proj = nn.Linear(sizes.mlp_size, sizes.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The same at each token."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Attention, then a feed-forward network, each added to what it was given.

    Args:
        sizes: of the network.
        dropout: dropout probability of attention's weights and of what is added.

    Shapes:
        x (B, T, D), output (B, T, D)
    """

    def __init__(self, sizes: Architecture, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(sizes, dropout)
        self.mlp = MLP(sizes)
        self.input_layernorm = RMSNorm(sizes.hidden_size, sizes.norm_eps)
        self.post_attention_layernorm = RMSNorm(sizes.hidden_size, sizes.norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotation: Rotation, mask: Mask) -> Tensor:
        """Of a whole row at once."""
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), rotation, mask))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))

    def advance(self, x: Tensor, rotation: Rotation, mask: Tensor, cache: KeysValues, places: Tensor) -> Tensor:
        """Of new tokens, given those in the cache."""
        x = x + self.self_attn.advance(self.input_layernorm(x), rotation, mask, cache, places)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embeddings, layers, and a last norm.

    Args:
        sizes: of the network.
        dropout: dropout probability of the embeddings and within the layers.

    Shapes:
        ids (B, T), positions (B or 1, T), mask as for `attend`, output (B, T, D)
    """

    frequencies: Tensor

    def __init__(self, sizes: Architecture, dropout: float) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(sizes.num_tokens, sizes.hidden_size)
        self.layers: Any = nn.ModuleList(Layer(sizes, dropout) for _ in range(sizes.num_layers))
        self.norm = RMSNorm(sizes.hidden_size, sizes.norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer(
            "frequencies", frequencies(sizes.head_size, sizes.theta, sizes.scaling), persistent=False
        )  # (d / 2,)

    def forward(self, ids: Tensor, positions: Tensor, mask: Mask) -> Tensor:
        """Features of each token."""
        rotation = Rotation.at(positions, self.frequencies)
        x = self.dropout(self.embed_tokens(ids))  # (B, T, D)
        for layer in self.layers:
            x = layer(x, rotation, mask)
        return self.norm(x)

    def advance(self, ids: Tensor, places: Tensor, caches: Sequence[KeysValues]) -> Tensor:
        """Features of new tokens at their places, (B, T), given those in the caches."""
        rotation = Rotation.at(places, self.frequencies)
        end = int(places.max()) + 1
        mask = (torch.arange(end, device=ids.device) <= places[..., None])[:, None]  # (B, 1, T, S)
        x = self.embed_tokens(ids)  # (B, T, D)
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer.advance(x, rotation, mask, cache, places)
        return self.norm(x)


class LLM(LanguageModel):
    """A causal language model of the Llama family.

    Touvron et al. 2023, https://arxiv.org/abs/2302.13971; with other options it is a Mistral, a Qwen 2 or a Qwen 3.

    Args:
        num_tokens: V, the size of the vocabulary.
        pretrained: a model's folder as transformers writes it, or its name; None for fresh weights.
        hidden_size: D, with fresh weights.
        num_layers: number of layers, with fresh weights.
        num_heads: H, heads of queries, with fresh weights.
        num_kv_heads: K, heads of keys and values, with fresh weights; as many as of queries by default.
        mlp_size: hidden units of the feed-forward networks, with fresh weights; 8/3 D by default, in multiples of 32.
        max_positions: tokens that positions are known of, with fresh weights; those of the data by default.
        theta: base of the rotary positions, with fresh weights.
        qk_norm: normalise queries and keys, with fresh weights.
        attention_bias: biases of queries, keys and values (`qkv`), also of the output (`all`), with fresh weights.
        tie_embeddings: one matrix for the embeddings and the head, with fresh weights.
        dropout: dropout probability of the embeddings, of attention's weights and of what layers add.
        architecture: the network's `config.json`, where a checkpoint contains it.
        kwargs: arguments of LanguageModel and Task.

    Shapes:
        input Packed with B rows of T tokens, output (B, T, D)

    Raises:
        ValueError: there is no such pretrained model, or it does not fit the data.
    """

    adapts: ClassVar[str] = "model"  # what LoRA adapts
    of_fresh_weights: ClassVar[tuple[str, ...]] = (
        "hidden_size",
        "num_layers",
        "num_heads",
        "num_kv_heads",
        "mlp_size",
        "max_positions",
        "theta",
        "qk_norm",
        "attention_bias",
        "tie_embeddings",
    )

    def __init__(
        self,
        num_tokens: int,
        pretrained: str | None = None,
        hidden_size: int = 256,
        num_layers: int = 6,
        num_heads: int = 8,
        num_kv_heads: int | None = None,
        mlp_size: int | None = None,
        max_positions: int | None = None,
        theta: float = 10_000.0,
        qk_norm: bool = False,
        attention_bias: Literal["none", "qkv", "all"] = "none",
        tie_embeddings: bool = True,
        dropout: float = 0.0,
        architecture: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_tokens=num_tokens, **kwargs)
        self.has_new_weights = architecture is None and pretrained is None
        if architecture is not None:
            pretrained = None  # the weights are those of a checkpoint or a run
        elif pretrained is not None:
            architecture = config_of(pretrained)
        if architecture is not None:
            where = f"--model.pretrained {pretrained}" if pretrained else "the checkpoint"
            self.sizes = Architecture.of_config(architecture, where)
            self.check_size(where)
        else:
            biases = (attention_bias != "none", attention_bias == "all")
            self.sizes = Architecture(
                num_tokens=num_tokens,
                hidden_size=hidden_size,
                num_layers=num_layers,
                num_heads=num_heads,
                num_kv_heads=num_kv_heads or num_heads,
                head_size=hidden_size // num_heads,
                mlp_size=mlp_size or 32 * round(hidden_size / 12),
                max_positions=max(max_positions or 0, self.window),
                theta=theta,
                qk_norm=qk_norm,
                qkv_bias=biases[0],
                output_bias=biases[1],
                tied=tie_embeddings,
                model_type=model_type_of(qk_norm, *biases),
            ).check()
            if hidden_size % num_heads:
                raise ValueError(
                    f"--model.hidden_size {hidden_size} and --model.num_heads {num_heads}: expected a multiple"
                )
        self.rebuild = {"pretrained": None, "architecture": self.sizes.config()}
        with torch.device("meta"):  # where nothing has memory yet: see `later`
            self.model = Decoder(self.sizes, dropout)
            self.lm_head = nn.Linear(self.sizes.hidden_size, self.sizes.num_tokens, bias=False)
        if self.sizes.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        self.later = self.first_weights(pretrained)
        settle_weights(self)

    @property
    def max_positions(self) -> int:
        """Number of tokens that the model knows positions of."""
        return self.sizes.max_positions

    def check_size(self, where: str) -> None:
        """Refuse a network whose vocabulary or whose positions are too few for the data.

        Raises:
            ValueError: they are.
        """
        if self.num_tokens > self.sizes.num_tokens:
            raise ValueError(
                f"{where}: its vocabulary has {self.sizes.num_tokens} tokens, the tokenizer's {self.num_tokens}"
            )
        if self.window > self.sizes.max_positions:
            raise ValueError(f"--data.window {self.window}: {where} reads at most {self.sizes.max_positions} tokens")

    def first_weights(self, pretrained: str | None) -> list[LaterWeight]:
        """How each weight is read from a pretrained model, or drawn as in GPT-2.

        Each draw has what follows from one seed, so that weights are the same wherever and whenever they are drawn.
        """
        readers = {} if pretrained is None else readers_of(pretrained, self)
        random = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        found = []
        for name, weight in self.named_parameters():
            module, own = name.rpartition(".")[::2]
            holders = [(self.get_submodule(module), own)]
            if name == "model.embed_tokens.weight" and self.sizes.tied:
                holders.append((self.lm_head, own))
            make = readers.get(name) or partial(self._drawn, name, weight.shape, random)
            found.append(LaterWeight(holders, make))
        return found

    def _drawn(self, name: str, shape: torch.Size, random: torch.Generator) -> Tensor:
        """A fresh weight: what layers add to is kept at its size, however many layers there are."""
        if len(shape) == 1:
            return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)  # the others are those of norms
        added = name.endswith(("o_proj.weight", "down_proj.weight"))
        std = INITIAL_STD / (2 * self.sizes.num_layers) ** (0.5 * added)
        return torch.empty(shape).normal_(std=std, generator=random)

    def flops_per_token(self) -> float:
        """Six for each weight that multiplies a token, and those of attention to a whole window.

        Chowdhery et al. 2022, appendix B, https://arxiv.org/abs/2204.02311: that attention is causal is not counted.
        """
        sizes = self.sizes
        looked_up = 0 if sizes.tied else sizes.num_tokens * sizes.hidden_size
        attention = sizes.num_layers * sizes.num_heads * sizes.head_size * self.window
        return 6.0 * (sizes.num_weights() - looked_up) + 12.0 * attention

    @property
    def head(self) -> Tensor:
        """The weights (V, D) that features of a token become logits of the next one by."""
        return self.lm_head.weight

    def forward(self, batch: Packed) -> Tensor:
        """Features of each token, from which `head` makes the logits of the next one."""
        if batch.documents is None:
            positions = torch.arange(batch.ids.shape[1], device=batch.ids.device)[None]
            return self.model(batch.ids, positions, None)
        return self.model(batch.ids, batch.positions, apart(batch.documents))

    def start(self, rows: int, size: int) -> list[KeysValues]:
        """Empty caches of so many rows, with room for so many tokens."""
        like = self.model.layers[0].self_attn.k_proj.weight
        kind = torch.get_autocast_dtype(like.device.type) if torch.is_autocast_enabled(like.device.type) else like.dtype
        return [
            KeysValues.empty(rows, self.sizes.num_kv_heads, size, self.sizes.head_size, like.to(kind)[:1])
            for _ in self.model.layers
        ]

    def advance(self, ids: Tensor, places: Tensor, caches: Sequence[KeysValues]) -> Tensor:
        """Logits (B, T, V) after new tokens at their places, (B, T); the caches are written."""
        return self.lm_head(self.model.advance(ids, places, caches))

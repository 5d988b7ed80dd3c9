"""Decoding with a cache by the layers of `torch.nn.TransformerDecoder`, which has none.

Shapes: B sentences, K hypotheses of each, S tokens, H heads, D features, d = D / H features of a head.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.layers.decoder_cache import DecoderCache
from lightning_modules.layers.keys_values import KeysValues


def keys_values(attention: nn.MultiheadAttention, memory: Tensor) -> KeysValues:
    """The keys and values of a memory, (B, S, D), from the lower two thirds of the one matrix of all projections."""
    size = attention.embed_dim
    projected = F.linear(memory, attention.in_proj_weight[size:], attention.in_proj_bias[size:])  # (B, S, 2 D)
    keys, values = projected.unflatten(-1, (2, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, S, d)
    return KeysValues(keys, values)


def attend(attention: nn.MultiheadAttention, x: Tensor, memory: KeysValues, mask: Tensor | None) -> Tensor:
    """What a layer's attention gives for queries from x, (B, K, D), without dropout; the mask is true where it may."""
    size = attention.embed_dim
    q = F.linear(x, attention.in_proj_weight[:size], attention.in_proj_bias[:size])  # (B, K, D)
    q = q.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)  # (B, H, K, d)
    heads = F.scaled_dot_product_attention(q, memory.keys, memory.values, mask)
    return F.linear(heads.transpose(1, 2).flatten(2), attention.out_proj.weight, attention.out_proj.bias)


def advance(layer: nn.TransformerDecoderLayer, x: Tensor, cache: DecoderCache, index: int) -> Tensor:
    """The layer's features of the newest token of each hypothesis, (B, K, D), without dropout.

    Args:
        layer: batch first, with biases.
        x: features of these tokens from the layer before.
        cache: with room for their keys and values.
        index: of the layer.
    """

    def to_past(h: Tensor) -> Tensor:
        return attend(layer.self_attn, h, *cache.attended(index, keys_values(layer.self_attn, h)))

    def to_source(h: Tensor) -> Tensor:
        return attend(layer.multihead_attn, h, cache.source[index], cache.mask)

    def feedforward(h: Tensor) -> Tensor:
        return layer.linear2(layer.activation(layer.linear1(h)))

    for norm, sublayer in ((layer.norm1, to_past), (layer.norm2, to_source), (layer.norm3, feedforward)):
        x = x + sublayer(norm(x)) if layer.norm_first else norm(x + sublayer(x))
    return x

"""Attention of each token to those before it in its document, with rotary positions.

Shapes: B rows, T tokens, S tokens to attend to, H heads of queries, K heads of keys and values, d features of a head.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SHORT, LONG = 256, 512  # tokens of a row
ROTARY = ("default", "linear", "llama3")  # types of rotary positions, as transformers names them


def frequencies(width: int, theta: float, scaling: Mapping[str, Any] | None = None) -> Tensor:
    """How fast each pair of features rotates, in radians a token, (d / 2,).

    Su et al. 2021, https://arxiv.org/abs/2104.09864. Longer texts than those of the pretraining are read with slower
    rotations: all by one factor (`linear`), or only those that a context of the pretraining does not complete
    (`llama3`, https://arxiv.org/abs/2407.21783).

    Args:
        width: d
        theta: base of the rotations.
        scaling: `rope_type` and its settings, as transformers names them.

    Raises:
        ValueError: the type is none of these.
        KeyError: it lacks a setting.
    """
    exact = theta ** (-torch.arange(0, width, 2, dtype=torch.float, device="cpu") / width)  # also amid "meta"
    kind = (scaling or {}).get("rope_type") or (scaling or {}).get("type") or "default"
    if kind not in ROTARY:
        raise ValueError(f"rotary positions of type {kind}: expected one of {', '.join(ROTARY)}")
    if scaling is None or kind == "default":
        return exact
    slow = exact / float(scaling["factor"])
    if kind == "linear":
        return slow
    low, high = float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
    turns = (
        float(scaling["original_max_position_embeddings"]) * exact / (2 * math.pi)
    )  # in a context of the pretraining
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return kept * exact + (1 - kept) * slow


class Rotation(NamedTuple):
    """By how much the features of each token are rotated.

    Args:
        cos: (B or 1, T, d)
        sin: (B or 1, T, d)
    """

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, frequencies: Tensor) -> "Rotation":
        """The rotation of tokens at these positions, (B or 1, T)."""
        angles = positions[..., None].float() * frequencies  # (B, T, d / 2)
        angles = torch.cat([angles, angles], dim=-1)
        return cls(angles.cos(), angles.sin())

    def __call__(self, x: Tensor) -> Tensor:
        """Rotated features of heads, (B, H, T, d): each pair is features i and i + d / 2."""
        left, right = x.float().chunk(2, dim=-1)
        turned = x.float() * self.cos[:, None] + torch.cat([-right, left], dim=-1) * self.sin[:, None]
        return turned.to(x.dtype)


def same_document(documents: Tensor) -> Tensor:
    """Which tokens each one attends to: those before it in its document and itself, (B, 1, T, T)."""
    length = documents.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    return (documents[:, :, None] == documents[:, None, :])[:, None] & causal


def apart(documents: Tensor) -> Tensor | list[int]:
    """What keeps the documents of rows apart: which tokens each attends to, (B, 1, T, T), or each document's length.

    On a CPU, attention to each document by itself is two to eight times as fast as with a mask where rows are long; in
    short ones there is nothing to gain. What is compiled has a mask: lengths differ from batch to batch.

    Args:
        documents: (B, T) as in Packed.
    """
    if documents.device.type != "cpu" or documents.shape[1] < LONG or torch.compiler.is_compiling():
        return same_document(documents)
    begins = documents.diff(dim=1, prepend=documents[:, :1] - 1).flatten().nonzero()[:, 0].tolist()
    return [end - begin for begin, end in pairwise([*begins, documents.numel()])]


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | list[int] | None, dropout: float = 0.0
) -> Tensor:
    """For each query a weighted mean of values, (B, H, T, d); each head of keys serves as many heads of queries.

    Args:
        queries: (B, H, T, d)
        keys: (B, K, S, d)
        values: (B, K, S, d)
        mask: (B or 1, 1, T, S) true where T may attend to S, or the lengths of documents that lie end to end in all
            rows, as `apart` gives both; None for all before it, where S is T.
        dropout: dropout probability of the weights.
    """
    if isinstance(mask, list):
        alone = zip(*(_documents(x, mask) for x in (queries, keys, values)), strict=True)
        parts = [attend(query, key, value, None, dropout) for query, key, value in alone]  # N times (1, H, t, d)
        return torch.cat(parts, dim=2)[0].unflatten(1, (len(queries), -1)).transpose(0, 1)
    kind = queries.dtype
    if queries.device.type == "cpu" and kind == torch.bfloat16 and keys.shape[2] <= SHORT:
        with torch.autocast("cpu", enabled=False):  # in 32 bits the gradient is up to three times as fast
            return attend(queries.float(), keys.float(), values.float(), mask, dropout).to(kind)
    return F.scaled_dot_product_attention(
        queries,
        keys,
        values,
        mask,
        dropout,
        is_causal=mask is None,
        enable_gqa=queries.shape[1] != keys.shape[1],
    )


def _documents(x: Tensor, lengths: list[int]) -> list[Tensor]:
    """The part of each document, (1, heads, t, d), in the features of all rows, (B, heads, T, d)."""
    return [part.transpose(0, 1)[None] for part in x.transpose(1, 2).flatten(0, 1).split(lengths)]

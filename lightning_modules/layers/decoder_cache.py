"""What a Transformer's decoder keeps from token to token.

Shapes: B sentences, K hypotheses of each, S source tokens, T tokens of each hypothesis, H heads, d features of a head.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.layers.keys_values import KeysValues

ROOM = 32  # tokens of all hypotheses of a sentence at first; twice as many whenever they are too few


class DecoderCache(NamedTuple):
    """Keys and values of the source and of the translations so far.

    All hypotheses of a sentence are queries of the same keys: of its source, and of the tokens of all of them, with a
    mask of which are their own. So beam search selects rows of a mask, and copies keys and values only when sentences
    leave the batch.

    Args:
        mask: (B, 1, 1, S), true where the source has a token.
        source: of each layer, (B, H, S, d).
        past: of each layer, with room for more than the T · K tokens so far.
        own: (B, 1, K, T · K), which of these each hypothesis consists of.
    """

    mask: Tensor
    source: Sequence[KeysValues]
    past: Sequence[KeysValues]
    own: Tensor

    @classmethod
    def start(cls, mask: Tensor, source: Sequence[KeysValues]) -> "DecoderCache":
        """That of translations without tokens, one for each sentence."""
        past = []
        for keys, _ in source:
            rows, heads, _, width = keys.shape
            past.append(KeysValues.empty(rows, heads, ROOM, width, keys))
        return cls(mask, source, past, mask.new_empty(len(mask), 1, 1, 0))

    @property
    def length(self) -> int:
        """T"""
        return self.own.shape[-1] // self.own.shape[2]

    def repeat_interleave(self, beams: int, dim: int) -> "DecoderCache":
        """That of so many hypotheses of each sentence, before their first tokens."""
        assert self.own.shape[2:] == (1, 0)
        return self._replace(own=self.own.expand(-1, -1, beams, -1))

    def index_select(self, dim: int, index: Tensor) -> "DecoderCache":
        """That of some hypotheses, (B · K,): as many of each sentence as before, or none."""
        beams = self.own.shape[2]
        rows = index.view(-1, beams)
        sentences = rows[:, 0] // beams
        own = self.own.index_select(0, sentences)
        own = own.gather(2, (rows % beams)[:, None, :, None].expand_as(own))
        if len(sentences) == len(self.own):  # all of them, in their order
            return self._replace(own=own)
        return DecoderCache(
            self.mask.index_select(0, sentences),
            [each.index_select(0, sentences) for each in self.source],
            [each.index_select(0, sentences) for each in self.past],
            own,
        )

    def next(self) -> "DecoderCache":
        """That with room for one more token of each hypothesis, which `attended` writes."""
        beams = self.own.shape[2]
        newest = torch.eye(beams, dtype=torch.bool, device=self.own.device).expand(len(self.own), 1, -1, -1)
        own = torch.cat([self.own, newest], dim=-1)
        size = own.shape[-1]
        if size <= self.past[0].keys.shape[2]:
            return self._replace(own=own)
        past = []
        for each in self.past:
            rows, heads, _, width = each.keys.shape
            larger = KeysValues.empty(rows, heads, 2 * size, width, each.keys)
            larger.write_at(0, each.first(size - beams))
            past.append(larger)
        return self._replace(own=own, past=past)

    def attended(self, layer: int, newest: KeysValues) -> tuple[KeysValues, Tensor | None]:
        """What a layer attends to in the translations, and which part each hypothesis may; None for all of it.

        Args:
            layer: its index.
            newest: keys and values of the newest tokens, (B, H, K, d), which are kept.
        """
        beams, size = self.own.shape[2:]
        self.past[layer].write_at(size - beams, newest)
        return self.past[layer].first(size), self.own if beams > 1 else None

"""What queries attend to, in memory that tokens are added to while texts are decoded.

Shapes: B rows, T new tokens, S tokens in all, H heads of keys and values, d features of a head.
"""

from typing import NamedTuple

from torch import Tensor


class KeysValues(NamedTuple):
    """Keys and values, split into heads.

    Args:
        keys: (B, H, S, d)
        values: (B, H, S, d)
    """

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, rows: int, heads: int, size: int, width: int, like: Tensor) -> "KeysValues":
        """Room for so many tokens of each row, of the type and on the device of another tensor."""
        return cls(*(like.new_zeros(rows, heads, size, width) for _ in range(2)))

    def write(self, places: Tensor, new: "KeysValues") -> None:
        """Keep those of new tokens, (B, H, T, d), at their places, (B, T)."""
        index = places[:, None, :, None].expand_as(new.keys)
        for kept, added in zip(self, new, strict=True):
            kept.scatter_(2, index, added)

    def write_at(self, start: int, new: "KeysValues") -> None:
        """Keep those of new tokens, (B, H, T, d), one after the other from the same place in all rows."""
        for kept, added in zip(self, new, strict=True):
            kept[:, :, start : start + added.shape[2]] = added

    def first(self, size: int) -> "KeysValues":
        """The part with the first tokens."""
        return KeysValues(self.keys[:, :, :size], self.values[:, :, :size])

    def index_select(self, dim: int, index: Tensor) -> "KeysValues":
        """Those of some rows."""
        return KeysValues(self.keys.index_select(dim, index), self.values.index_select(dim, index))

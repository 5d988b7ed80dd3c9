"""Examples packed into rows: several whole ones end to end, none of which is cut."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.loading.sampling import ranges
from datamodules.tokenizing.chat_template import Example
from datamodules.tokenizing.packed import IGNORED, Packed
from datamodules.tokenizing.tokens import Ragged

HEADER = 2  # values before an example's tokens: the conversation that it is of, and the bytes of its answers


def best_fit(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Pack sizes into rows of a capacity, the largest first, each into the row that it leaves the least room in.

    This best-fit decreasing (Johnson 1974, https://doi.org/10.1137/0203025) needs at most 11/9 of the fewest rows that
    are possible, and one. Equal sizes are in the order in which they are given.

    Args:
        sizes: from 1 to the capacity.
        capacity: of a row.

    Returns:
        The indices of the sizes in each row.
    """
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]  # rows by how much room they have left
    rooms = 0  # bit r is set where there is a row with room r
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        size = sizes[index]
        enough = rooms >> size
        if enough:
            room = size + (enough & -enough).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
            rows[row].append(index)
        else:
            row, room = len(rows), capacity
            rows.append([index])
        with_room[room - size].append(row)
        rooms |= 1 << (room - size)
    return rows


class Answered:
    """Tokens of examples, and which of them are to be learned.

    Args:
        values: of each example the conversation that it is of, the bytes of its answers, and its tokens; a token that
            is to be learned is stored as its complement, below 0.
    """

    def __init__(self, values: Ragged) -> None:
        self.values = values
        self.start = values.start + HEADER
        self.lengths = values.lengths - HEADER

    @staticmethod
    def stored(examples: Iterable[tuple[int, Example]]) -> Iterator["array[int]"]:
        """The values of examples, each with the conversation that it is of, up to its last answer."""
        for conversation, example in examples:
            tokens = [~token if counts else token for token, counts in zip(example.ids, example.counts, strict=True)]
            while tokens[-1] >= 0:
                tokens.pop()
            yield array("i", [conversation, example.num_bytes, *tokens])

    @property
    def conversations(self) -> Tensor:
        """(E,) the conversation that each example is of."""
        return self.values.gather(self.values.start).long()

    def num_bytes(self, examples: Tensor) -> Tensor:
        """(N,) UTF-8 bytes of the answers in some examples."""
        return self.values.gather(self.values.start[examples] + 1).long()

    @property
    def sizes(self) -> Tensor:
        """(E,) positions that each example takes in a row: its last token is only predicted."""
        return self.lengths - 1

    def of(self, example: int) -> tuple[Tensor, Tensor]:
        """The tokens (N,) of an example, and whether each is to be learned (N,)."""
        positions = self.start[example] + torch.arange(int(self.lengths[example]))
        values = self.values.gather(positions).long()
        return torch.where(values < 0, ~values, values), values < 0

    def packed(self, members: Tensor, counts: Tensor, width: int, padding: int) -> Packed:
        """Rows of examples end to end.

        Args:
            members: the examples of all rows, one row after the other.
            counts: (B,) number of examples in each row.
            width: T
            padding: token that fills up the rows.
        """
        num_rows, sizes = len(counts), self.sizes[members]
        row = torch.repeat_interleave(torch.arange(num_rows), counts)  # (M,) of each member
        first_member = (counts.cumsum(0) - counts)[row]
        before = sizes.cumsum(0) - sizes  # (M,) tokens before each member, in all rows
        begins = row * width + before - before[first_member]  # (M,) in the flattened rows
        source, place = ranges(self.start[members], sizes), ranges(begins, sizes)
        now, then = self.values.gather(source).long(), self.values.gather(source + 1).long()
        ids = torch.full((num_rows * width,), padding)
        ids[place] = torch.where(now < 0, ~now, now)
        targets = torch.full_like(ids, IGNORED)
        targets[place] = torch.where(then < 0, ~then, IGNORED)
        documents = counts.repeat_interleave(width)  # the padding's, after all others
        documents[place] = torch.repeat_interleave(torch.arange(len(members)) - first_member, sizes)
        num_bytes = torch.zeros(num_rows, dtype=torch.long).index_add_(0, row, self.num_bytes(members))
        shape = num_rows, width
        return Packed(ids.view(shape), targets.view(shape), documents.view(shape), num_bytes)


class PackedRows(Dataset[Packed]):
    """Rows of examples; a batch is `Packed`.

    Args:
        tokens: of all examples.
        rows: the examples of each row.
        index: the rows of this split.
        padding: token that fills up the rows.
        alone: whether each row is one example: then a batch is as wide as its longest.
    """

    def __init__(self, tokens: Answered, rows: Ragged, index: Tensor, padding: int, alone: bool) -> None:
        self.tokens = tokens
        self.rows = rows
        self.index = index
        self.padding = padding
        self.alone = alone
        members = rows.joined(index)
        of_row = torch.repeat_interleave(torch.arange(len(index)), rows.lengths[index])
        self.sizes = torch.zeros(len(index), dtype=torch.long).index_add_(0, of_row, tokens.sizes[members.long()])
        self.width = int(self.sizes.max()) if len(index) else 1

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Tensor) -> Packed:
        rows = self.index[index]
        members = self.rows.joined(rows).long()
        width = int(self.sizes[index].max()) if self.alone else self.width
        batch = self.tokens.packed(members, self.rows.lengths[rows], width, self.padding)
        return batch._replace(documents=None) if self.alone else batch


def rows_of(tokens: Answered, examples: Tensor, window: int, packing: bool) -> list[list[int]]:
    """The examples of each row.

    Args:
        tokens: of all examples.
        examples: indices of those that are packed, none of which is longer than a row.
        window: positions of a row.
        packing: whether a row may have several.
    """
    if not packing:
        return [[example] for example in examples.tolist()]
    return [[int(examples[index]) for index in row] for row in best_fit(tokens.sizes[examples].tolist(), window)]

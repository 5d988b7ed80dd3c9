"""Rows of whole examples: nothing is lost or cut, and what stands beside an example is of another document."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.tokenizing.chat_template import Example
from datamodules.tokenizing.packed import IGNORED, Packed
from datamodules.tokenizing.packing import Answered, PackedRows, best_fit, rows_of
from datamodules.tokenizing.tokens import Ragged


def some_examples(sizes: list[int], seed: int = 0) -> Answered:
    """Examples of these numbers of tokens, of which the later half is to be learned, ids from 1 to 19."""
    random = torch.Generator().manual_seed(seed)
    made = []
    for index, size in enumerate(sizes):
        ids = torch.randint(1, 20, (size,), generator=random).tolist()
        made.append((index, Example(ids, [place >= size // 2 for place in range(size)], 10 * index)))
    return Answered(Ragged(Answered.stored(made)))


@pytest.mark.parametrize("seed", range(20))
def test_best_fit_loses_nothing_and_fills_no_row_beyond_its_capacity(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    capacity = int(torch.randint(1, 60, (), generator=random))
    sizes = torch.randint(1, capacity + 1, (200,), generator=random).tolist()
    rows = best_fit(sizes, capacity)
    assert sorted(index for row in rows for index in row) == list(range(200))
    loads = [sum(sizes[index] for index in row) for row in rows]
    assert max(loads) <= capacity
    assert len(rows) <= 11 / 9 * max(-(-sum(sizes) // capacity), sum(2 * size > capacity for size in sizes)) + 1
    assert rows == best_fit(sizes, capacity)


def test_each_goes_into_the_row_that_it_leaves_the_least_room_in() -> None:
    assert best_fit([7, 6, 3, 4, 10], 10) == [[4], [0, 2], [1, 3]]
    assert best_fit([], 10) == []


def test_a_row_has_its_examples_and_the_answers_alone_are_targets() -> None:
    tokens = some_examples([5, 4, 6, 3])
    batch = tokens.packed(torch.tensor([2, 0, 3]), torch.tensor([2, 1]), width=10, padding=0)
    assert batch.documents is not None
    assert batch.documents.tolist() == [[0] * 5 + [1] * 4 + [2], [0] * 2 + [1] * 8]
    assert batch.num_bytes.tolist() == [20 + 0, 30]
    for row, place, example in ((0, 0, 2), (0, 5, 0), (1, 0, 3)):
        ids, counts = tokens.of(example)
        inside = slice(place, place + len(ids) - 1)
        assert batch.ids[row, inside].tolist() == ids[:-1].tolist()
        assert batch.targets[row, inside].tolist() == ids[1:].masked_fill(~counts[1:], IGNORED).tolist()
    assert batch.ids[1, 2:].eq(0).all()
    assert batch.targets[1, 2:].eq(IGNORED).all()
    positions = batch.positions
    assert positions is not None
    assert positions[0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 0]


class OneLayer(nn.Module):
    """Attention within documents, with positions in them."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 16), nn.Embedding(32, 16)
        self.query, self.out = nn.Linear(16, 48), nn.Linear(16, 20)

    def forward(self, batch: Packed) -> Tensor:
        B, T = batch.ids.shape  # noqa: N806
        positions = torch.arange(T).expand(B, T) if batch.positions is None else batch.positions
        documents = torch.zeros_like(batch.ids) if batch.documents is None else batch.documents
        mask = (documents[:, :, None] == documents[:, None]) & torch.ones(T, T, dtype=torch.bool).tril()
        q, k, v = self.query(self.tokens(batch.ids) + self.places(positions)).chunk(3, -1)
        logits = self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
        return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)


def loss_and_gradients(batches: list[Packed]) -> list[Tensor]:
    torch.manual_seed(0)
    model = OneLayer().double()
    counts = [int((batch.targets != IGNORED).sum()) for batch in batches]
    loss = sum(model(batch) * count for batch, count in zip(batches, counts, strict=True)) / sum(counts)
    loss.backward()
    return [loss.detach(), *(weight.grad for weight in model.parameters() if weight.grad is not None)]


def batches_of(tokens: Answered, window: int, packing: bool) -> list[Packed]:
    rows = rows_of(tokens, torch.arange(len(tokens.lengths)), window, packing)
    examples = PackedRows(tokens, Ragged(rows), torch.arange(len(rows)), 7, alone=not packing)
    return [examples[torch.arange(start, min(start + 4, len(rows)))] for start in range(0, len(rows), 4)]


@pytest.mark.parametrize("seed", range(3))
def test_packed_and_padded_rows_have_the_same_loss_and_gradients(seed: int) -> None:
    sizes = torch.randint(2, 25, (30,), generator=torch.Generator().manual_seed(seed)).tolist()
    tokens = some_examples(sizes, seed)
    packed, padded = batches_of(tokens, 32, True), batches_of(tokens, 32, False)
    assert sum(batch.ids.numel() for batch in packed) < 0.8 * sum(batch.ids.numel() for batch in padded)
    assert sum(batch.num_bytes.sum() for batch in packed) == sum(batch.num_bytes.sum() for batch in padded)
    for one, other in zip(loss_and_gradients(packed), loss_and_gradients(padded), strict=True):
        torch.testing.assert_close(one, other)


def test_what_stands_beside_an_example_changes_nothing() -> None:
    tokens = some_examples([9, 8, 8])
    members = [torch.tensor(pair) for pair in ([0, 1], [0, 2])]
    first, second = (tokens.packed(pair, torch.tensor([2]), 16, 0) for pair in members)
    only: list[Any] = [batch._replace(targets=batch.targets.clone()) for batch in (first, second)]
    for batch in only:
        batch.targets[:, 8:] = IGNORED
    for one, other in zip(loss_and_gradients([only[0]])[:1], loss_and_gradients([only[1]])[:1], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)

"""Conversations and preferences as they are published, by a tokenizer and a chat template as they are published."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from datamodules.chat import Chat
from datamodules.errors import DataError
from datamodules.preferences import Preferences
from datamodules.tokenizing.coloured import coloured
from datamodules.tokenizing.packed import IGNORED, Packed

pytestmark = pytest.mark.real_data

FILES = {  # conversations, and answers that are to be learned
    "chat/alpaca_zh_demo.json": (1000, 1000),
    "chat/alpaca_en_demo.json": (999, 999),
    "chat/identity.json": (91, 91),
    "chat/glaive_toolcall_zh_demo.json": (300, 940),
    "math/gsm8k-test.jsonl": (1319, 1319),
}


def ready(path: Path, shared_data: Path, cls: Callable[..., Any] = Chat, **options: Any) -> Any:
    tokenizer = str(shared_data / "tokenizers" / "minimind")
    data = cls(str(path), **{"tokenizer": tokenizer, "window": 4096, "batch_size": 1, **options})
    data.setup()
    return data


@pytest.mark.parametrize("name", FILES)
def test_every_answer_is_learned_and_nothing_else(name: str, shared_data: Path) -> None:
    data = ready(shared_data / name, shared_data, fill={"name": "小智", "author": "我们"})
    conversations, answers = FILES[name]
    assert len(data.conversations) == conversations
    learned = []
    for split in ("train", "val", "test"):
        examples = data.split_examples(split)
        for row in range(len(examples)):
            batch = examples[torch.tensor([row])]
            learned += [
                piece.text for text in coloured(batch, 0, data.built_tokenizer) for piece in text if piece.counts
            ]
            assert batch.ids[0][batch.targets[0] != IGNORED].ne(0).all()
    expected = [
        message["content"].removeprefix("\n")
        for conversation in data.conversations
        for message in conversation.messages
        if message["role"] == "assistant" and not message.get("tool_calls")
    ]
    calls = [text for text in learned if text.startswith("<tool_call>")]
    assert len(learned) == answers == len(expected) + len(calls)
    assert all(text.endswith("</tool_call><|im_end|>") for text in calls)
    said = sorted(text for text in learned if text not in calls)
    assert said == sorted(f"{text.lstrip(chr(10))}<|im_end|>" for text in expected)


@pytest.mark.parametrize(("name", "pairs"), [("dpo_zh_demo.json", 300), ("dpo_en_demo.json", 300)])
def test_both_answers_of_every_pair_are_there(name: str, pairs: int, shared_data: Path) -> None:
    data = ready(shared_data / "preference" / name, shared_data, Preferences, window=8192)
    assert sum(map(len, data.splits)) == pairs
    for batch in data.test_dataloader():
        for row, index in enumerate(batch.index.tolist()):
            for side, answer in ((batch.chosen, "chosen"), (batch.rejected, "rejected")):
                [text] = coloured(side, row, data.built_tokenizer)
                [counted] = [piece.text for piece in text if piece.counts]
                [message] = getattr(data.pairs[index], answer)
                assert counted == message["content"].lstrip("\n") + "<|im_end|>"


def test_a_tokenizer_without_the_tokens_of_a_conversation_is_refused(shared_data: Path) -> None:
    for folder in ("tokenizers/gpt2", "models/stories260K-hf"):
        with pytest.raises(DataError, match=r"ChatML: the chat template writes <\|im_start\|>, which is no token"):
            ready(shared_data / "chat" / "identity.json", shared_data, tokenizer=str(shared_data / folder))


class Small(nn.Module):
    """A transformer whose attention is within documents.

    Args:
        width: of its features.
        layers: number of these.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(6400, width), nn.Embedding(1024, width)
        self.mixed = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(layers))
        self.wide = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(layers)
        )

    def forward(self, batch: Packed) -> Tensor:
        rows, length = batch.ids.shape
        positions = batch.positions
        x = self.tokens(batch.ids) + self.places(torch.arange(length) if positions is None else positions)
        mask = None
        if batch.documents is not None:
            same = batch.documents[:, :, None] == batch.documents[:, None]
            mask = (same & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
        for mixed, wide in zip(self.mixed, self.wide, strict=True):
            q, k, v = mixed(x).view(rows, length, 3, 4, -1).permute(2, 0, 3, 1, 4)
            heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            x = x + heads.transpose(1, 2).flatten(2)
            x = x + wide(x)
        logits = x.flatten(0, 1) @ self.tokens.weight.T
        return F.cross_entropy(logits, batch.targets.flatten(), ignore_index=IGNORED, reduction="sum")


@pytest.mark.long
def test_packed_and_padded_rows_have_the_same_loss_and_gradients(shared_data: Path) -> None:
    found = []
    for packing in (True, False):
        data = ready(
            shared_data / "chat" / "alpaca_zh_demo.json", shared_data, window=512, packing=packing, batch_size=8
        )
        torch.manual_seed(0)
        model = Small(32, 2).double()
        examples = data.split_examples("val")
        batches = [examples[index] for index in torch.arange(len(examples)).split(16)]
        loss = sum(model(batch) for batch in batches) / sum(int((batch.targets != IGNORED).sum()) for batch in batches)
        loss.backward()
        found.append([loss.detach(), *(weight.grad for weight in model.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_packed_rows_have_half_as_many_places_as_padded_ones(shared_data: Path) -> None:
    learned = []
    for packing in (True, False):
        path = shared_data / "chat" / "alpaca_zh_demo.json"
        data = ready(path, shared_data, window=512, packing=packing, batch_size=16)
        batches = [*data.train_dataloader()]
        places = sum(batch.ids.numel() for batch in batches)
        learned.append(sum(int((batch.targets != IGNORED).sum()) for batch in batches) / places)
        if packing:
            filled = data.tokens.sizes[data.rows.values.long()].sum() / (len(data.rows) * data.window)
            assert filled > 0.97
    assert learned[0] > 2 * learned[1]

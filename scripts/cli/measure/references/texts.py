"""Texts: batches at random, each padded to its longest text."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from datamodules.base import DataModule
from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from scripts.cli.measure.references.loop import train


def padded(texts: Sequence[Tensor], padding: int) -> Text:
    """Texts side by side."""
    return Text(pad_sequence([*texts], batch_first=True, padding_value=padding), torch.tensor([*map(len, texts)]))


def classifier(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """A text classifier's steps."""
    split: Any = data.split_examples("train")
    text, labels = split[torch.arange(len(split))]
    examples = [(ids[:length], label) for ids, length, label in zip(*text, labels, strict=True)]

    def collate(rows: Any) -> tuple[Text, Tensor]:
        texts, of_rows = zip(*rows, strict=True)
        return padded(texts, split.padding), torch.stack(of_rows)

    loader: Any = DataLoader(examples, data.batch_size, shuffle=True, drop_last=True, collate_fn=collate)  # type: ignore[arg-type]
    return train(model, model, loader, lambda batch: F.cross_entropy(model(batch[0]), batch[1]), total, clip)


def translator(model: Any, data: DataModule, total: int, clip: float | None) -> Iterator[Any]:
    """A translator's steps."""
    split: Any = data.split_examples("train")
    pair, _ = split[torch.arange(len(split))]
    sides = [[ids[:length] for ids, length in zip(*text, strict=True)] for text in pair]
    source_padding, target_padding = split.padding

    def collate(rows: Any) -> Pair:
        sources, targets = zip(*rows, strict=True)
        return Pair(padded(sources, source_padding), padded(targets, target_padding))

    examples: Any = [*zip(*sides, strict=True)]
    loader: Any = DataLoader(examples, data.batch_size, shuffle=True, drop_last=True, collate_fn=collate)

    def loss(batch: Pair) -> Tensor:
        return F.cross_entropy(
            model(batch).flatten(0, 1),
            batch.target.ids[:, 1:].flatten(),
            ignore_index=target_padding,
            label_smoothing=model.label_smoothing,
        )

    return train(model, model, loader, loss, total, clip)

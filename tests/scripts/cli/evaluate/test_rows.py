"""Examples are predicted by length, and their rows come in the order of the input."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningModule, Trainer

from datamodules.base import DataModule
from datamodules.loading.sampling import Batches
from datamodules.reading import Reading
from datamodules.tagging import Tagging
from datamodules.text import TextClassification
from datamodules.translation import Translation
from scripts.cli.evaluate.rows import Rows, collected_rows

SIZE = 103


class Lengths(LightningModule):
    """Predicts how many tokens each example of a batch has, and counts the padding."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = self.padded = 0

    def predict_step(self, batch: Any, batch_idx: int) -> list[dict[str, Any]]:
        """A row for each example."""
        self.tokens += int(batch.lengths.sum())
        self.padded += batch.ids.numel()
        if hasattr(batch, "owner"):
            return [{"tokens": int(batch.lengths[batch.owner == row].sum())} for row in range(len(batch.num_tokens))]
        return [{"tokens": length} for length in batch.lengths.tolist()]


def texts() -> list[str]:
    draw = random.Random(0)
    return [f"{row} " + " ".join(draw.choices("abcdefg", k=draw.randrange(50))) for row in range(SIZE)]


def data_with_input(type_: Callable[..., DataModule], folder: Path) -> DataModule:
    """Data of batches of four, whose input is the texts."""
    data = type_(batch_size=4)
    data.setup()
    if isinstance(data, Reading):
        rows = ", ".join(f'{{"question": "Who?", "context": "{text}"}}' for text in texts())
        (folder / "input.json").write_text(f"[{rows}]")
        data.set_input(folder / "input.json")
    else:
        (folder / "input.txt").write_text("\n".join(texts()))
        data.set_input(folder / "input.txt")
    return data


@pytest.mark.parametrize("type_", [TextClassification, Translation, Tagging, Reading])
def test_rows_are_those_of_single_examples_in_order_with_little_padding(
    type_: Callable[..., DataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batches, "POOL", 10)
    data = data_with_input(type_, tmp_path)
    waited = []
    add = Rows.on_predict_batch_end

    def count(self: Rows, *arguments: Any) -> None:
        add(self, *arguments)
        waited.append(len(self.waiting))

    monkeypatch.setattr(Rows, "on_predict_batch_end", count)
    trainer = Trainer(logger=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")
    model = Lengths()
    found = collected_rows(trainer, model, data)
    assert [row["input"] for row in found] == [str(name) for name in data.predicted_names]
    assert data.predicted is not None
    assert [row["tokens"] for row in found] == data.predicted.lengths.tolist()  # type: ignore[attr-defined]
    assert model.padded < 1.1 * model.tokens
    assert 4 < max(waited) < 4 * 10  # rows of the largest lengths of a pool, and of no more than that
    assert waited[9] == waited[-1] == 0

"""What the dashboard shows of language models: what counts in a batch, and what the model writes."""

from typing import Any

import pytest
import torch

from callbacks.loggers.logger import Table
from datamodules.tokenizing.coloured import first_answers
from lightning_modules.tasks.boards import FIRST_BATCH
from lightning_modules.tasks.pictures.figure import style
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment
from tests.helpers.recorded_board import RecordedBoard

LITTLE = {
    "llm": ["--data.num_texts", "200"],
    "llm_chat": ["--data.num_conversations", "60"],
    "llm_preference": ["--data.num_pairs", "60"],
}


def built(name: str, *words: str) -> tuple[Any, Any]:
    """A model with new weights, and a batch."""
    small = ["--model.hidden_size", "16", "--model.new_tokens", "4", "--data.batch_size", "4"]
    run = Experiment(resolve(["--model", name, *LITTLE[name], *small, "--trainer.accelerator", "cpu", *words])).build()
    return run.model.eval(), run.data.split_examples("val")[torch.arange(2)]


def samples(model: Any, batch: Any) -> Table:
    board = RecordedBoard()
    with torch.no_grad():
        model.show(batch, board)
    table = Table.parse(board.texts["samples"])
    assert table is not None
    return table


def test_a_chat_answers_questions_of_the_batch_beside_their_right_answers() -> None:
    model, batch = built("llm_chat")
    table = samples(model, batch)
    assert table.header == ["prompt", "continuation", "right"]
    assert len(table.rows) == 4
    for (prompt, _, right), (asked, answer) in zip(table.rows, first_answers(batch, 4), strict=True):
        assert prompt.startswith("<|endoftext|><|im_start|>")
        assert prompt.endswith("<|im_end|> <|im_start|>assistant")
        assert right.endswith("<|im_end|>")
        assert (
            model.tokenizer.decode(asked + answer, skip_special_tokens=False).replace("\n", " ") == f"{prompt} {right}"
        )


def test_prompts_that_are_given_are_questions_to_a_chat_and_beginnings_to_others() -> None:
    found = {name: samples(*built(name, "--model.prompts", "[12 + 7 = ?]")).rows for name in ("llm", "llm_chat")}
    assert [row[0] for row in found["llm"]] == ["<|endoftext|>12 + 7 = ?"]
    asked = "<|endoftext|><|im_start|>user 12 + 7 = ?<|im_end|> <|im_start|>assistant"
    assert [row[0] for row in found["llm_chat"]] == [asked]


@pytest.mark.parametrize("name", LITTLE)
def test_the_first_batch_is_shown(name: str) -> None:
    model, batch = built(name)
    board = RecordedBoard()
    with style():
        model.show_first(batch, board)
    assert [*board.figures] == [FIRST_BATCH]

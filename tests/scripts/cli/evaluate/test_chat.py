"""Talking to a language model."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.tasks.sampling import GREEDY, Stream
from scripts.chat import main as chat
from scripts.cli.evaluate.chat import Conversation, loaded, talk
from scripts.experiment import Experiment
from scripts.export import main as export

BRIEFLY: dict[str, Any] = {"trainer": {"max_steps": 2, "enable_progress_bar": False, "accelerator": "cpu"}}
SMALL = {"hidden_size": 16, "num_layers": 1, "num_heads": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run that continues texts, and one that answers."""
    logs = tmp_path_factory.mktemp("logs")
    found = {}
    for name, data in (("llm", {"num_texts": 400}), ("llm_chat", {"num_conversations": 100})):
        run = Experiment(name, data={"batch_size": 4, **data}, model=SMALL, logs=str(logs), **BRIEFLY).fit()
        assert run.folder is not None
        found[name] = run.folder
    return found


@pytest.fixture
def conversation(runs: dict[str, Path]) -> Conversation:
    model, _ = loaded(str(runs["llm_chat"]), [])
    return Conversation(model, GREEDY, 8, 0, "Your name is Ada.")


def test_one_prompt_is_answered_and_the_same_seed_answers_the_same(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--checkpoint", str(runs["llm_chat"]), "--prompt", "3 + 4 = ?", "--max_tokens", "9"]
    answers = []
    for seed in ("1", "1", "2"):
        chat([*words, "--seed", seed])
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != answers[2]


def test_the_standard_input_is_one_prompt(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("3 + 4 =\n"))
    chat(["--checkpoint", str(runs["llm"]), "--temperature", "0", "--max_tokens", "5"])
    piped = capsys.readouterr().out
    chat(["--checkpoint", str(runs["llm"]), "--temperature", "0", "--max_tokens", "5", "--prompt", "3 + 4 ="])
    assert piped == capsys.readouterr().out


def test_what_was_said_stands_before_the_next_question(conversation: Conversation) -> None:
    first = "".join(conversation.answer("Hello!"))
    prompt = conversation._prompt("Who are you?")
    assert conversation.model.template is not None
    text = conversation.model.tokenizer.decode(prompt, skip_special_tokens=False)
    assert text == (
        "<|endoftext|><|im_start|>system\nYour name is Ada.<|im_end|>\n<|im_start|>user\nHello!<|im_end|>\n"
        f"<|im_start|>assistant\n{first}<|im_end|>\n<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n"
    )
    conversation.restart()
    assert conversation.messages == [{"role": "system", "content": "Your name is Ada."}]


def test_the_oldest_exchanges_are_left_out_where_the_model_reads_no_more(
    conversation: Conversation, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        list(conversation.answer(f"{number} + 1 = ?"))
        assert len(conversation._prompt("?")) < conversation.model.max_positions
        conversation.messages.pop()
    assert conversation.messages[0]["role"] == "system"
    assert "the oldest 1 questions are left out: the model reads no more" in capsys.readouterr().err


def test_ctrl_c_stops_the_answer_and_not_the_chat(
    conversation: Conversation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["Hello!", "", "/new", "Hi!"])

    def ask(_: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    begun: list[int] = []
    whole = Stream.__iter__

    def stopped(stream: Stream) -> Iterator[list[int | None]]:
        begun.append(len(conversation.messages))
        for place, tokens in enumerate(whole(stream)):
            if len(begun) == 1 and place == 2:
                raise KeyboardInterrupt
            yield tokens

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr(Stream, "__iter__", stopped)
    with torch.no_grad():
        talk(conversation)
    assert begun == [2, 2], "the system's message and the question, twice"
    assert " …\n" in capsys.readouterr().out
    assert [message["role"] for message in conversation.messages] == ["system", "user", "assistant"]


def test_what_cannot_be_is_one_line(runs: dict[str, Path], refused: Any, tmp_path: Path) -> None:
    checkpoint = ["--checkpoint", str(runs["llm"])]
    for words, message in (
        (["--prompt", "a"], "which model? Give --checkpoint"),
        ([*checkpoint, "--prompt", " "], "--prompt: expected a text, got none"),
        ([*checkpoint, "--prompt", "a", "--temperature", "hot"], "--temperature: expected a number, got hot"),
        ([*checkpoint, "--prompt", "a", "--top_p", "2"], "--top_p: expected more than 0 and at most 1, got 2.0"),
        ([*checkpoint, "--prompt", "a", "--top_k", "0"], "--top_k: expected a whole number of at least 1, got 0"),
        ([*checkpoint, "--prompt", "a", "--system", "b"], "has no chat template: it continues texts"),
        (["--checkpoint", "model.gguf", "--prompt", "a"], "a GGUF file; expected a folder as transformers writes it"),
        ([*checkpoint, "--prompt", "a" * 3000], "expected less than the 256 that the model reads"),
    ):
        assert message in refused(chat, *words)


def test_another_model_is_no_language_model(refused: Any, tmp_path: Path) -> None:
    run = Experiment("mlp", logs=str(tmp_path), **BRIEFLY).fit()
    assert "expected a language model, found MLP" in refused(chat, "--checkpoint", str(run.folder), "--prompt", "a")


@pytest.mark.parametrize("name", ["llm", "llm_chat"])
def test_an_exported_folder_is_the_same_model_to_transformers_and_to_chat(
    name: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Any
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path / "my model"
    words = ["--checkpoint", str(runs[name]), "--format", "huggingface", "--output", str(folder)]
    export(words)
    assert "logits differ by" in capsys.readouterr().out
    assert "expected a new or an empty folder" in refused(export, *words)
    asked = ["--prompt", "3 + 4 = ?", "--temperature", "0", "--max_tokens", "6"]
    answers = []
    for checkpoint in (runs[name], folder):
        chat(["--checkpoint", str(checkpoint), *asked])
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1]
    tokenizer, theirs = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    if name == "llm_chat":
        messages = [{"role": "user", "content": "3 + 4 = ?"}]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    else:
        ids = tokenizer("3 + 4 = ?").input_ids
    ours = loaded(str(runs[name]), [])[0]
    assert ids == (ours.template.render(messages) if ours.template else ours.prompt_of("3 + 4 = ?"))
    found = theirs.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)[0, len(ids) :]
    assert str(tokenizer.decode(found, skip_special_tokens=True)).strip() == answers[0].strip()

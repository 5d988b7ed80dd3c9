"""Talk to a language model in the terminal, or ask it once."""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from datamodules.loading.sampling import generator
from datamodules.tokenizing.chat_template import Message
from datamodules.tokenizing.pretrained_language import pretrained_vocabulary
from datamodules.tokenizing.tokens import tokenizer_from_json
from lightning_modules.llm import LLM
from lightning_modules.tasks.language_model import LanguageModel
from lightning_modules.tasks.sampling import Decoded, Sampling, Stream
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.run.experiment import Experiment

NEW = "/new"
DEFAULTS = Sampling(temperature=0.7, top_p=0.95)
YOU, MODEL = "you: ", "model: "


def chat(
    words: list[str],
    checkpoint: str,
    prompt: str | None = None,
    system: str | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition: float | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
) -> None:
    """Answer one prompt, the standard input, or what is typed, until its end.

    Args:
        words: options that differ from training.
        checkpoint: a checkpoint, a run's folder, or a folder as transformers writes it.
        prompt: to be answered; None for what is typed, or read from the standard input.
        system: what the model is told before.
        temperature: of the sampling, as the others; None for their defaults.
        top_k: see Sampling.
        top_p: see Sampling.
        min_p: see Sampling.
        repetition: see Sampling.
        max_tokens: of an answer.
        seed: of the sampling; None for one at random.

    Raises:
        UserError: the checkpoint is none of a language model, or an option is out of its range.
    """
    with user_errors():
        given: dict[str, Any] = {
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repetition": repetition,
        }
        defaults = Sampling(temperature=0.7, top_p=0.95)
        sampling = defaults._replace(**{name: value for name, value in given.items() if value is not None}).check()
        model, context = loaded(checkpoint, words)
        if system is not None and model.template is None:
            raise UsageError(f"--system: {checkpoint} has no chat template: it continues texts; leave --system out")
        conversation = Conversation(model, sampling, max_tokens or 512, seed, system)
    with context():
        if prompt is None and not sys.stdin.isatty():
            prompt = sys.stdin.read()
        if prompt is not None:
            if not prompt.strip():
                raise UsageError("--prompt: expected a text, got none")
            with user_errors():
                for part in conversation.answer(prompt.rstrip("\n")):
                    print(part, end="", flush=True)
            print()
            return
        talk(conversation)


def loaded(checkpoint: str, words: list[str]) -> tuple[LanguageModel, Callable[[], Any]]:
    """A language model, ready to answer, and the context in which it computes.

    Raises:
        UsageError: it is another model.
    """
    folder = Path(checkpoint).expanduser()
    if (folder / "config.json").is_file():
        if words:
            raise UsageError(f"{words[0]}: a folder of transformers has no settings of ours; leave it out")
        return of_transformers(str(folder)), torch.no_grad
    if folder.suffix == ".gguf":
        raise UsageError(
            f"--checkpoint {checkpoint}: a GGUF file; expected a folder as transformers writes it, or a run"
        )
    experiment = Experiment.load(checkpoint, options=words)
    model = experiment.model
    if not isinstance(model, LanguageModel):
        raise UsageError(f"--checkpoint {checkpoint}: expected a language model, found {type(model).__name__}")
    strategy = experiment.trainer.strategy
    return model.to(strategy.root_device).eval(), strategy.precision_plugin.forward_context


def of_transformers(folder: str) -> LanguageModel:
    """A pretrained model with its own tokenizer and chat template."""
    vocabulary = pretrained_vocabulary(folder)
    size = tokenizer_from_json(vocabulary.tokenizer_json).get_vocab_size()
    model: LanguageModel = LLM(num_tokens=size, pretrained=folder, window=8, **vocabulary._asdict())
    if model.template is not None:
        model.template.now = datetime.now()  # the day that templates may tell
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


class Conversation:
    """What has been said, and the model that goes on.

    Args:
        model: in evaluation mode.
        sampling: how tokens are chosen.
        max_tokens: of an answer.
        seed: of the sampling; None for one at random.
        system: what the model is told before.
    """

    def __init__(
        self, model: LanguageModel, sampling: Sampling, max_tokens: int, seed: int | None, system: str | None
    ) -> None:
        self.model = model
        self.sampling = sampling
        self.max_tokens = max_tokens
        self.generator = generator(secrets.randbits(32) if seed is None else seed)
        self.first: list[Message] = [{"role": "system", "content": system}] if system else []
        self.messages: list[Message] = [*self.first]

    def restart(self) -> None:
        """Forget what has been said."""
        self.messages = [*self.first]

    def answer(self, text: str) -> Iterator[str]:
        """The parts of the answer as they come; what has come by then is kept if it is interrupted.

        Raises:
            ValueError: the text is longer than the model reads.
        """
        prompt = self._prompt(text)
        stream = Stream(
            self.model,
            [prompt],
            self.max_tokens,
            self.model.stop_tokens,
            self.sampling,
            self.generator,
            self.model.device,
        )
        decoded = Decoded(self.model.tokenizer.decode)
        try:
            for (token,) in stream:
                if token is not None and (part := decoded.add(token)):
                    yield part
            if rest := decoded.rest():
                yield rest
        finally:
            self.messages.append({"role": "assistant", "content": decoded.told})

    def _prompt(self, text: str) -> list[int]:
        """The tokens before the answer; where they are too many, the oldest exchanges are left out."""
        template = self.model.template
        if template is None:
            return self.model.prompt_of(text)
        self.messages.append({"role": "user", "content": text})
        left_out = 0
        while True:
            ids = template.render(self.messages, add_generation_prompt=True)
            exchange = len(self.first), len(self.first) + 2
            if len(ids) + 1 < self.model.max_positions or len(self.messages) <= exchange[1]:
                break
            del self.messages[slice(*exchange)]
            left_out += 1
        if left_out:
            print(f"note: the oldest {left_out} questions are left out: the model reads no more", file=sys.stderr)
        return ids


def talk(conversation: Conversation) -> None:
    """Questions and answers, until the end of what is typed."""
    with suppress(ImportError):
        import readline  # noqa: F401  # what is typed can be edited, and earlier lines are found again
    print("Ctrl-C stops an answer, Ctrl-D ends the chat, /new begins another conversation", file=sys.stderr)
    while True:
        try:
            text = input(YOU).strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\nCtrl-D ends the chat", file=sys.stderr)
            continue
        if text == NEW:
            conversation.restart()
        elif text:
            print(MODEL, end="", flush=True)
            try:
                for part in conversation.answer(text):
                    print(part, end="", flush=True)
                print()
            except KeyboardInterrupt:
                print(" …")
            except ValueError as error:  # too long
                conversation.messages = conversation.messages[:-1]
                print(f"error: {error}", file=sys.stderr)

"""Texts that a language model continues: how the next token is chosen, and how a text grows by it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Sampling(NamedTuple):
    """How the next token is chosen from its probabilities.

    Args:
        temperature: that logits are divided by; 0 for the most probable token.
        top_k: choose among so many of the most probable tokens (Fan et al. 2018, https://arxiv.org/abs/1805.04833).
        top_p: among the most probable ones whose probabilities sum to this (Holtzman et al. 2020,
            https://arxiv.org/abs/1904.09751).
        min_p: among those at least this fraction as probable as the most probable one (Nguyen et al. 2024,
            https://arxiv.org/abs/2407.01082).
        repetition: that positive logits of tokens of the text so far are divided by, and negative ones multiplied
            (Keskar et al. 2019, https://arxiv.org/abs/1909.05858).
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition: float = 1.0

    def check(self, option: str = "--") -> "Sampling":
        """These, if they are in their ranges.

        Raises:
            ValueError: one is not.
        """
        ranges = {
            "temperature": (self.temperature >= 0, "at least 0"),
            "top_k": (self.top_k is None or self.top_k >= 1, "at least 1"),
            "top_p": (0 < self.top_p <= 1, "more than 0 and at most 1"),
            "min_p": (0 <= self.min_p <= 1, "from 0 to 1"),
            "repetition": (self.repetition > 0, "more than 0"),
        }
        for name, (fits, expected) in ranges.items():
            if not fits:
                raise ValueError(f"{option}{name}: expected {expected}, got {getattr(self, name)}")
        return self

    def probabilities(self, logits: Tensor, seen: Tensor | None = None) -> Tensor:
        """The probabilities (B, V) that the next tokens are drawn with.

        Args:
            logits: (B, V)
            seen: (B, V) which tokens the texts have so far; needed for a repetition other than 1.
        """
        logits = logits.float()
        if self.repetition != 1 and seen is not None:
            weaker = torch.where(logits > 0, logits / self.repetition, logits * self.repetition)
            logits = torch.where(seen, weaker, logits)
        if self.temperature == 0:
            return torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)
        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[1]:
            logits = logits.masked_fill(logits < logits.topk(self.top_k).values[:, -1:], -torch.inf)
        probabilities = logits.softmax(1)
        if self.top_p < 1:
            ordered, order = probabilities.sort(descending=True, stable=True)
            enough = ordered.cumsum(1) - ordered >= self.top_p  # without these there is enough already
            probabilities = probabilities.masked_fill(enough.gather(1, order.argsort(1)), 0.0)
        if self.min_p > 0:
            least = self.min_p * probabilities.amax(1, keepdim=True)
            probabilities = probabilities.masked_fill(probabilities < least, 0.0)
        return probabilities / probabilities.sum(1, keepdim=True)


GREEDY = Sampling(temperature=0.0)


class Decoding(Protocol):
    """A model that continues texts."""

    @property
    def max_positions(self) -> int:
        """Number of tokens that it knows positions of."""

    def start(self, rows: int, size: int) -> Any:
        """Empty caches of so many rows, with room for so many tokens."""

    def advance(self, ids: Tensor, places: Tensor, caches: Any) -> Tensor:
        """Logits (B, T, V) after new tokens at their places, (B, T); the caches are written."""


class Stream:
    """The texts of a batch as they grow, a token at a time.

    Prompts of different lengths are read together: what the shorter ones are padded with is overwritten by the tokens
    that follow, before anything attends to it.

    Args:
        model: in evaluation mode.
        prompts: the tokens of each, at least one.
        most: maximum number of tokens that follow; less where the model knows no more positions.
        stop: tokens that end a text; they are no part of it.
        sampling: how tokens are chosen.
        generator: of the random numbers; on the CPU.

    Raises:
        ValueError: a prompt is empty, or longer than the model can read.
    """

    def __init__(
        self,
        model: Decoding,
        prompts: Sequence[Sequence[int]],
        most: int,
        stop: Collection[int],
        sampling: Sampling = GREEDY,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        lengths = [len(prompt) for prompt in prompts]
        if not all(lengths):
            raise ValueError("an empty prompt: expected at least one token")
        if max(lengths) >= model.max_positions:
            raise ValueError(
                f"a prompt of {max(lengths)} tokens: expected less than the {model.max_positions} that the model reads"
            )
        self.model, self.stop, self.sampling, self.generator = model, set(stop), sampling, generator
        self.device = torch.device(device)
        self.left = min(most, model.max_positions - max(lengths))
        self.lengths = torch.tensor(lengths, device=self.device)
        width = max(lengths)
        self.ids = torch.tensor([[*prompt, *[0] * (width - len(prompt))] for prompt in prompts], device=self.device)
        self.caches = model.start(len(prompts), width + self.left)
        self.texts: list[list[int]] = [[] for _ in prompts]
        self.ended = [False] * len(prompts)
        self._seen: Tensor | None = None

    @torch.no_grad()
    def __iter__(self) -> Iterator[list[int | None]]:
        """The next token of each text, None of those that have ended."""
        width = self.ids.shape[1]
        places = torch.arange(width, device=self.device).expand_as(self.ids)
        logits = self.model.advance(self.ids, places, self.caches)
        rows = torch.arange(len(self.ids), device=self.device)
        newest = logits[rows, self.lengths - 1]  # (B, V)
        while self.left > 0 and not all(self.ended):
            tokens = self._chosen(newest)
            self.left -= 1
            new: list[int | None] = []
            for row, token in enumerate(tokens.tolist()):
                self.ended[row] = self.ended[row] or token in self.stop
                new.append(None if self.ended[row] else token)
                if not self.ended[row]:
                    self.texts[row].append(token)
            if any(token is not None for token in new):
                yield new
            if self.left > 0 and not all(self.ended):
                newest = self.model.advance(tokens[:, None], self.lengths[:, None], self.caches)[:, 0]
                self.lengths = self.lengths + 1

    def _chosen(self, logits: Tensor) -> Tensor:
        """The next tokens, (B,)."""
        if self.sampling.temperature == 0 and self.sampling.repetition == 1:
            return logits.argmax(1)
        if self.sampling.repetition != 1:
            if self._seen is None:
                self._seen = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
                for row, length in enumerate(self.lengths.tolist()):
                    self._seen[row, self.ids[row, :length]] = True
            for row, text in enumerate(self.texts):
                if text:
                    self._seen[row, text[-1]] = True
        probabilities = self.sampling.probabilities(logits, self._seen)
        if self.sampling.temperature == 0:
            return probabilities.argmax(1)
        drawn = torch.multinomial(probabilities.cpu(), 1, generator=self.generator)[:, 0]
        return drawn.to(logits.device)


def continued(
    model: Decoding,
    prompts: Sequence[Sequence[int]],
    most: int,
    stop: Collection[int],
    sampling: Sampling = GREEDY,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> list[list[int]]:
    """The tokens that follow each prompt; the arguments are those of Stream."""
    stream = Stream(model, prompts, most, stop, sampling, generator, device)
    for _ in stream:
        pass
    return stream.texts


class Decoded:
    """A text as its tokens arrive, of which no half character is told.

    Args:
        decode: makes a text of tokens.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self.decode = decode
        self.tokens: list[int] = []
        self.told = ""

    def add(self, token: int) -> str:
        """What a further token adds to the text that was told; a character whose bytes are not complete waits."""
        self.tokens.append(token)
        text = self.decode(self.tokens)
        return self._more(text[: -_waiting(text)] if _waiting(text) else text)

    def rest(self) -> str:
        """What still waits, when no token follows."""
        return self._more(self.decode(self.tokens))

    def _more(self, text: str) -> str:
        new = text[len(self.told) :] if text.startswith(self.told) else ""
        self.told += new
        return new


def _waiting(text: str) -> int:
    """How many characters at the end stand for bytes that are not complete."""
    return len(text) - len(text.rstrip("\ufffd"))

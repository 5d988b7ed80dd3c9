"""How classified texts are shown: as Markdown tables, which keep any language whole."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from datamodules.tokenizing.tokens import Text

SHOWN = 12  # texts on the dashboard
MOST_TOKENS = 60  # of a text
BAR = 20  # signs of the longest bar


def tokens_of(text: Text, token_names: Sequence[str]) -> list[list[str]]:
    """The tokens of each text.

    Args:
        text: B of them.
        token_names: of all V tokens.
    """
    rows = zip(text.ids.tolist(), text.lengths.tolist(), strict=True)
    return [[token_names[number] for number in ids[:length]] for ids, length in rows]


def cell(text: str) -> str:
    """The text with what Markdown would take for markup made plain."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|~" else " " if sign in "\r\n" else sign for sign in text)


def joined(tokens: Sequence[str]) -> str:
    """Tokens as a text; pieces of a word are put together, and there is no space between Chinese characters."""
    text = ""
    for token in tokens:
        piece = token.removeprefix("##")
        if text and piece == token and not (is_wide(text[-1]) or is_wide(token[0])):
            text += " "
        text += piece
    return text


def is_wide(sign: str) -> bool:
    """Whether the sign is one of the East Asian ones, which are written without spaces."""
    return (
        "\u2e80" <= sign <= "\u9fff"
        or "\uf900" <= sign <= "\ufaff"
        or "\uff00" <= sign <= "\uffef"
        or sign >= "\U00020000"
    )


def examples_table(tokens: Sequence[Sequence[str]], target: Tensor, logits: Tensor, class_names: Sequence[str]) -> str:
    """The first texts with their true and predicted class.

    Args:
        tokens: of the B texts.
        target: (B,)
        logits: (B, C)
        class_names: of the classes.
    """
    lines = ["| | true | predicted | text |", "| --- | --- | --- | --- |"]
    probability, predicted = logits.float().softmax(-1).max(-1)
    rows = zip(tokens, target.tolist(), predicted.tolist(), probability.tolist(), strict=True)
    for words, true, guess, share in list(rows)[:SHOWN]:
        text = joined(words[:MOST_TOKENS]) + (" …" if len(words) > MOST_TOKENS else "")
        mark = "✓" if true == guess else "✗"
        lines.append(f"| {mark} | {cell(class_names[true])} | {cell(class_names[guess])} {share:.2f} | {cell(text)} |")
    return "\n".join(lines)


def weights_table(tokens: Sequence[str], weights: Sequence[float]) -> str:
    """A text from top to bottom, with each token's weight.

    Args:
        tokens: T of them.
        weights: at least T; those of the padding come last.
    """
    largest = max(weights)
    lines = ["| token | weight | |", "| --- | ---: | --- |"]
    for token, weight in list(zip(tokens, weights, strict=False))[:MOST_TOKENS]:
        lines.append(f"| {cell(token)} | {weight:.3f} | {'█' * round(BAR * weight / largest)} |")
    return "\n".join(lines)


def heaviest(tokens: Sequence[str], weights: Sequence[float], most: int = 5) -> list[dict[str, Any]]:
    """The tokens that weigh most, the heaviest first.

    Args:
        tokens: T of them.
        weights: at least T; those of the padding come last.
        most: how many.
    """
    order = sorted(range(len(tokens)), key=lambda place: -weights[place])[:most]
    return [{"token": tokens[place], "place": place, "weight": round(weights[place], 4)} for place in order]

"""Pairs of answers, of which one is preferred, in the forms that people have them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.files.conversations import (
    MESSAGES,
    PROMPTS,
    Message,
    is_answer,
    messages_of,
    prompt_of,
    spoken,
    text_of,
    tools_of,
)
from datamodules.files.records import records
from datamodules.files.splits import Note, listed

CHOSEN, REJECTED = ("chosen", "preferred"), ("rejected", "dispreferred")
TURNS = re.compile(r"\n\n(Human|Assistant): ?")  # of a transcript, as Anthropic's HH-RLHF has them


@dataclass
class Preference:
    """A conversation that goes on in two ways, one of which is better.

    Args:
        asked: the messages that both have.
        chosen: the messages that follow them in the better one.
        rejected: those in the other one.
        tools: functions that the assistant may call.
        origin: file and line, or row.
    """

    asked: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    tools: list[Any] = field(default_factory=list)
    origin: str = ""

    def identity(self) -> str:
        """What it says, equal for duplicates."""
        return json.dumps([self.asked, self.chosen, self.rejected], ensure_ascii=False, sort_keys=True)


def read_preferences(path: Path, encoding: str, note: Note) -> Iterator[Preference]:
    """The pairs of a file; those whose answers are equal, or one of which says nothing, are counted and left out.

    Args:
        path: JSON, JSON lines or Parquet.
        encoding: of its text.
        note: reports what is left out.

    Raises:
        DataError: a row is no pair, or none is left; the message has the row.
    """
    equal, silent, count = [], [], 0
    for where, record in records(path, encoding):
        count += 1
        pair = preference_of(record, where)
        if pair.chosen == pair.rejected:
            equal.append(where)
        elif not all(any(map(is_answer, side)) for side in (pair.chosen, pair.rejected)):
            silent.append(where)
        else:
            yield pair
    if len(equal) + len(silent) == count:
        raise DataError(
            f"{path}: of {count} pairs none is left: in {len(equal)} both answers are equal, in {len(silent)} one says "
            f"nothing"
        )
    for found, why in ((equal, "whose answers are equal"), (silent, "of which one answer says nothing")):
        if found:
            first = found[0].removeprefix(str(path)).lstrip(": ")
            note(f"{path}: left out {len(found)} of {count} pairs {why}, the first {first}")


def preference_of(record: Any, where: str) -> Preference:
    """The pair of a record.

    Raises:
        DataError: it has no two answers; the message has its keys.
    """
    found = {key: value for key, value in record.items() if value is not None} if isinstance(record, dict) else {}
    chosen, rejected = (next((key for key in keys if key in found), None) for keys in (CHOSEN, REJECTED))
    if chosen is None or rejected is None:
        keys = listed(list(record), 8) if isinstance(record, dict) else "none"
        raise DataError(f"{where}: has the keys {keys or 'none'}; expected chosen and rejected, and prompt or messages")
    sides = [_side(found[key], f"{where}: {key}") for key in (chosen, rejected)]
    asked: list[Message] = []
    if all(side and side[0]["role"] == "assistant" for side in sides):  # else they have the conversation in them
        asked = _asked(found, where)
    shared = 0
    while all(len(side) > shared + 1 for side in sides) and sides[0][shared] == sides[1][shared]:
        shared += 1
    asked += sides[0][:shared]
    system = found.get("system") or found.get("system_prompt")
    if system and not (asked and asked[0]["role"] == "system"):
        asked = [{"role": "system", "content": text_of(system, f"{where}: system")}, *asked]
    return Preference(asked, sides[0][shared:], sides[1][shared:], tools_of(found.get("tools"), where), where)


def _asked(found: dict[str, Any], where: str) -> list[Message]:
    for key in MESSAGES:
        if isinstance(found.get(key), list):
            return messages_of(found[key], where)
    prompt = next((key for key in PROMPTS if key in found), None)
    if prompt is None:
        return []
    if isinstance(found[prompt], str) and TURNS.match(found[prompt]):
        return _transcript(found[prompt])
    return prompt_of(found, prompt, where)


def _side(value: Any, where: str) -> list[Message]:
    """The messages of an answer, or of a whole conversation that ends with it."""
    if isinstance(value, str) and TURNS.match(value):
        return _transcript(value)
    return spoken(value, "assistant", where)


def _transcript(text: str) -> list[Message]:
    """The messages of a transcript: each begins with who speaks; the last may be empty, before an answer."""
    _, *parts = TURNS.split(text)
    roles = {"Human": "user", "Assistant": "assistant"}
    messages = [{"role": roles[who], "content": said.strip()} for who, said in zip(*[iter(parts)] * 2, strict=True)]
    return messages[:-1] if messages[-1] == {"role": "assistant", "content": ""} else messages

"""Sentences with named entities: their words, and the entities that tags make."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Unit = Literal["word", "character"]

CJK = "\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # and punctuation
_WORD = rf"[{CJK}]|\d+|[^\W\d_{CJK}]+|\S"
_IS_CJK = re.compile(rf"[{CJK}]")
BEGINS, ENDS = "BSUW", "ESLUW"  # in BIO, BIOES, BMES, BMEWO and BILOU


class Entity(NamedTuple):
    """A named entity in a text.

    Args:
        start: position of its first character.
        end: position after its last character.
        type: entity type.
    """

    start: int
    end: int
    type: str


@dataclass
class Sentence:
    """A text, its words and its entities.

    Args:
        text: the sentence.
        words: start and end of each word that has a label; empty if the file does not cut the text into words.
        entities: entities from left to right, which do not overlap.
        faults: what was left out or changed: `overlap` for each other entity that overlaps a longer one, …
        name: the publisher's identifier.
    """

    text: str
    words: list[tuple[int, int]] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    faults: Sequence[str] = ()
    name: str = ""


def sentence_from_json(row: list[Any], unit: Unit | None = None) -> Sentence:
    """A sentence from the list of its attributes.

    Args:
        row: the attributes.
        unit: unit by which to cut the text if the file does not cut it.
    """
    text, words, entities, faults, name = row
    spans = [(start, end) for start, end in words]
    if unit and not spans:
        spans = cut_words(text, unit)
    return Sentence(text, spans, [Entity(*entity) for entity in entities], faults, name)


def cut_words(text: str, unit: Unit) -> list[tuple[int, int]]:
    """Start and end of each word; a Chinese character is always a word of its own.

    Args:
        text: text to cut.
        unit: what else is a word: `word`, a run of letters, a run of digits, or a sign; `character`, each character.
    """
    return [match.span() for match in re.finditer(word_pattern(unit), text)]


def word_pattern(unit: Unit) -> str:
    """A regular expression that finds the words of a text."""
    return r"\S" if unit == "character" else _WORD


def infer_unit(sentences: Iterable[Sentence]) -> Unit:
    """The unit of these sentences: as their file cuts them, or characters if most of these are Chinese."""
    if any(sentence.words for sentence in sentences):
        has_words = any(end - start > 1 for sentence in sentences for start, end in sentence.words)
        return "word" if has_words else "character"
    signs = (bool(_IS_CJK.match(sign)) for sentence in sentences for sign in sentence.text if sign.isalnum())
    counts = Counter(signs)
    return "character" if counts[True] > counts[False] else "word"


def join_words(words: Sequence[str], spaces: bool) -> tuple[str, list[tuple[int, int]]]:
    """The text of the words, and the start and end of each in it.

    Args:
        words: words from left to right.
        spaces: whether to put a space between two words, unless one of them is Chinese there.
    """
    text, spans = "", []
    for word in words:
        if spaces and text and not _IS_CJK.match(text[-1]) and not _IS_CJK.match(word[0]):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return text, spans


def entities_of(tags: Sequence[str], words: Sequence[tuple[int, int]]) -> list[Entity]:
    """The entities of tags in any of the schemes.

    A tag that continues an entity where none of its type is open begins one, as in conlleval.

    Args:
        tags: O, or a letter, a dash and a type: B-person.
        words: start and end of each word.
    """
    entities: list[Entity] = []
    is_open = False
    for tag, (start, end) in zip(tags, words, strict=True):
        letter, _, entity_type = tag.partition("-")
        if letter == "O":
            is_open = False
            continue
        if is_open and letter not in BEGINS and entities[-1].type == entity_type:
            entities[-1] = entities[-1]._replace(end=end)
        else:
            entities.append(Entity(start, end, entity_type))
        is_open = letter not in ENDS
    return entities

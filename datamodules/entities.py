"""Sentences with named entities: read from files in any of the usual formats, or made up."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from datamodules.download import DataError
from datamodules.sampling import generator
from datamodules.text_files import Repeatable, lines_of

Unit = Literal["word", "character"]

CJK = "\u2e80-\u303f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # signs, too
_WORD = re.compile(rf"[{CJK}]|\d+|[^\W\d_{CJK}]+|\S")
_IS_CJK = re.compile(rf"[{CJK}]")
_TAG = re.compile(r"(O|([BIESMLUW])-(\S+))$")
COLUMN_SUFFIXES = (".conll", ".bio", ".bmes")
BEGINS, ENDS = "BSUW", "ESLUW"  # in BIO, BIOES, BMES, BMEWO and BILOU


class Entity(NamedTuple):
    """A name in a text.

    Args:
        start: its first character's place.
        end: the place after its last character.
        type: what it names.
    """

    start: int
    end: int
    type: str


@dataclass
class Sentence:
    """A text, its words and the names in it.

    Args:
        text: the sentence.
        words: start and end of each word that a label can stand at; empty where the file does not cut it.
        entities: from left to right, none over another.
        overlaps: how many others were left out because they overlap a longer one.
    """

    text: str
    words: list[tuple[int, int]] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    overlaps: int = 0


def sentence_of(row: list[Any], unit: Unit | None = None) -> Sentence:
    """A sentence from the list of its attributes, as JSON has it.

    Args:
        row: the attributes.
        unit: what to cut the text by if the file does not cut it.
    """
    text, words, entities, overlaps = row
    places = [(start, end) for start, end in words]
    if unit and not places:
        places = cut_words(text, unit)
    return Sentence(text, places, [Entity(*entity) for entity in entities], overlaps)


def cut_words(text: str, unit: Unit) -> list[tuple[int, int]]:
    """Where each word begins and ends; a Chinese character is always a word of its own.

    Args:
        text: to cut.
        unit: what else is a word: `word`, a run of letters, a run of digits, or a sign; `character`, each one.
    """
    if unit == "character":
        return [(place, place + 1) for place, sign in enumerate(text) if not sign.isspace()]
    return [match.span() for match in _WORD.finditer(text)]


def usual_unit(sentences: Iterable[Sentence]) -> Unit:
    """How these sentences are cut: as their file has them, or by characters where most of them are Chinese."""
    if any(sentence.words for sentence in sentences):
        return (
            "word" if any(end - start > 1 for sentence in sentences for start, end in sentence.words) else "character"
        )
    signs = (bool(_IS_CJK.match(sign)) for sentence in sentences for sign in sentence.text if sign.isalnum())
    counts = Counter(signs)
    return "character" if counts[True] > counts[False] else "word"


def joined(words: Sequence[str], spaces: bool) -> tuple[str, list[tuple[int, int]]]:
    """The text that the words make, and where each stands in it.

    Args:
        words: from left to right.
        spaces: whether there is a space between two words neither of which is Chinese there.
    """
    text, places = "", []
    for word in words:
        if spaces and text and not _IS_CJK.match(text[-1]) and not _IS_CJK.match(word[0]):
            text += " "
        places.append((len(text), len(text) + len(word)))
        text += word
    return text, places


def entities_of(tags: Sequence[str], words: Sequence[tuple[int, int]]) -> list[Entity]:
    """The entities that tags of any of the schemes mean.

    A tag that goes on with an entity where none of its type is open begins one, as conlleval reads it.

    Args:
        tags: O, or a letter, a dash and a type: B-person.
        words: start and end of each.
    """
    entities: list[Entity] = []
    is_open = False
    for tag, (start, end) in zip(tags, words, strict=True):
        letter, _, kind = tag.partition("-")
        if letter == "O":
            is_open = False
            continue
        if is_open and letter not in BEGINS and entities[-1].type == kind:
            entities[-1] = entities[-1]._replace(end=end)
        else:
            entities.append(Entity(start, end, kind))
        is_open = letter not in ENDS
    return entities


def read_columns(lines: Iterable[str], path: Path, tagged: bool = True) -> Iterator[Sentence]:
    """Sentences of a file with a word and its tag on each line, and an empty line after each sentence.

    The word is the first column, the tag the last. Tags may be in BIO, BIOES, BMES or BILOU.

    Args:
        lines: of the file, which are gone through twice.
        path: of the file, for messages.
        tagged: whether there are tags; otherwise a last column is ignored.

    Raises:
        DataError: a line has no tag, or one of no known scheme.
    """
    spaces = any(len(word) > 1 for words, _ in _words_and_tags(lines, path, tagged) for word in words)
    for words, tags in _words_and_tags(lines, path, tagged):
        sentence, places = joined(words, spaces)
        yield Sentence(sentence, places, entities_of(tags, places) if tagged else [])


def _words_and_tags(lines: Iterable[str], path: Path, tagged: bool) -> Iterator[tuple[list[str], list[str]]]:
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(chain(lines, [""]), start=1):
        columns = [column.strip() for column in line.split("\t")] if "\t" in line.strip() else line.split()
        if not columns or not columns[0] or columns[0] == "-DOCSTART-":
            if words:
                yield words, tags
                words, tags = [], []
            continue
        if tagged:
            if len(columns) < 2:
                raise DataError(f"{path}:{number}: expected a word and its tag, found only {columns[0]}")
            if not _TAG.match(columns[-1]):
                raise DataError(
                    f"{path}:{number}: the tag of {columns[0]} is {columns[-1]}; expected O, or B-, I-, M-, E- or S- "
                    f"and a type, such as B-person"
                )
        words.append(columns[0])
        tags.append(columns[-1])


def _spans(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The spans of a JSON row as dictionaries with start, end and type (and text), inclusive ends made exclusive."""
    found = next((row[name] for name in ("entities", "spans", "labels", "label") if name in row), None)
    if isinstance(found, dict):  # {"person": {"Anna": [[0, 3]]}}, as CLUENER has it
        return [
            {"start": start, "end": end + 1, "type": kind, "text": name}
            for kind, names in found.items()
            for name, places in names.items()
            for start, end in places
        ]
    if not isinstance(found, list):
        return None
    spans = []
    for span in found:
        if isinstance(span, list):
            start, end, kind = span
            span = {"start": start, "end": end, "type": kind}
        span = {**span, "type": span.get("type", span.get("label"))}
        length = len(span.get("text", ""))
        if length and span["end"] - span["start"] == length - 1:
            span["end"] += 1
        spans.append(span)
    return spans


def read_json_lines(lines: Iterable[str], path: Path, tagged: bool = True) -> Iterator[Sentence]:
    """Sentences of a file with a JSON object on each line: a text, and spans with a start, an end and a type.

    `{"text": "Anna lives in Ulm", "entities": [{"start": 0, "end": 4, "type": "person"}]}`; a span may also be a list
    `[0, 4, "person"]`. Ends are exclusive, unless a span's own `text` shows that they are inclusive; CLUENER's
    `{"label": {"person": {"Anna": [[0, 3]]}}}` is read, too.

    Args:
        lines: of the file.
        path: of the file, for messages.
        tagged: whether there have to be spans.

    Raises:
        DataError: a line is not such an object, or a span is not in its text.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not JSON ({error.msg}, column {error.colno}); expected an object a line"
            ) from None
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise DataError(f'{where}: expected an object with a "text", found {line.strip()[:60]}')
        entities = _checked_spans(row, where) if tagged else []
        kept: list[Entity] = []
        for entity in sorted(entities, key=lambda entity: entity.start - entity.end):  # the longest first
            if all(entity.end <= other.start or entity.start >= other.end for other in kept):
                kept.append(entity)
        yield Sentence(row["text"], [], sorted(kept), len(set(entities)) - len(kept))


def _checked_spans(row: dict[str, Any], where: str) -> list[Entity]:
    try:
        spans = _spans(row)
        if spans is None:
            raise DataError(f'{where}: expected a list "entities" of spans, found {", ".join(row)}')
        entities = [Entity(int(span["start"]), int(span["end"]), str(span["type"])) for span in spans]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: a span needs a start, an end and a type") from None
    for entity, span in zip(entities, spans, strict=True):
        found = row["text"][max(entity.start, 0) : entity.end]
        if not 0 <= entity.start < entity.end <= len(row["text"]) or found != span.get("text", found):
            named = f" ({span['text']})" if span.get("text") else ""
            raise DataError(
                f"{where}: the span {entity.start}-{entity.end}{named} is not in the text, "
                f"which has {len(row['text'])} characters"
            )
    return entities


def read_sentences(path: Path, encoding: str, tagged: bool = True) -> Iterator[Sentence]:
    """The sentences of a file, whose format is found out.

    Args:
        path: JSON lines, or columns; without tags also plain text with a sentence on each line, unless the name ends
            in .conll, .bio or .bmes: then with a word on each. May be packed as .gz.
        encoding: of the file.
        tagged: whether there have to be entities.

    Raises:
        DataError: the file is empty, not text, or in none of the formats.
    """
    lines = Repeatable(lambda: lines_of(path, encoding, newline=None))
    first = next(line for line in lines if line.strip())
    if first.lstrip().startswith(("{", "[{")):
        return read_json_lines(lines, path, tagged)
    columns = (line.split() for line in lines if line.strip())
    if tagged or all(len(row) >= 2 and _TAG.match(row[-1]) for row in columns if row[0] != "-DOCSTART-"):
        return read_columns(lines, path, tagged)
    if path.name.removesuffix(".gz").endswith(COLUMN_SUFFIXES):
        return read_columns(lines, path, tagged)  # a word a line
    return (Sentence(line.strip()) for line in lines if line.strip())


SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of what is made up
ONSETS = "b br d dr f g gr h k kl l m n p pl r s st t tr v w z".split()  # noqa: SIM905 (reads better)
VOWELS = ["a", "e", "i", "o", "u", "ai", "ou"]
CODAS = ["", "l", "n", "r", "s", "nd", "rt", "x"]
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
CHARACTERS = (
    "安柏沧朝澄川岱丹迪枫涵浩禾虹桦嘉建江金靖康岚乐黎霖龙鹿茂明南宁鹏平琪"
    "青瑞森山石思松泰天庭文溪晓欣雄秀旭雪岩阳逸英永玉元远云泽哲振志竹"
)
EN_TEMPLATES = """
{person} lives in {place}.
Yesterday {person} met {person} near {place}.
{person} works for {organisation} as a teacher.
The people of {place} are proud of {organisation}.
{organisation} opened an office in {place} on {day}.
Doctor {person} bought a {thing} from {organisation}.
Have you seen the {thing} of {person}?
They found an old {thing} on the road to {place}.
On {day} {person} left {organisation} after {number} years.
The train from {place} to {place} was {number} minutes late.
Shares of {organisation} fell by {number} percent on {day}.
My sister {person} says the {thing} is broken.
It rained for {number} days and the {thing} got wet.
{organisation} and {organisation} will build a bridge near {place}.
Nobody wanted a {thing}, not even on {day}.
Next {day} the mayor of {place} will visit {organisation}.
""".strip().splitlines()
ZH_TEMPLATES = """
{person}住在{place}。
昨天{person}在{place}见到了{person}。
{person}在{organisation}当老师。
{place}人都知道{organisation}。
{organisation}{day}在{place}开了新店。
医生{person}从{organisation}买了一只{thing}。
你见过{person}的{thing}吗？
他们在去{place}的路上找到一只旧{thing}。
{day}{person}离开了工作{number}年的{organisation}。
从{place}开往{place}的火车晚点{number}分钟。
{organisation}的股价{day}下跌百分之{number}。
我姐姐{person}说这只{thing}坏了。
下了{number}天雨，那只{thing}湿透了。
{organisation}和{organisation}要在{place}附近建桥。
没有人想要这只{thing}，{day}也一样。
下{day}{place}市长要参观{organisation}。
""".strip().splitlines()
DAYS = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "zh": ["周一", "周二", "周三", "周四", "周五", "周六", "周日"],
}


def pools_of_words(size: int, random: torch.Generator) -> dict[tuple[str, str], list[str]]:
    """Made-up words, no word in two splits.

    Args:
        size: how many are drawn of each language; those drawn before are left out.
        random: that draws them.

    Returns:
        The words by split and language, `en` and `zh`.
    """

    def pick(options: Sequence[str]) -> str:
        return options[int(torch.randint(len(options), (), generator=random))]

    pools: dict[tuple[str, str], list[str]] = {}
    for language in ("en", "zh"):
        parts = (CHARACTERS, CHARACTERS) if language == "zh" else (ONSETS, VOWELS, CODAS) * 2
        words = list(dict.fromkeys("".join(pick(part) for part in parts) for _ in range(size)))  # in drawing order
        start = 0
        for split, share in SHARES.items():
            end = start + max(int(share * len(words)), 1)
            pools[split, language] = words[start:end]
            start = end
    return pools


def generated_names(num_sentences: int, seed: int) -> tuple[list[Sentence], dict[str, list[int]]]:
    """Made-up sentences, half English and half Chinese, about persons, places and organisations.

    Each split has made-up words of its own, so that no name of the test split was ever seen in training. The same
    words are names of persons, of places, of organisations, and of mere things that are no names at all: what a word
    is shows in the words around it alone.

    Args:
        num_sentences: of all splits; 70 % are for training, 10 % for validation.
        seed: of the sentences.

    Returns:
        The sentences, and the positions of each split's.
    """
    random = generator(seed)

    def pick(options: Sequence[Any]) -> Any:
        return options[int(torch.randint(len(options), (), generator=random))]

    pools = pools_of_words(2 * num_sentences, random)

    def name(kind: str, split: str, language: str) -> str:
        word = pick(pools[split, language])
        if language == "zh":
            further = {
                "person": [pick(SURNAMES) + word],
                "place": [word, word + "市", word + "县", word + "镇"],
                "organisation": [word, word + "公司", word + "大学", word + "银行"],
                "thing": [word],
            }
            return str(pick(further[kind]))
        second = pick(pools[split, language]).capitalize()
        further = {
            "person": [word.capitalize(), f"{word.capitalize()} {second}"],
            "place": [word.capitalize(), f"Port {word.capitalize()}"],
            "organisation": [word.capitalize(), f"{word.capitalize()} Bank", f"{word.capitalize()} and {second}"],
            "thing": [word],
        }
        return str(pick(further[kind]))

    def sentence(split: str, language: str) -> Sentence:
        text, entities = "", []
        for part in re.split(r"(\{\w+\})", pick(EN_TEMPLATES if language == "en" else ZH_TEMPLATES)):
            kind = part[1:-1] if part.startswith("{") else ""
            if kind == "day":
                part = pick(DAYS[language])
            elif kind == "number":
                part = str(pick(range(2, 60)))
            elif kind:
                part = name(kind, split, language)
                if kind != "thing":
                    entities.append(Entity(len(text), len(text) + len(part), kind))
            text += part
        return Sentence(text, [], entities)

    sentences: list[Sentence] = []
    places: dict[str, list[int]] = {}
    for split, share in SHARES.items():
        size = round(share * num_sentences)
        places[split] = list(range(len(sentences), len(sentences) + size))
        sentences += [sentence(split, ("en", "zh")[number % 2]) for number in range(size)]
    return sentences, places

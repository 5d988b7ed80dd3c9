"""Named entities in JSON, lines or a document: texts with spans or tokens with tags, as tools export them."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

from datamodules.errors import DataError
from datamodules.files.encoding import json_value
from datamodules.files.entities import Entity, Sentence, entities_of, join_words
from datamodules.files.entity_layout import COLUMN_SUFFIXES
from datamodules.files.entity_tags import SCHEMES, UNTYPED, canonical, has_tags, has_types
from datamodules.files.text_files import json_lines

TEXTS = ("text", "data", "content", "sentence", "originalText", "raw_text")
TOKENS = ("tokens", "words", "token", "chars", "text", "sentence", "tokenized_text")
TAGS = ("ner_tags", "ner_tag", "ner", "tags", "labels", "label", "bio_tags", "entities")
SPANS = ("entities", "spans", "labels", "label", "annotations", "annotation", "ents", "ner", "result")
STARTS = ("start", "start_offset", "start_pos", "start_idx", "begin")
ENDS = ("end", "end_offset", "end_pos", "end_idx", "stop")
TYPES = ("type", "label", "labels", "entity_type", "label_type", "tag", "entity_group", "category", "class", "entity")
NAMES = ("text", "word", "name", "mention", "entity", "value")
RECORDS = ("data", "rows", "annotations", "examples", "records", "documents")
SAMPLE = 1000  # records from which the scheme of tags is inferred
_BEGINNING = re.compile(r"\s*[\[{]\s*([\"\[{}\]]|$)")

Skipped = str  # why a record is left out
Span = tuple[int, int, str, str]  # start, end, type and text


def is_json(lines: Iterable[str], path: Path) -> bool:
    """Whether a file is JSON: a bracket may also be the first word of a file of columns."""
    first = list(islice((line for line in lines if line.strip()), 2))
    if not _BEGINNING.match("".join(first)):
        return False
    return not path.name.removesuffix(".gz").endswith(COLUMN_SUFFIXES) or _value(first[0]) is not None


def read_json(lines: Iterable[str], path: Path, tagged: bool = True) -> Iterator[Sentence]:
    """Sentences of JSON lines or of a JSON document: texts with spans, or tokens with tags.

    `{"text": "Anna lives in Ulm", "entities": [{"start": 0, "end": 4, "type": "person"}]}`; a span may also be a list
    `[0, 4, "person"]`. Ends are exclusive, unless a span's own `text` shows that they are inclusive. Or
    `{"tokens": ["Anna", "lives"], "ner_tags": ["B-person", "O"]}`. The exports of doccano, Label Studio, Prodigy and
    spaCy are read, and CLUENER's `{"label": {"person": {"Anna": [[0, 3]]}}}`.

    Args:
        lines: lines of the file, which are iterated several times.
        path: the file, for messages.
        tagged: whether entities are required.

    Raises:
        DataError: it is not JSON, a record is none of these, or a span is not in its text.
    """
    records: Iterator[tuple[str, Any]]
    names: list[str] = []
    document = _document(lines, path)
    if document is None:
        records = ((f"{path}:{line_number}", row) for line_number, _, row in json_lines(lines, path))
    else:
        records, names = _records(document, path)
    head = list(islice(records, SAMPLE))
    tokens = Tokens((row for _, row in head), names)
    skipped: list[str] = []
    for where, row in chain(head, records):
        sentence = _sentence(row, where, tagged, tokens)
        if isinstance(sentence, Skipped):
            skipped.append(sentence)
            continue
        sentence.faults = (*sentence.faults, *skipped)
        skipped = []
        yield sentence


def _value(line: str) -> Any:
    """The value of a line of JSON; None if it is none."""
    try:
        return json_value(line)
    except json.JSONDecodeError:
        return None


def _document(lines: Iterable[str], path: Path) -> Any:
    """The value of a file that is one JSON document; None if it is JSON lines."""
    first, *more = islice((line for line in lines if line.strip()), 2)
    value = _value(first)
    if value is not None and (more or _rows(value) is None):
        return None
    try:
        return value or json_value("".join(lines))
    except json.JSONDecodeError as error:
        if path.name.removesuffix(".gz").endswith(".jsonl"):
            return None
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None


def _rows(document: Any) -> list[Any] | None:
    """The records in a document; None if it is a record itself."""
    if isinstance(document, list):
        is_record = len(document) == 2 and isinstance(document[0], str)  # spaCy's
        return None if is_record else document
    if not isinstance(document, dict) or isinstance(document.get("data"), dict) or _tokens(document):
        return None
    if any(isinstance(document.get(key), str) for key in TEXTS):
        return None
    rows = next((document[key] for key in RECORDS if isinstance(document.get(key), list)), None)
    columns = [*document.values()]
    if rows is None and columns and all(isinstance(column, list) for column in columns):
        is_table = len({len(column) for column in columns}) == 1 and bool(columns[0])
        return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)] if is_table else None
    return rows


def _records(document: Any, path: Path) -> tuple[Iterator[tuple[str, Any]], list[str]]:
    """The records of a document, each with where it is, and the names of the tags if it contains them."""
    names = _tag_names(document.get("features")) if isinstance(document, dict) else []
    rows = _rows(document)
    rows = [document] if rows is None else rows
    rows = [row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row for row in rows]
    return ((f"{path}: [{index}]", row) for index, row in enumerate(rows)), names


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _tag_names(features: Any, key: str = "") -> list[str]:
    """The names of the tags in the description of a Hugging Face data set."""
    if isinstance(features, list):
        features = {each.get("name"): each.get("type") for each in features if isinstance(each, dict)}
    if not isinstance(features, dict):
        return []
    names = features.get("names")
    if isinstance(names, dict):
        names = [*names.values()]
    if names and _is_words(names):
        return names
    for inner in [tag for tag in TAGS if tag in features] or [part for part in ("feature", "type") if part in features]:
        if found := _tag_names(features[inner]):
            return found
    return []


class Tokens:
    """What the tokens of a file have in common: the scheme of their tags, and whether blanks are between them.

    Args:
        rows: records of the file.
        names: of tags that are numbers.
    """

    def __init__(self, rows: Iterable[Any], names: Sequence[str]) -> None:
        tags, self.spaces = Counter[str](), False
        for row in rows:
            if isinstance(row, dict) and (found := _tokens(row)):
                words, cells = found
                tags.update(cell for cell in cells or () if isinstance(cell, str))
                self.spaces = self.spaces or any(len(word) > 1 for word in words)
        self.scheme = scheme_of(tags or Counter(names))
        self.names = names

    def sentence(self, row: dict[str, Any], where: str, tagged: bool) -> Sentence | None:
        """The sentence of a record with tokens; None if it has none.

        Raises:
            DataError: the tags are not as many as the tokens, of no known scheme, or numbers without names.
        """
        if (found := _tokens(row)) is None:
            return None
        words, cells = found
        tags = self.tags(words, cells, where) if tagged else ["O"] * len(words)
        kept = [(word.strip(), tag) for word, tag in zip(words, tags, strict=True) if word.strip()]
        text, spans = join_words([word for word, _ in kept], self.spaces)
        faults = ("blank",) * (len(words) - len(kept)) + (self.scheme,) * (self.scheme in UNTYPED and tagged)
        return Sentence(text, spans, entities_of([tag for _, tag in kept], spans), faults)

    def tags(self, words: Sequence[str], cells: Any, where: str) -> list[str]:
        """The tags of tokens."""
        if cells is None:
            raise DataError(f"{where}: expected a list of tags beside its tokens, such as ner_tags")
        if len(cells) != len(words):
            raise DataError(f"{where}: {len(words)} tokens, but {len(cells)} tags")
        if any(isinstance(cell, int) for cell in cells):
            if not self.names:
                raise DataError(
                    f'{where}: the tags are numbers, and no "features" in the file names them; '
                    f"expected their names, such as B-person"
                )
            if not all(isinstance(cell, int) and 0 <= cell < len(self.names) for cell in cells):
                raise DataError(f"{where}: expected tags from 0 to {len(self.names) - 1}, found {cells}"[:200])
            cells = [self.names[cell] for cell in cells]
        tags = [canonical(cell, self.scheme) for cell in map(str, cells)]
        if None in tags:
            raise DataError(
                f"{where}: a tag is {cells[tags.index(None)]}; expected O, or a letter and a type: B-person"
            )
        return [tag for tag in tags if tag]


def scheme_of(tags: Counter[str]) -> str:
    """The scheme of tags, from how often each occurs."""
    found = (scheme for scheme in SCHEMES if has_tags(tags, scheme, strict=False))
    return next(found, "inside" if tags and has_types(tags) else "prefix")


def _tokens(row: dict[str, Any]) -> tuple[list[str], list[Any] | None] | None:
    """The tokens of a record and their tags, of which there may be none; None if it has no tokens."""
    lists = [key for key, value in row.items() if isinstance(value, list)]
    words = next((row[key] for key in TOKENS if key in lists and _is_words(row[key])), None) if lists else None
    if words is None:
        return None
    others = (row[key] for key in TAGS if key in lists and row[key] is not words)
    return words, next((cells for cells in others if all(isinstance(cell, str | int) for cell in cells)), None)


def _sentence(row: Any, where: str, tagged: bool, tokens: Tokens) -> Sentence | Skipped:
    """The sentence of a record, or why it is left out."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str):  # spaCy's
        row = {"text": row[0], "entities": row[1].get("entities") if isinstance(row[1], dict) else row[1]}
    if row is None:
        return "null"
    if not isinstance(row, dict):
        raise DataError(f'{where}: expected an object with a "text", found {str(row)[:60]}')
    name = str(row.get("id", ""))
    if tagged and row.get("answer") in ("reject", "ignore"):  # Prodigy's
        return "rejected"
    found = tokens.sentence(row, where, tagged)
    if found is None:
        task = _task(row, where)
        if isinstance(task, Skipped) and tagged:
            return task
        text, spans, faults = (_text(row, where), None, []) if isinstance(task, Skipped) else task
        entities = _entities(text, spans, row, where, faults) if tagged else []
        kept: list[Entity] = []
        for entity in sorted(entities, key=lambda entity: entity.start - entity.end):  # the longest first
            if all(entity.end <= other.start or entity.start >= other.end for other in kept):
                kept.append(entity)
        faults += ["overlap"] * (len(set(entities)) - len(kept))
        found = Sentence(text, [], sorted(kept), tuple(faults))
    found.name = name
    return found


def _task(row: dict[str, Any], where: str) -> tuple[str, Any, list[str]] | Skipped:
    """The text of a record, its spans, and what is unusual; the first annotation of one of Label Studio's tasks."""
    if not isinstance(row.get("data"), dict):
        return _text(row, where), _spans_of(row), []
    try:
        done = [each for each in row.get("annotations", row.get("completions")) or [] if not each.get("was_cancelled")]
        if not done:
            return "unannotated"
        results = [each for each in done[0]["result"] if isinstance(each.get("value"), dict)]
    except (AttributeError, KeyError, TypeError):
        raise DataError(f'{where}: expected "annotations" with a "result" of spans, as Label Studio has them') from None
    spans = [each["value"] for each in results if "start" in each["value"]]
    return _text(row, where), spans, ["annotators"] * (len(done) > 1)


def _text(row: dict[str, Any], where: str) -> str:
    data = row["data"] if isinstance(row.get("data"), dict) else row
    text = next((data[key] for key in TEXTS if isinstance(data.get(key), str)), None)
    texts = [value for value in data.values() if isinstance(value, str)] if data is not row else []
    if text is None and len(texts) == 1:
        (text,) = texts
    if text is None:
        raise DataError(f'{where}: expected an object with a "text", found {json.dumps(row, ensure_ascii=False)[:60]}')
    return text


def _spans_of(row: dict[str, Any]) -> Any:
    """The spans of a record: under one of the usual names, or else the only list of spans."""
    found = [row[key] for key in SPANS if key in row and isinstance(row[key], list | dict)]
    if len(found) > 1:
        found = [spans for spans in found if spans] or found
    if not found:
        found = [spans for spans in row.values() if isinstance(spans, list) and spans and _is_span(spans[0])]
    if not found and ("annotation_id" in row or "lead_time" in row or any(key in row for key in SPANS)):
        return []  # without a span, Label Studio leaves out the list
    return found[0] if found else None


def _is_span(value: Any) -> bool:
    return isinstance(value, dict) and any(key in value for key in STARTS) and any(key in value for key in ENDS)


def _entities(text: str, found: Any, row: dict[str, Any], where: str, faults: list[str]) -> list[Entity]:
    try:
        if found is None:
            raise DataError(f'{where}: expected a list "entities" of spans, found {", ".join(row)}')
        spans = [each for span in _flat(found) if (each := _span(span, faults))]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: a span needs a start, an end and a type") from None
    shifted = _from_utf16(text)
    return [_checked(*span, text, shifted, where, faults) for span in spans]


def _flat(found: Any) -> Iterator[Any]:
    """Spans; a dictionary is {"person": {"Anna": [[0, 3]]}}, as CLUENER has it, whose ends are inclusive."""
    if isinstance(found, list):
        yield from found
        return
    for entity_type, names in found.items():
        for name, positions in names.items():
            for start, end in positions:
                yield _place(start), _place(end) + 1, str(entity_type), name


def _span(span: Any, faults: list[str]) -> Span | None:
    """Start, end, type and text of a span; None if it has no type."""
    if isinstance(span, tuple):
        return span
    if isinstance(span, list):
        start, end, kind = span
        return _place(start), _place(end), str(kind), ""
    place = span["points"][0] if isinstance(span.get("points"), list) else span  # Dataturks'
    start, end = place.get("start"), place.get("end")
    start = _first(place, STARTS) if start is None else start
    end = _first(place, ENDS) if end is None else end
    key = "type" if "type" in span else next((key for key in TYPES if key in span), "type")
    kind, name = span[key], place.get("text")
    if not isinstance(name, str):
        name = next((place[name] for name in NAMES if name != key and isinstance(place.get(name), str)), "")
    if isinstance(kind, list):
        faults += ["labels"] * (len(kind) > 1)
        kind = kind[0] if kind else None
    if kind is None:
        faults.append("unlabelled")
        return None
    return _place(start), _place(end), str(kind), name


def _first(row: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((row[key] for key in keys if key in row), None)


def _place(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, bool) or float(value) != int(value):
        raise ValueError
    return int(value)


def _from_utf16(text: str) -> Callable[[int], int] | None:
    """A function from positions in UTF-16, as browsers count, to those of characters; None where these are equal."""
    if text.isascii() or max(text) <= "\uffff":
        return None
    places = {
        place: index for index, place in enumerate(accumulate((1 + (sign > "\uffff") for sign in text), initial=0))
    }
    return lambda place: places.get(place, -1)


def _checked(
    start: int,
    end: int,
    kind: str,
    name: str,
    text: str,
    shifted: Callable[[int], int] | None,
    where: str,
    faults: list[str],
) -> Entity:
    """An entity whose text is where its span says: with an inclusive end, or counted in UTF-16, if that shows."""
    if name and end - start == len(name) - 1:
        end += 1
    found = text[max(start, 0) : end]
    if name and found != name and shifted and text[shifted(start) : shifted(end)] == name:
        start, end, found = shifted(start), shifted(end), name
        faults.append("utf16")
    if not 0 <= start < end <= len(text) or (name and found != name):
        named = f" ({name})" if name else ""
        raise DataError(f"{where}: the span {start}-{end}{named} is not in the text, which has {len(text)} characters")
    return Entity(start, end, kind)

"""The schemes in which words of named entities are tagged: BIO and others."""

import re
from collections import Counter
from collections.abc import Iterable

SCHEMES = ("prefix", "suffix", "features", "brackets", "bare")  # B-person, person-B, NER=B-person|…, (person*, B
UNTYPED = {
    "inside": "tags without B or I: neighbouring words of one type are one entity",
    "bare": "tags without a type: all are of the type entity",
}
CHUNKS = frozenset(  # English and German phrases: no entities
    re.findall(r"\w+", "NP VP PP ADJP ADVP SBAR PRT CONJP INTJ LST UCP NC VC PC AC ADVC ADJC")
)

LETTERS = frozenset("BIESMLUW")
PREFIXED = re.compile(r"([BIESMLUW])[-_](\S+)$")
_SUFFIXED = re.compile(r"(\S+)[-_]([BIESMLUW])$")
_IN_FEATURES = re.compile(r"(?:^|\|)(?:name|NER|ner)=([^|]+)")  # in the last column of CoNLL-U
_BRACKET = re.compile(r"(\([^()*\d\s]+\*?\)?|\*\)?)$")
_INSIDE = re.compile(r"(?![A-Za-z]{1,2}[-_])[^\W\d][\w.&/+-]*$")


def canonical(cell: str, scheme: str) -> str | None:
    """A tag as O or as letter, dash and type; None if it is none of the scheme."""
    if cell == "O":
        return cell
    if scheme == "bare":
        return f"{cell}-entity" if cell in LETTERS else None
    if scheme == "inside":
        return f"I-{cell}" if _INSIDE.match(cell) else None
    if scheme == "brackets":
        return cell if _BRACKET.match(cell) else None
    if scheme == "features":
        found = _IN_FEATURES.search(cell)
        return canonical(found[1], "prefix") if found else None
    match = (_SUFFIXED if scheme == "suffix" else PREFIXED).match(cell)
    if match is None:
        return None
    return f"{match[2]}-{match[1]}" if scheme == "suffix" else f"{match[1]}-{match[2]}"


def has_tags(counts: Counter[str], scheme: str, strict: bool) -> bool:
    """Whether the cells of a column, with their counts, are tags: all of them, or most that are not O."""
    rest = counts.total() - counts["O"]
    known = sum(number for cell, number in counts.items() if cell != "O" and canonical(cell, scheme))
    if scheme == "prefix" and not rest:
        return True
    return known > 0 and known >= rest * (1 if strict or scheme in ("suffix", "brackets", "bare") else 0.5)


def has_types(counts: Counter[str]) -> bool:
    """Whether the cells are O, most often, and types without a letter before them."""
    types = counts.keys() - {"O"}
    return counts["O"] >= max(counts.values()) and 0 < len(types) <= 100 and all(map(_INSIDE.match, types))


def are_chunks(cells: Iterable[str]) -> bool:
    """Whether tags are those of phrases, as in a column of CoNLL 2003 beside the entities."""
    types = {match[2] if (match := PREFIXED.match(cell)) else cell.strip("()*") for cell in cells} - {"O", ""}
    return bool(types) and types <= CHUNKS


def without_brackets(cells: Iterable[str]) -> list[str]:
    """The tags of (person*, * and *)."""
    tags, open_type = [], ""
    for cell in cells:
        begins = cell.startswith("(")
        open_type = cell.strip("()*") if begins else open_type
        tags.append(f"{'B' if begins else 'I'}-{open_type}" if open_type else "O")
        open_type = "" if cell.endswith(")") else open_type
    return tags

from pathlib import Path
from typing import Any

import pytest

from datamodules.files.entities import Sentence
from datamodules.files.entity_files import infer_format, read_sentences
from datamodules.files.entity_layout import Layout

WORDS, TAGS = ["Anna", "lives", "in", "New", "York", ","], ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"]
TABLES = {
    "lists": f'Sentence #,Sentence,POS,Tag\nSentence: 1,"{" ".join(WORDS)}","{["NN"] * 6}","{TAGS}"\n',
    "texts": f'text,labels\n"{" ".join(WORDS)}",{" ".join(TAGS)}\n',
    "tabs without a header": f"{' '.join(WORDS)}\t{' '.join(TAGS)}\n",
    "tags first": f"{' '.join(TAGS)}\t{' '.join(WORDS)}\n",
    "lists of both": f'id,tokens,ner_tags\n7,"{WORDS}","{TAGS}"\n',
}


def read(path: Path, tagged: bool = True, learned: Layout | None = None) -> list[Sentence]:
    layout, _ = infer_format(path, "utf-8", tagged, learned)
    return list(read_sentences(path, "utf-8", tagged, layout))


@pytest.mark.parametrize("table", TABLES)
def test_a_sentence_in_each_row_is_read(table: str, place: Path) -> None:
    path = place / ("a.csv" if "\t" not in TABLES[table] else "a.tsv")
    first, *rest = TABLES[table].splitlines(keepends=True)
    path.write_text(first + "".join(rest or [first]) * 5, encoding="utf-8")
    sentences = read(path)
    assert len(sentences) == 5 + (not rest)
    assert [sentences[0].text[start:end] for start, end in sentences[0].words] == WORDS
    assert [(sentences[0].text[a:b], kind) for a, b, kind in sentences[0].entities] == [
        ("Anna", "PER"),
        ("New York", "LOC"),
    ]


def test_prediction_needs_no_tags(place: Path) -> None:
    path = place / "a.csv"
    path.write_text(TABLES["texts"], encoding="utf-8")
    layout, notes = infer_format(path, "utf-8")
    assert notes == ["each line is a sentence: words in column 1, tags in column 2"]
    path.write_text("id,text\n1,Anna lives\n2,I\n", encoding="utf-8")
    assert [sentence.text for sentence in read(path, False, layout)] == ["Anna lives", "I"]
    path.write_text(TABLES["texts"], encoding="utf-8")
    assert [sentence.text for sentence in read(path, False, layout)] == [" ".join(WORDS)]


def test_rows_that_do_not_fit_are_reported(place: Path, refused: Any) -> None:
    path = place / "a.csv"
    for row, message in (("a b,O", "a.csv:252: 2 words, but 1 tags"), ("a,X", "a.csv:252: a tag is X; expected O")):
        path.write_text("text,labels\n" + "a b,O B-x\n" * 250 + row + "\n", encoding="utf-8")
        with refused(message):
            read(path)

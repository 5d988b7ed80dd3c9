import json
from pathlib import Path
from typing import Any

import pytest

from datamodules.files.entities import Sentence
from datamodules.files.entity_files import infer_format, read_sentences

TEXTS = ["Anna lives in Ulm", "Li met New York"]
FOUND = [[("Anna", "PER"), ("Ulm", "LOC")], [("Li", "PER"), ("New York", "LOC")]]
FEATURES = {"ner_tags": {"feature": {"names": ["O", "B-PER", "B-LOC", "I-LOC"], "_type": "ClassLabel"}}}


def rows(make: Any) -> list[Any]:
    """A record for each sentence, made from its text and the start, end, type and text of its entities."""
    spans = [
        [(text.index(name), text.index(name) + len(name), kind, name) for name, kind in found]
        for text, found in zip(TEXTS, FOUND, strict=True)
    ]
    return [make(text, each) for text, each in zip(TEXTS, spans, strict=True)]


def tokens(key: str, tags: dict[str, Any], words: str = "tokens") -> list[Any]:
    known = {"Anna": "B-PER", "Li": "B-PER", "Ulm": "B-LOC", "New": "B-LOC", "York": "I-LOC"}
    return [
        {"id": str(row), words: text.split(), "pos_tags": [0, 1], key: [tags[known.get(w, "O")] for w in text.split()]}
        for row, text in enumerate(TEXTS)
    ]


def doccano(text: str, spans: Any) -> Any:
    entities = [{"id": 1, "label": kind, "start_offset": start, "end_offset": end} for start, end, kind, _ in spans]
    return {"id": 0, "text": text, "entities": entities, "relations": [], "Comments": []}


def label_studio(text: str, spans: Any) -> Any:
    results = [
        {"value": {"start": a, "end": b, "text": name, "labels": [kind]}, "type": "labels", "to_name": "text"}
        for a, b, kind, name in spans
    ]
    relation = {"from_id": "a", "to_id": "b", "type": "relation"}
    return {"id": 1, "data": {"my_text": text}, "annotations": [{"result": [*results, relation]}], "predictions": []}


def lists(spans: Any) -> Any:
    return [[start, end, kind] for start, end, kind, _ in spans]


AS_NAMES = {tag: tag for tag in ("O", "B-PER", "B-LOC", "I-LOC")}
AS_NUMBERS = {"O": 0, "B-PER": 1, "B-LOC": 2, "I-LOC": 3}
FORMS: dict[str, Any] = {
    "doccano": rows(doccano),
    "doccano before": rows(lambda text, spans: {"id": 0, "text": text, "label": lists(spans)}),
    "doccano at first": rows(lambda text, spans: {"data": text, "label": lists(spans)}),
    "doccano's project": rows(lambda text, spans: {"text": text, "annotations": doccano(text, spans)["entities"]}),
    "Label Studio": rows(label_studio),
    "Label Studio JSON_MIN": rows(
        lambda text, spans: {
            "text": text,
            "names": [{"start": a, "end": b, "text": name, "labels": [kind]} for a, b, kind, name in spans],
            "annotation_id": 1,
        }
    ),
    "spaCy": rows(lambda text, spans: [text, {"entities": lists(spans)}]),
    "displaCy": rows(
        lambda text, spans: {"text": text, "ents": [{"start": a, "end": b, "label": k} for a, b, k, _ in spans]}
    ),
    "Prodigy": rows(
        lambda text, spans: {
            "text": text,
            "tokens": [{"text": word, "id": n} for n, word in enumerate(text.split())],
            "spans": [{"start": a, "end": b, "label": k, "token_start": 0} for a, b, k, _ in spans],
            "answer": "accept",
        }
    ),
    "Dataturks": rows(
        lambda text, spans: {
            "content": text,
            "annotation": [{"label": [k], "points": [{"start": a, "end": b - 1, "text": n}]} for a, b, k, n in spans],
        }
    ),
    "CMeEE": rows(
        lambda text, spans: {
            "text": text,
            "entities": [{"start_idx": a, "end_idx": b - 1, "type": k, "entity": n} for a, b, k, n in spans],
        }
    ),
    "CCKS": rows(
        lambda text, spans: {
            "originalText": text,
            "entities": [{"start_pos": a, "end_pos": b, "label_type": k} for a, b, k, _ in spans],
        }
    ),
    "text numbers": rows(
        lambda text, spans: {"text": text, "entities": [[str(a), float(b), k] for a, b, k, _ in spans]}
    ),
    "tokens": tokens("ner_tags", AS_NAMES),
    "words and labels": tokens("labels", AS_NAMES, words="words"),
    "letter last": tokens("tags", {"O": "O", "B-PER": "PER-B", "B-LOC": "LOC-B", "I-LOC": "LOC-I"}),
    "types alone": tokens("ner", {"O": "O", "B-PER": "PER", "B-LOC": "LOC", "I-LOC": "LOC"}),
}


def read(path: Path, tagged: bool = True) -> list[Sentence]:
    layout, _ = infer_format(path, "utf-8", tagged)
    return list(read_sentences(path, "utf-8", tagged, layout))


def written(path: Path, value: Any, indent: int | None = None) -> Path:
    """JSON lines for a list and a name that ends in jsonl, and otherwise a document."""
    is_lines = path.suffix == ".jsonl"
    parts = value if is_lines else [value]
    path.write_text(
        "".join(json.dumps(part, ensure_ascii=False, indent=indent) + "\n" for part in parts), encoding="utf-8"
    )
    return path


def entities_of(sentences: list[Sentence]) -> list[list[tuple[str, str]]]:
    return [[(each.text[start:end], kind) for start, end, kind in each.entities] for each in sentences]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_as_lines_as_one_line_and_indented(form: str, place: Path) -> None:
    for path in (
        written(place / "a.jsonl", FORMS[form]),
        written(place / "a.json", FORMS[form]),
        written(place / "b.json", FORMS[form], indent=2),
    ):
        sentences = read(path)
        assert [sentence.text for sentence in sentences] == TEXTS, path
        assert entities_of(sentences) == FOUND, path
        assert [sentence.text for sentence in read(path, tagged=False)] == TEXTS, path


@pytest.mark.parametrize(
    "document",
    [
        {"features": FEATURES, "data": tokens("ner_tags", AS_NUMBERS)},
        {
            "features": [{"name": "tokens", "type": {}}, {"name": "ner_tags", "type": FEATURES["ner_tags"]}],
            "rows": [{"row_idx": 0, "row": row} for row in tokens("ner_tags", AS_NUMBERS)],
        },
        {"classes": ["PER"], "annotations": [*FORMS["spaCy"], None]},
        {key: [row[key] for row in tokens("ner_tags", AS_NAMES)] for key in ("id", "tokens", "ner_tags")},
    ],
)
def test_documents_may_contain_the_records_and_the_names_of_tags(document: Any, place: Path) -> None:
    assert entities_of(read(written(place / "a.json", document))) == FOUND
    assert entities_of(read(written(place / "b.json", document, indent=1))) == FOUND


def test_tags_that_are_numbers_without_names_are_refused(place: Path, refused: Any) -> None:
    path = written(place / "a.jsonl", tokens("ner_tags", AS_NUMBERS))
    with refused('a.jsonl:1: the tags are numbers, and no "features" in the file names them'):
        read(path)
    assert [sentence.text for sentence in read(path, tagged=False)] == TEXTS


def test_positions_in_utf_16_are_converted_where_the_text_shows_them(place: Path) -> None:
    text = "😀😀 Anna 😀 Ulm"
    spans = [
        {"start": 5, "end": 9, "text": "Anna", "labels": ["PER"]},
        {"start": 13, "end": 16, "text": "Ulm", "labels": ["LOC"]},
    ]
    (sentence,) = read(written(place / "a.json", [{"text": text, "label": spans}]))
    assert entities_of([sentence]) == [[("Anna", "PER"), ("Ulm", "LOC")]]
    assert sentence.faults == ("utf16", "utf16")


def test_what_is_left_out_is_counted(place: Path) -> None:
    tasks = rows(label_studio)
    tasks[0]["annotations"] = [{"was_cancelled": True, "result": []}, *tasks[0]["annotations"] * 2]
    tasks[0]["annotations"][1]["result"][0]["value"]["labels"] = ["PER", "ORG"]
    tasks[0]["annotations"][1]["result"][1]["value"]["labels"] = []
    (sentence,) = read(written(place / "a.json", [{"data": {"text": "new"}, "annotations": []}, tasks[0]]))
    assert entities_of([sentence]) == [[("Anna", "PER")]]
    assert sorted(sentence.faults) == ["annotators", "labels", "unannotated", "unlabelled"]
    prodigy: list[Any] = [{"text": "no", "spans": [], "answer": answer} for answer in ("reject", "ignore", "accept")]
    (sentence,) = read(written(place / "b.jsonl", prodigy))
    assert sentence.faults == ("rejected", "rejected")
    blank = {"tokens": ["Anna", "\u3000", " ", "Ulm"], "tags": ["B-PER", "O", "O", "B-LOC"]}
    (sentence,) = read(written(place / "c.jsonl", [blank]))
    assert (sentence.text, sentence.faults) == ("Anna Ulm", ("blank", "blank"))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "a.jsonl:1: 2 tokens, but 1 tags"),
        ({"tokens": ["a"], "tags": ["X-b"]}, "a.jsonl:1: a tag is X-b; expected O"),
        ({"tokens": ["a"]}, "expected a list of tags beside its tokens"),
        ({"text": "Anna", "entities": [[0, None, "x"]]}, "a span needs a start, an end and a type"),
        ({"text": "Anna", "entities": [[0.5, 2, "x"]]}, "a span needs a start, an end and a type"),
        ({"text": "Anna", "entities": {"PER": ["Anna"]}}, "a span needs a start, an end and a type"),
        ({"data": {"a": "x", "b": "y"}, "annotations": [{"result": []}]}, 'expected an object with a "text"'),
        (["Anna"], 'expected an object with a "text"'),
    ],
)
def test_faults_are_reported_with_their_line(record: Any, message: str, place: Path, refused: Any) -> None:
    with refused(message):
        read(written(place / "a.jsonl", [record, record]))


def test_a_bracket_as_the_first_word_is_no_json(place: Path) -> None:
    path = place / "a.txt"
    path.write_text("[ O\nAnna B-PER\n\n{ O\nUlm B-LOC\n\n" * 5, encoding="utf-8")
    assert entities_of(read(path))[:2] == [[("Anna", "PER")], [("Ulm", "LOC")]]
    path = place / "a.conll"
    path.write_text('[\n"\nAnna\n', encoding="utf-8")
    assert [sentence.text for sentence in read(path, tagged=False)] == ['[ " Anna']

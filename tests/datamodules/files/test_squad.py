import json
from pathlib import Path
from typing import Any

import pytest

from datamodules.files.squad import Question, read_squad

ULM, BONN = "Anna lives in Ulm, near Ulm.", "Li met Tom in Bonn in 1987."
ASKED = [(ULM, "Where?", "Ulm", 14), (ULM, "Who?", "Anna", 0), (BONN, "When?", "1987", 22)]


def flat(make: Any = lambda text, start: {"text": [text], "answer_start": [start]}, **names: str) -> list[Any]:
    """A record for each question, with its context beside it."""
    named = {key: names.get(key, key) for key in ("id", "context", "question", "answers")}
    return [
        dict(zip(named.values(), (f"q{row}", context, question, make(text, start)), strict=True))
        for row, (context, question, text, start) in enumerate(ASKED)
    ]


def paragraphs(make: Any = lambda text, start: [{"text": text, "answer_start": start}]) -> list[Any]:
    return [
        {
            "context": context,
            "qas": [
                {"id": f"q{row}", "question": question, "answers": make(text, start)}
                for row, (of, question, text, start) in enumerate(ASKED)
                if of == context
            ],
        }
        for context in (ULM, BONN)
    ]


CMRC = [
    {
        "context_id": f"{context}",
        "context_text": paragraph["context"],
        "qas": [
            {"query_id": row["id"], "query_text": row["question"], "answers": row["answers"]}
            for row in paragraph["qas"]
        ],
    }
    for context, paragraph in enumerate(paragraphs(lambda text, start: [text, text]))
]
FORMS: dict[str, Any] = {
    "SQuAD": {"version": "1", "data": [{"title": "t", "paragraphs": paragraphs()}]},
    "list of articles": [{"title": "t", "paragraphs": paragraphs()}],
    "list of paragraphs": paragraphs(),
    "one paragraph after the other": {"data": paragraphs()},
    "Hugging Face": flat(),
    "Hugging Face in data": {"data": flat()},
    "Hugging Face's server": {"rows": [{"row_idx": 0, "row": row} for row in flat()]},
    "columns": {key: [row[key] for row in flat()] for key in ("id", "context", "question", "answers")},
    "list of answers": flat(lambda text, start: [{"text": text, "answer_start": start}]),
    "one answer": flat(lambda text, start: {"text": text, "answer_start": start}, answers="answer"),
    "text of the answer": flat(lambda text, start: text, answers="answer", context="passage"),
    "CMRC": CMRC,
    "dictionary of lists": paragraphs(lambda text, start: {"text": [text], "answer_start": [start]}),
    "number with a point": paragraphs(lambda text, start: [{"text": text, "answer_start": float(start)}]),
    "number as text": paragraphs(lambda text, start: [{"text": text, "answer_start": str(start)}]),
    "number with a point as text": flat(lambda text, start: {"text": [text], "answer_start": [f"{start}.0"]}),
    "wrong number": paragraphs(lambda text, start: [{"text": text, "answer_start": start + 2}]),
    "no number": paragraphs(lambda text, start: [{"text": text}]),
    "not impossible": [
        {**row, "qas": [{**each, "is_impossible": "false"} for each in row["qas"]]} for row in paragraphs()
    ],
}


def written(path: Path, value: Any, indent: int | None = None) -> Path:
    """JSON lines for a list and a name that ends in jsonl, and otherwise a document."""
    parts = value if path.suffix == ".jsonl" else [value]
    lines = [json.dumps(part, ensure_ascii=False, indent=indent) + "\n" for part in parts]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def found(questions: Any, contexts: Any) -> list[Any]:
    return [(contexts[each.context], each.text, contexts[each.context][each.start : each.end]) for each in questions]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_questions(form: str, place: Path) -> None:
    paths = [written(place / "a.json", FORMS[form]), written(place / "b.json", FORMS[form], indent=2)]
    if isinstance(FORMS[form], list):
        paths.append(written(place / "a.jsonl", FORMS[form]))
    for path in paths:
        book = read_squad(path, "utf-8")
        assert book.contexts == [ULM, BONN], "questions about one context share it"
        assert found(book.questions, book.contexts) == [asked[:3] for asked in ASKED]
        assert [question.start for question in book.questions] == [asked[3] for asked in ASKED]
        assert [question.name for question in book.questions] == ["q0", "q1", "q2"]
        unanswered = read_squad(path, "utf-8", answered=False).questions
        assert [(each.name, each.text, each.answers) for each in unanswered] == [
            (f"q{row}", asked[1], []) for row, asked in enumerate(ASKED)
        ]


def test_an_answer_without_a_position_is_counted_where_it_occurs_several_times(place: Path) -> None:
    book = read_squad(written(place / "a.json", CMRC), "utf-8")
    assert (book.guessed, book.corrected, book.lost) == (2, 0, 0)
    book = read_squad(written(place / "a.json", FORMS["wrong number"]), "utf-8")
    assert (book.guessed, book.corrected, book.lost) == (0, 3, 0)


@pytest.mark.parametrize("mark", [True, "true", 1, "1"])
def test_questions_without_an_answer(mark: Any, place: Path) -> None:
    impossible = [{"context": ULM, "qas": [{"question": "Why?", "answers": [], "is_impossible": mark}]}]
    (question,) = read_squad(written(place / "a.json", impossible), "utf-8").questions
    assert question == Question("Why?", 0)
    (question,) = read_squad(
        written(place / "b.json", [{"context": ULM, "question": "Why?", "answers": {"text": [], "answer_start": []}}]),
        "utf-8",
    ).questions
    assert question == Question("Why?", 0)


def test_the_header_of_json_lines_is_no_question(place: Path) -> None:
    lines = [{"header": {"dataset": "x"}}, *paragraphs(lambda text, start: [text])]
    assert len(read_squad(written(place / "a.jsonl", lines), "utf-8").questions) == 3


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "Why?", "answers": []}, 'a.jsonl:2: expected a text "context"'),
        ({"context": "a", "question": "b"}, 'a.jsonl:2: expected a list "answers", found none'),
        (
            {"context": "a", "question": "b", "answers": {"text": ["a"], "answer_start": []}},
            "a.jsonl:2: expected as many answer_start as texts of answers, 1",
        ),
        *(
            (
                {"context": "a", "question": "b", "answers": [{"text": "a", "answer_start": start}]},
                "a.jsonl:2.answers[0]: expected an integer as answer_start",
            )
            for start in ("x", 1.5, True, [1], "nan")
        ),
        ({"text": "a"}, 'a.jsonl:2: expected a list "paragraphs"'),
    ],
)
def test_faults_are_reported_with_their_line(record: Any, message: str, place: Path, refused: Any) -> None:
    with refused(message):
        read_squad(written(place / "a.jsonl", [flat()[0], record]), "utf-8")


def test_a_line_that_is_not_json_is_reported(place: Path, refused: Any) -> None:
    path = written(place / "a.jsonl", flat())
    path.write_text(path.read_text(encoding="utf-8") + "{\n", encoding="utf-8")
    with refused("a.jsonl:4: not JSON"):
        read_squad(path, "utf-8")

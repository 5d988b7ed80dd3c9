import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.files.squad import find_answer
from datamodules.reading import Passages, Reading, best_windows, token_span, windows
from datamodules.synthetic.facts import generated_facts

ENGLISH = "Zoë Berg, a pilot, lives in Ulm (Germany). She was born in 1987; her cat is called Tom-Tom."
CHINESE = "王小明1987年出生在北京市，现在住在上海。他养了一只叫Tom的猫，ＡＢＣ银行是他的雇主。"
Contexts = list[tuple[str, list[tuple[str, list[str]]]]]
CONTEXTS: Contexts = [
    (ENGLISH, [("Where does Zoë live?", ["Ulm", "Ulm (Germany)"]), ("When was she born?", ["1987"]), ("Who won?", [])]),
    (CHINESE, [("王小明住在哪里？", ["上海"]), ("雇主是谁？", ["ＡＢＣ银行"]), ("谁赢了？", [])]),
]


def squad(contexts: Contexts, shift: int = 0) -> str:
    paragraphs = []
    for index, (context, questions) in enumerate(contexts):
        qas = []
        for position, (question, answers) in enumerate(questions):
            found = [{"text": text, "answer_start": context.find(text) + shift} for text in answers]
            qas.append(
                {"id": f"{index}-{position}", "question": question, "answers": found, "is_impossible": not answers}
            )
        paragraphs.append({"context": context, "qas": qas})
    return json.dumps({"version": "1", "data": [{"title": "x", "paragraphs": paragraphs}]}, ensure_ascii=False)


def write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def varied(times: int) -> Contexts:
    """The contexts several times, each with another number at its end."""
    return [(f"{context} {n}", asked) for n in range(times) for context, asked in CONTEXTS]


def ready(path: Path, **options: Any) -> Reading:
    data = Reading(str(path), **{"batch_size": 1, "val_fraction": 0.2, "test_fraction": 0.2, **options})
    data.setup()
    return data


@pytest.mark.parametrize("size", [1, 9, 10, 11, 25, 100])
@pytest.mark.parametrize(("room", "stride"), [(10, 4), (10, 10), (10, 30), (3, 1)])
def test_windows_cover_all_tokens_and_the_best_one_has_the_farthest_edges(size: int, room: int, stride: int) -> None:
    cut = windows(size, room, stride)
    assert cut[0][0] == 0
    assert cut[-1][1] == size
    assert all(0 < end - start <= room for start, end in cut)
    assert all(start <= last for (_, last), (start, _) in itertools.pairwise(cut))
    for token, window in enumerate(best_windows(cut, size)):
        nearer_edge = [min(token - start, end - 1 - token) for start, end in cut]
        assert nearer_edge[window] == max(nearer_edge) >= 0


@pytest.mark.parametrize("max_length", [32, 40, 384])
def test_the_tokens_of_an_answer_are_its_characters_in_every_window(max_length: int, place: Path) -> None:
    data = ready(write(place / "all.json", squad(varied(5))), max_length=max_length, stride=6)
    index = torch.arange(len(data.book.questions))
    passages, answers = data.examples(index)[index]
    assert isinstance(passages, Passages)
    assert (len(passages.ids) > len(index)) == (max_length < 384)
    assert passages.ids.shape[1] <= max_length
    tokenizer = data.built_tokenizer
    flat = passages.ids.flatten()
    for row, question in enumerate(data.book.questions):
        context = data.book.contexts[question.context]
        assert (passages.contexts[row], passages.questions[row]) == (context, question.text)
        encoded = tokenizer.encode(context, add_special_tokens=False)
        size = int(passages.num_tokens[row])
        assert flat[passages.first[row, :size]].tolist() == encoded.ids
        assert passages.offsets[row, :size].tolist() == [list(pair) for pair in encoded.offsets]
        assert answers.texts[row] == question.answers
        first, last = answers.spans[row].tolist()
        if question.answers:
            start, end = int(passages.offsets[row, first, 0]), int(passages.offsets[row, last, 1])
            assert context[start:end] == question.answers[0]
        else:
            assert (first, last) == (-1, -1)


def test_every_window_contains_its_question_and_a_part_of_its_own_context(place: Path) -> None:
    data = ready(write(place / "all.json", squad(varied(5))), max_length=32, stride=6)
    index = torch.tensor([4, 0, 2])
    passages, _ = data.examples(torch.arange(len(data.book.questions)))[index]
    tokenizer = data.built_tokenizer
    for ids, length, start, owner in zip(*map(torch.Tensor.tolist, passages[:4]), strict=True):
        question = data.book.questions[int(index[owner])]
        asked = tokenizer.encode(question.text, add_special_tokens=False).ids
        assert ids[1 : start - 1] == asked[: len(ids[1 : start - 1])]
        context = tokenizer.encode(data.book.contexts[question.context], add_special_tokens=False).ids
        part = ids[start : length - 1]
        assert any(context[n : n + len(part)] == part for n in range(len(context)))
        assert (ids[0], ids[start - 1], ids[length - 1]) == tuple(
            map(tokenizer.token_to_id, ("[CLS]", "[SEP]", "[SEP]"))
        )
    assert passages.segments.sum(1).tolist() == (passages.lengths - passages.context_start).tolist()


def test_characters_are_mapped_to_tokens() -> None:
    offsets = [(0, 3), (3, 5), (6, 7), (7, 12)]
    assert token_span(offsets, 0, 3) == (0, 0)
    assert token_span(offsets, 4, 7) == (1, 2)
    assert token_span(offsets, 8, 9) == (3, 3)
    assert token_span(offsets, 5, 6) is None


def test_a_wrong_position_is_corrected_if_the_answer_is_found() -> None:
    context = "ab cd ab"
    assert [find_answer("ab", context, expected) for expected in (0, 1, 5, 6, -1, 99)] == [0, 0, 6, 6, 0, 6]
    assert find_answer("xy", context, 0) is None


def test_wrong_positions_are_corrected_and_lost_answers_left_out_of_training_only(place: Path, capsys: Any) -> None:
    file = write(place / "all.json", squad(varied(5), shift=2))
    data = ready(file)
    assert data.book.corrected == 5 * 5
    assert [q.start for q in data.book.questions] == [
        q.start for q in ready(write(file, squad(varied(5)))).book.questions
    ]
    content = json.loads(squad(varied(5)))
    for paragraph in content["data"][0]["paragraphs"]:
        paragraph["qas"][0]["answers"] = [{"text": "Nowhere", "answer_start": -1}]
    data = ready(write(place / "lost.json", json.dumps(content)))
    assert data.book.lost == 10
    train, val, test = ([data.book.questions[n].answers for n in split.tolist()] for split in data.splits)
    assert ["Nowhere"] not in train
    assert (val.count(["Nowhere"]), test.count(["Nowhere"])) == (2, 2)
    notes = capsys.readouterr().err
    assert "25 answers are not at their answer_start" in notes
    assert "6 training questions are left out" in notes
    _, answers = data.examples(data.splits.test)[torch.arange(len(test))]
    assert (answers.spans == -100).any()


def test_questions_beside_their_contexts_are_split_by_context_and_read_without_answers(place: Path) -> None:
    rows = [
        {"id": f"{context[-2:]} {number}", "context": context, "question": question, "answers": {"text": answers}}
        for number in range(3)
        for context, asked in varied(10)
        for question, answers in asked[number : number + 1]
    ]
    file = write(place / "all.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    data = ready(file)
    contexts = [{data.book.questions[n].context for n in split.tolist()} for split in data.splits]
    assert sum(map(len, contexts)) == len(set.union(*contexts)) == 20
    for row in rows:
        del row["answers"]
    data.set_input(write(place / "new.json", json.dumps(rows)))
    assert [*data.predicted_names] == [row["id"] for row in rows]


def test_questions_about_one_context_are_in_one_split(place: Path) -> None:
    data = ready(write(place / "all.json", squad(varied(10))))
    contexts = [{data.book.questions[n].context for n in split.tolist()} for split in data.splits]
    assert sum(map(len, contexts)) == len(set.union(*contexts)) == 20
    assert sum(map(len, data.splits)) == 60


def test_a_folder_with_a_file_a_split_keeps_them(place: Path) -> None:
    for name, times in (("train-v1", 4), ("dev-v1", 1), ("test", 2)):
        write(place / f"{name}.json", squad(varied(times)))
    data = ready(place)
    assert list(map(len, data.splits)) == [24, 6, 12]
    assert any("examples of the test split are in the training split" in note for note in data.notes)


def test_generated_facts_are_at_their_positions() -> None:
    book, splits = generated_facts(100, seed=0)
    assert [len(index) for index in splits.values()] == [70, 10, 20]
    for question in book.questions:
        if question.start is not None:
            assert book.contexts[question.context][question.start : question.end] == question.answers[0]
    fraction = sum(not question.answers for question in book.questions) / len(book.questions)
    assert fraction == pytest.approx(0.25)
    contexts = {split: set(index) for split, index in splits.items()}
    towns = {
        split: {a for q in book.questions if q.context in contexts[split] and "home" in q.name for a in q.answers}
        for split in contexts
    }
    assert towns["test"]
    assert not towns["test"] & towns["train"]


def test_what_was_learned_is_restored_and_questions_without_answers_are_read(place: Path) -> None:
    data = ready(write(place / "all.json", squad(varied(5))))
    assert data.unanswerable
    again = Reading(str(place / "all.json"), batch_size=1)
    again.load_state_dict(data.state_dict())
    assert (again.num_tokens, again.padding, again.unanswerable) == (data.num_tokens, data.padding, True)
    content = json.loads(squad(CONTEXTS))
    for paragraph in content["data"][0]["paragraphs"]:
        for question in paragraph["qas"]:
            del question["answers"], question["is_impossible"]
    again.set_input(write(place / "input.json", json.dumps(content)))
    assert again.predicted is not None
    passages = again.predicted[torch.arange(6)]
    assert passages.questions[3] == "王小明住在哪里？"
    assert [*again.predicted_names][3] == "1-0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"{", "a.json:1: not JSON"),
        (b'{"x": 1}', "expected SQuAD's form"),
        ("中文".encode("gb18030"), "--data.encoding"),
        (b'{"data": [{}]}', 'data[0]: expected a list "paragraphs", found none'),
        (b'{"data": [{"paragraphs": [{"qas": []}]}]}', 'data[0].paragraphs[0]: expected a text "context"'),
        (
            b'{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": 3}]}]}]}',
            'data[0].paragraphs[0].qas[0]: expected a text "question", found int',
        ),
        (
            b'{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "b", "answers": []}]}]}]}',
            'qas[0]: no answers; a question without one is marked by "is_impossible": true',
        ),
        (
            b'{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": "b", "answers": [{"text": " "}]}]}]}]}',
            "qas[0].answers[0]: the answer's text is empty",
        ),
        (b'{"data": [{"paragraphs": [{"context": "a", "qas": []}]}]}', "no examples in it"),
    ],
)
def test_faults_are_reported_with_their_position(content: bytes, message: str, place: Path, refused: Any) -> None:
    (place / "a.json").write_bytes(content)
    with refused(message):
        ready(place / "a.json")


def test_a_training_split_without_answers_and_an_empty_split_are_refused(place: Path, refused: Any) -> None:
    none: Contexts = [(f"{n} {ENGLISH}", [("Who won?", [])]) for n in range(10)]
    with refused("no question of the training split has an answer"):
        ready(write(place / "a.json", squad(none)))
    with refused("split is empty"):
        ready(write(place / "a.json", squad(CONTEXTS[:1])))


@pytest.mark.parametrize(
    "options",
    [
        {"num_contexts": 1},
        {"max_length": 2},
        {"stride": 0},
        {"vocab_size": 0},
        {"tokenizer": "words"},
        {"encoding": "x"},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], refused: Any) -> None:
    with refused(f"--data.{next(iter(options))}"):
        Reading(**options)


@pytest.mark.parametrize(("name", "version"), [("SQuAD", "v1.1"), ("SQuAD2", "v2.0")])
def test_squad_is_tested_on_its_development_split(name: str, version: str, place: Path) -> None:
    (place / name).mkdir()
    asked = [
        (f"{context} {n}", questions[: 3 if name == "SQuAD2" else 2])
        for n in range(8)
        for context, questions in CONTEXTS
    ]
    write(place / name / f"train-{version}.json", squad(asked[4:]))
    write(place / name / f"dev-{version}.json", squad(asked[:4]))
    data = Reading(name, root=str(place), batch_size=1, val_fraction=0.2)
    data.setup()
    tested = [context for batch, _ in data.test_dataloader() for context in batch.contexts]
    assert sorted({*tested}) == sorted(context for context, _ in asked[:4])
    assert len(tested) == sum(len(questions) for _, questions in asked[:4])
    assert len(data.splits.train) + len(data.splits.val) == sum(len(questions) for _, questions in asked[4:])


def test_a_context_without_tokens_can_be_predicted(place: Path) -> None:
    data = ready(write(place / "all.json", squad(varied(5))))
    data.set_input(write(place / "input.json", squad([(" ", [("Where?", [])])])))
    (passages,) = data.predict_dataloader()
    assert passages.num_tokens.tolist() == [0]
    assert passages.first.tolist() == [[0]]
    assert not passages.token_mask.any()

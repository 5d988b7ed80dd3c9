import json
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.files.entities import Entity, Sentence, cut_words, entities_of, infer_unit
from datamodules.files.entity_files import read_columns
from datamodules.synthetic.names import generated_names
from datamodules.tagging import IGNORED, Tagging, tags_of

SENTENCES = [
    ("Anna Berg lives in Ulm", [("Anna Berg", "person"), ("Ulm", "place")]),
    ("Nobody is here", []),
    ("Ulm beat Bonn", [("Ulm", "place"), ("Bonn", "place")]),
    ("I met Li", [("Li", "person")]),
]
CHINESE = [
    ("王小明住在北京市", [("王小明", "person"), ("北京市", "place")]),
    ("今天下雨", []),
    ("李雷爱上海", [("李雷", "person"), ("上海", "place")]),
]
Named = list[tuple[str, list[tuple[str, str]]]]


def spans(text: str, names: list[tuple[str, str]]) -> list[Entity]:
    return [Entity(text.index(name), text.index(name) + len(name), type_) for name, type_ in names]


def columns(sentences: Named, scheme: str) -> str:
    """The sentences as columns: a line a word, or a character where there is no space."""
    lines = []
    for text, names in sentences:
        words = cut_words(text, "word" if " " in text else "character")
        tags = ["O"] * len(words)
        for start, end, type_ in spans(text, names):
            inside = [index for index, (first, last) in enumerate(words) if first >= start and last <= end]
            letters = {
                "BIO": "B" + "I" * len(inside[1:]),
                "BIOES": "S" if len(inside) == 1 else "B" + "I" * len(inside[1:-1]) + "E",
                "BMES": "S" if len(inside) == 1 else "B" + "M" * len(inside[1:-1]) + "E",
                "BILOU": "U" if len(inside) == 1 else "B" + "I" * len(inside[1:-1]) + "L",
            }[scheme]
            for index, letter in zip(inside, letters, strict=True):
                tags[index] = f"{letter}-{type_}"
        lines += [f"{text[start:end]} {tag}" for (start, end), tag in zip(words, tags, strict=True)] + [""]
    return "\n".join(lines) + "\n"


def json_lines(sentences: Named, form: str = "dictionaries") -> str:
    lines = []
    for text, names in sentences:
        found = spans(text, names)
        entities: Any = [{"start": start, "end": end, "type": type_} for start, end, type_ in found]
        if form == "lists":
            entities = [list(entity) for entity in found]
        if form == "inclusive":
            entities = [
                {"start": start, "end": end - 1, "label": type_, "text": text[start:end]} for start, end, type_ in found
            ]
        row: dict[str, Any] = {"text": text, "entities": entities}
        if form == "cluener":
            label: dict[str, dict[str, list[list[int]]]] = {}
            for start, end, type_ in found:
                label.setdefault(type_, {}).setdefault(text[start:end], []).append([start, end - 1])
            row = {"text": text, "label": label}
        lines.append(json.dumps(row, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def ready(path: Path, **options: Any) -> Tagging:
    data = Tagging(str(path), **{"batch_size": 1, "val_fraction": 0.2, **options})
    data.setup()
    return data


def write(file: Path, text: str, encoding: str = "utf-8") -> Path:
    file.write_bytes(text.encode(encoding))
    return file


def read(data: Tagging) -> Named:
    return [(s.text, [(s.text[start:end], type_) for start, end, type_ in s.entities]) for s in data.sentences]


@pytest.mark.parametrize("sentences", [SENTENCES, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("scheme", ["BIO", "BIOES", "BMES", "BILOU"])
def test_columns_are_read_in_every_scheme(sentences: Named, scheme: str, place: Path) -> None:
    file = write(place / "all.conll", columns(sentences * 5, scheme))
    assert read(ready(file)) == sentences * 5


@pytest.mark.parametrize("sentences", [SENTENCES, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("form", ["dictionaries", "lists", "inclusive", "cluener"])
def test_json_lines_are_read_in_every_form(sentences: Named, form: str, place: Path) -> None:
    file = write(place / "all.jsonl", json_lines(sentences * 5, form))
    assert read(ready(file)) == sentences * 5


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_encodings(encoding: str, place: Path) -> None:
    file = write(place / "all.txt", columns(CHINESE * 5, "BMES").replace("\n", "\r\n"), encoding)
    assert read(ready(file, encoding=encoding)) == CHINESE * 5


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-a I-a O", [(1, 3, "a")]),
        ("I-a I-a B-a O", [(0, 2, "a"), (2, 3, "a")]),  # IOB1
        ("B-a I-b I-b O", [(0, 1, "a"), (1, 3, "b")]),
        ("B-a E-a I-a O", [(0, 2, "a"), (2, 3, "a")]),
        ("S-a S-a M-a E-a", [(0, 1, "a"), (1, 2, "a"), (2, 4, "a")]),
        ("B-creative-work I-creative-work O O", [(0, 2, "creative-work")]),
        ("O O O O", []),
    ],
)
def test_tags_make_entities(tags: str, expected: list[tuple[int, int, str]]) -> None:
    words = [(n, n + 1) for n in range(4)]
    assert entities_of(tags.split(), words) == expected


def test_words_are_joined_with_spaces_but_not_in_chinese() -> None:
    (sentence,) = read_columns("我\tO\n用\tO\nMac\tB-x\nBook\tI-x\n写\tO\n".splitlines(), Path("x"))
    assert sentence.text == "我用Mac Book写"
    assert [sentence.text[start:end] for start, end in sentence.words] == ["我", "用", "Mac", "Book", "写"]
    assert sentence.entities == [(2, 10, "x")]


def test_words_are_cut_by_letters_digits_signs_and_chinese_characters() -> None:
    text = "Zoë's 3号 iPhone12，好!"
    assert [text[a:b] for a, b in cut_words(text, "word")] == [
        "Zoë", "'", "s", "3", "号", "iPhone", "12", "，", "好", "!",
    ]  # fmt: skip
    assert len(cut_words(text, "character")) == len(text.replace(" ", ""))
    assert infer_unit([Sentence("我用iPhone写字")]) == "word"
    assert infer_unit([Sentence("我天天都用Mac写字")]) == "character"


@pytest.mark.parametrize("tokenizer", ["wordpiece", "words"])
@pytest.mark.parametrize("sentences", [SENTENCES, CHINESE], ids=["English", "Chinese"])
def test_each_word_is_labelled_at_its_first_token(sentences: Named, tokenizer: str, place: Path) -> None:
    data = ready(write(place / "all.jsonl", json_lines(sentences * 5)), tokenizer=tokenizer, batch_size=3)
    examples = data.examples(torch.arange(len(data.sentences)))
    batch, target = examples[torch.tensor([2, 0, 1])]
    built = data.built_tokenizer
    flat = batch.ids.flatten()
    for row, index in enumerate([2, 0, 1]):
        sentence = data.sentences[index]
        words = [sentence.text[start:end] for start, end in sentence.words]
        assert int(batch.num_words[row]) == len(words)
        assert batch.offsets[row, : len(words)].tolist() == [list(word) for word in sentence.words]
        for position, word in zip(batch.first[row].tolist(), words, strict=False):
            assert int(flat[position]) == built.encode(word, add_special_tokens=False).ids[0]
        tags = [data.tag_names[tag] for tag in target[row, : len(words)].tolist()]
        assert tags == tags_of(sentence)[0]
        assert (target[row, len(words) :] == IGNORED).all()
    assert entities_of(tags_of(data.sentences[0])[0], data.sentences[0].words) == data.sentences[0].entities


def test_a_long_sentence_becomes_pieces_and_loses_no_word(place: Path) -> None:
    long = "。".join(["王小明住在北京市"] * 20)
    text = [(long, []), *CHINESE] * 4
    data = ready(write(place / "all.jsonl", json_lines(text)), max_length=32)
    batch, target = data.examples(torch.arange(2))[torch.arange(2)]
    assert len(batch.ids) > 5
    assert batch.ids.shape[1] <= 32
    words = [long[start:end] for start, end in batch.offsets[0].tolist()]
    assert "".join(words) == long
    tokenizer = data.built_tokenizer
    first = [tokenizer.encode(word, add_special_tokens=False).ids[0] for word in words]
    assert batch.ids.flatten()[batch.first[0]].tolist() == first
    assert target.shape == (2, len(long))
    ends = [int(batch.ids[piece, length - 2]) for piece, length in enumerate(batch.lengths.tolist()[:-2])]
    assert set(ends) == {tokenizer.token_to_id("。")}, "a piece ends where a sentence ends"


def test_a_word_of_more_tokens_than_a_piece_is_kept(place: Path) -> None:
    words = [("x" + "qz" * 60 + " Ulm", [("Ulm", "place")]), *SENTENCES * 5]
    data = ready(write(place / "all.jsonl", json_lines(words)), max_length=12, vocab_size=60)
    batch, _ = data.examples(torch.arange(1))[torch.arange(1)]
    assert int(batch.num_words[0]) == 2
    assert batch.ids.shape[1] <= 12


def test_generated_names_of_the_test_split_do_not_occur_in_training() -> None:
    sentences, splits = generated_names(600, seed=0)
    names = {
        split: {sentences[row].text[start:end].lower() for row in rows for start, end, _ in sentences[row].entities}
        for split, rows in splits.items()
    }
    assert len(names["test"]) > 100
    assert not names["test"] & names["train"]
    assert not names["test"] & names["val"]
    assert {type_ for sentence in sentences for _, _, type_ in sentence.entities} == {"person", "place", "organisation"}
    assert sentences == generated_names(600, seed=0)[0]


def test_nothing_is_learned_outside_the_training_split(place: Path) -> None:
    rows = SENTENCES * 5
    before = ready(write(place / "a.jsonl", json_lines(rows)))
    assert before.splits is not None
    for row in torch.cat([before.splits.val, before.splits.test]).tolist():
        rows[row] = ("Qwxyz saw Anna Berg", [("Anna Berg", "place")])
    after = ready(write(place / "b.jsonl", json_lines(rows)))
    assert after.state_dict() == before.state_dict()
    assert before.known_entities["Ulm"] == "place"


def test_a_folder_with_a_file_a_split_keeps_them(place: Path) -> None:
    write(place / "my_train.conll", columns(SENTENCES, "BIO"))
    write(place / "dev.conll", columns(SENTENCES[:1], "BIO"))
    write(place / "test.char.bmes", columns(SENTENCES[2:3], "BMES"))
    data = ready(place)
    assert [len(split) for split in data.splits] == [4, 1, 1]
    assert any("test split are in the training split" in note for note in data.notes)


def test_what_was_learned_is_restored(place: Path) -> None:
    data = ready(write(place / "all.jsonl", json_lines(CHINESE * 5)))
    again = Tagging(str(place / "all.jsonl"), batch_size=1)
    again.load_state_dict(data.state_dict())
    assert (again.num_tokens, again.padding, again.tag_names) == (data.num_tokens, data.padding, data.tag_names)
    assert again.unit == "character"
    write(place / "input.txt", "李雷在Ulm\n\n下雨\n")
    again.set_input(place / "input.txt")
    assert again.predicted is not None
    batch = again.predicted[torch.arange(2)]
    assert batch.texts == ["李雷在Ulm", "下雨"]
    assert batch.num_words.tolist() == [6, 2]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json_lines(SENTENCES)),
        ("a.txt", "\n".join(text for text, _ in SENTENCES)),
        ("a.conll", columns(SENTENCES, "BIO")),
    ],
)
def test_input_is_read_from_any_format(name: str, content: str, place: Path) -> None:
    data = ready(write(place / "all.jsonl", json_lines(SENTENCES * 5)))
    data.set_input(write(place / name, content))
    assert data.predicted is not None
    assert data.predicted[torch.arange(4)].texts == [text for text, _ in SENTENCES]
    assert data.predicted_names == ["1", "2", "3", "4"]


def test_entities_within_a_word_or_over_others_are_counted_and_reported(place: Path, capsys: Any) -> None:
    unusual = {"text": "Anna lives in Ulmburg", "entities": [[14, 17, "place"], [14, 21, "place"], [0, 3, "person"]]}
    content = json_lines(SENTENCES * 5) + json.dumps(unusual) + "\n"
    data = ready(write(place / "all.jsonl", content))
    assert data.sentences[-1].entities == [(0, 3, "person"), (14, 21, "place")]
    notes = capsys.readouterr().err
    assert "1 entities overlap a longer one" in notes
    assert "1 entities begin or end within a word" in notes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conll", b"", "the file is empty"),
        ("a.conll", b"Ulm B-place\nis\n", "a.conll:2: expected a word and its tag, found only is"),
        ("a.conll", b"Ulm X-place\n", "a.conll:1: the tag of Ulm is X-place; expected O, or B-"),
        ("a.conll", "王 B-p\n".encode("gb18030"), "--data.encoding"),
        ("a.conll", b"Ulm O\n\n" * 20, "no entity in 20 sentences"),
        ("a.jsonl", b'{"text": "Ulm"\n', "a.jsonl:1: not JSON"),
        ("a.jsonl", b'{"txt": "Ulm"}\n', 'a.jsonl:1: expected an object with a "text"'),
        ("a.jsonl", b'{"text": "Ulm"}\n', 'a.jsonl:1: expected a list "entities"'),
        ("a.jsonl", b'{"text": "Ulm", "entities": [[0, 9, "x"]]}\n', "a.jsonl:1: the span 0-9 is not in the text"),
        ("a.jsonl", b'{"text": "Ulm", "entities": [{"start": 0}]}\n', "a.jsonl:1: a span needs a start"),
        (
            "a.jsonl",
            b'{"text": "Ulm", "entities": [{"start": 0, "end": 3, "type": "x", "text": "Bon"}]}\n',
            "the span 0-3 (Bon) is not in the text",
        ),
    ],
)
def test_faults_are_reported_with_their_line(
    name: str, content: bytes, message: str, place: Path, refused: Any
) -> None:
    (place / name).write_bytes(content)
    with refused(message):
        ready(place / name)


def test_what_a_column_is_is_told_once_and_kept_for_prediction(place: Path, capsys: Any) -> None:
    lines = columns(SENTENCES * 5, "BIO").splitlines()
    numbered = "".join(f"{n} {line.replace(' ', ' NN ')}\n" if line else "\n" for n, line in enumerate(lines))
    for name in ("train.txt", "dev.txt"):
        write(place / name, numbered)
    data = ready(place)
    assert read(data) == SENTENCES * 10
    notes = capsys.readouterr().err
    assert notes.count("train.txt, dev.txt: words are in column 2, tags in column 4; left out: 1, 3") == 1
    again = Tagging(str(place), batch_size=1)
    again.load_state_dict(data.state_dict())
    again.set_input(write(place / "new.conll", "1 2024 CD\n2 2025 CD\n\n1 Ulm NN\n"))
    assert again.predicted is not None
    assert again.predicted[torch.arange(2)].texts == ["2024 2025", "Ulm"]
    before = {name: value for name, value in data.state_dict().items() if name != "layout"}
    again.load_state_dict(before)
    again.set_input(write(place / "new.conll", "Ulm\nis\n"))
    assert again.predicted is not None
    assert again.predicted[torch.arange(1)].texts == ["Ulm is"], "checkpoints of earlier versions know no columns"


def test_predictions_carry_the_identifiers_of_records(place: Path) -> None:
    data = ready(write(place / "all.jsonl", json_lines(SENTENCES * 5)))
    data.set_input(write(place / "new.jsonl", '{"id": "a7", "text": "Ulm"}\n{"id": 9, "tokens": ["Bonn"]}\n'))
    assert data.predicted_names == ["a7", "9"]


def test_what_is_left_out_of_words_is_counted_in_notes(place: Path, capsys: Any) -> None:
    ready(write(place / "all.txt", "# a comment\n" + columns(SENTENCES * 5, "BIO").replace("lives", "\u3000")))
    notes = capsys.readouterr().err
    assert "1 comment lines are left out" in notes
    assert "5 words are blank and left out" in notes


def test_a_type_that_the_training_split_lacks_is_refused(place: Path, refused: Any) -> None:
    write(place / "train.conll", columns(SENTENCES[:3], "BIO"))
    write(place / "dev.conll", columns(SENTENCES[:3], "BIO"))
    write(place / "test.conll", "Li B-animal\n")
    with refused("the training split lacks entities of type animal (1 in test)"):
        ready(place)


def test_a_folder_without_a_training_file_and_an_empty_split_are_refused(place: Path, refused: Any) -> None:
    write(place / "dev.conll", columns(SENTENCES, "BIO"))
    with refused("expected train, val (or valid, validation, dev, eval) and test files", "found dev.conll"):
        ready(place)
    with refused("split is empty"):
        ready(write(place / "one.conll", columns(SENTENCES[:1], "BIO")))


@pytest.mark.parametrize(
    "options", [{"num_sentences": 1}, {"max_length": 2}, {"vocab_size": 0}, {"encoding": "utf-9"}, {"batch_size": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any], refused: Any) -> None:
    with refused(f"--data.{next(iter(options))}"):
        Tagging(**options)


def test_a_tokenizer_that_is_not_there_is_refused(place: Path, refused: Any) -> None:
    with refused("there is no such folder"):
        ready(write(place / "all.jsonl", json_lines(SENTENCES * 5)), tokenizer=str(place / "nothing"))

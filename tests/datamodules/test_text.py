import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.synthetic.reviews import generated_reviews
from datamodules.text import TextClassification

Example = tuple[str, str]


def examples(size: int = 40) -> list[Example]:
    """Texts with commas and quotes in two languages, and one of two labels."""
    draw = random.Random(0)
    texts = [
        f'He said "fine", number {row}; {draw.choice("abc")}' if row % 2 else f"房间很好，第{row}次，“不错”"
        for row in range(size)
    ]
    return [(text, "好" if row % 3 else "bad") for row, text in enumerate(texts)]


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def csv_text(rows: list[Example], header: str = "text,label\n", delimiter: str = ",") -> str:
    return header + "".join(f"{quoted(text)}{delimiter}{label}\n" for text, label in rows)


def tsv_text(rows: list[Example], header: str = "text\tlabel\n") -> str:
    return header + "".join(f"{text}\t{label}\n" for text, label in rows)


def jsonl_text(rows: list[Example]) -> str:
    return "".join(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows)


def ready(path: Path | str, **options: Any) -> TextClassification:
    data = TextClassification(str(path), **{"batch_size": 4, **options})
    data.setup()
    return data


def read(data: TextClassification) -> list[Example]:
    return [(text, data.class_names[label]) for text, label in zip(data.texts, data.labels.tolist(), strict=True)]


def written(data: TextClassification, ids: list[int]) -> list[str]:
    names = data.token_names
    return [names[number] for number in ids]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("table.csv", csv_text(examples()).encode(), {}),
        ("bare.csv", csv_text(examples(), header="").encode(), {}),
        ("semicolons.csv", csv_text(examples(), "text;label\n", ";").encode(), {}),
        ("names.csv", csv_text(examples(), "opinion,verdict\n").encode(), {}),
        ("chosen.csv", csv_text(examples(), "a,b\n").encode(), {"text": "a", "target": -1}),
        ("table.tsv", tsv_text(examples()).encode(), {}),
        ("bare.tsv", tsv_text(examples(), header="").encode(), {}),
        ("bare.txt", tsv_text(examples(), header="").encode(), {"target": 1}),
        ("spreadsheet.tsv", csv_text(examples(), "text\tlabel\n", "\t").encode(), {}),
        ("table.jsonl", jsonl_text(examples()).encode(), {}),
        ("packed.jsonl.gz", gzip.compress(jsonl_text(examples()).encode(), mtime=0), {}),
        ("中文.csv", csv_text(examples()).encode("gb18030"), {"encoding": "gb18030"}),
        ("windows.csv", b"\xef\xbb\xbf" + csv_text(examples()).replace("\n", "\r\n").encode(), {}),
        ("no end.tsv", tsv_text(examples()).strip("\n").encode(), {}),
    ],
)
def test_a_file_is_read_alike_in_every_format(name: str, content: bytes, options: dict[str, Any], place: Path) -> None:
    (place / name).write_bytes(content)
    data = ready(place / name, **options)
    assert read(data) == examples()
    assert data.class_names == ["bad", "好"]


def test_texts_may_have_lines_in_them(place: Path) -> None:
    rows = [(f"first line {number}\nsecond, line", label) for number, (_, label) in enumerate(examples())]
    (place / "lines.csv").write_text(csv_text(rows), encoding="utf-8")
    assert read(ready(place / "lines.csv")) == rows


def test_lone_quotes_in_a_tsv_are_quotes(place: Path) -> None:
    rows = [(f'" it begins {number} and', label) for number, (_, label) in enumerate(examples())]
    (place / "quotes.tsv").write_text(tsv_text(rows), encoding="utf-8")
    assert read(ready(place / "quotes.tsv")) == rows


def test_words_that_mean_missing_elsewhere_are_texts(place: Path) -> None:
    rows = [(text, label) for text in ("NA", "None", "null", "007", "1e3") for label in ("x", "y") for _ in range(6)]
    (place / "words.csv").write_text(csv_text(rows), encoding="utf-8")
    assert read(ready(place / "words.csv")) == rows


def test_a_folder_has_a_file_for_each_split(place: Path) -> None:
    rows = examples()
    for name, part in (("train.csv", rows[:20]), ("dev.csv", rows[20:28]), ("test.csv", rows[28:])):
        (place / name).write_text(csv_text(part), encoding="utf-8")
    data = ready(place)
    assert [len(split) for split in data.splits] == [20, 8, 12]
    assert [read(data)[number] for number in data.splits.test.tolist()] == rows[28:]


@pytest.mark.parametrize("tokenizer", ["words", "wordpiece"])
def test_chinese_is_cut_into_characters(tokenizer: str) -> None:
    data = ready("reviews", num_reviews=200, tokenizer=tokenizer)
    ids = data.encoded(["房间很好，不错"]).values.tolist()
    assert [word for word in written(data, ids) if word not in ("[CLS]", "[SEP]")] == list("房间很好，不错")


def test_the_vocabulary_is_learned_on_the_training_split_alone(place: Path) -> None:
    for name in ("train", "val", "test"):
        rows = [(f"{name} {name}ing {number % 2}", str(number % 2)) for number in range(12)]
        (place / f"{name}.csv").write_text(csv_text(rows), encoding="utf-8")
    data = ready(place)
    assert {"train", "training"} <= set(data.token_names)
    assert not {"val", "valing", "test", "testing"} & set(data.token_names)
    assert written(data, data.encoded(["test train"]).values.tolist()) == ["[UNK]", "train"]


def test_a_batch_is_padded_and_nothing_else() -> None:
    data = ready("reviews", num_reviews=200, batch_size=16)
    text, _ = next(iter(data.train_dataloader()))
    assert text.ids.shape == (16, int(text.lengths.max()))
    assert (text.ids[~text.mask] == data.padding).all()
    assert (text.ids[text.mask] != data.padding).all()


def test_batches_have_texts_of_similar_length() -> None:
    data = ready("reviews", num_reviews=1000, batch_size=16)
    cells = [(text.ids.numel(), int(text.lengths.sum())) for text, _ in data.train_dataloader()]
    assert sum(size for size, _ in cells) < 1.15 * sum(tokens for _, tokens in cells)


def test_long_texts_are_cut_and_empty_ones_are_unknown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("很" * 50, "a"), ("", "b"), ("good", "a"), ("ok", "b")] * 8
    (place / "table.csv").write_text(csv_text(rows), encoding="utf-8")
    data = ready(place / "table.csv", max_length=10)
    assert data.encoded(["很" * 50, "", " "]).lengths.tolist() == [10, 1, 1]
    assert written(data, data.encoded([""]).values.tolist()) == ["[UNK]"]
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("note: ") and "8 of 32 texts are empty" in line for line in lines)
    framed = ready(place / "table.csv", max_length=10, tokenizer="wordpiece")
    assert written(framed, framed.encoded(["很" * 50]).values.tolist()) == ["[CLS]", *"很" * 8, "[SEP]"]


def test_texts_in_two_splits_are_counted(place: Path) -> None:
    rows = examples()
    (place / "train.csv").write_text(csv_text(rows), encoding="utf-8")
    (place / "test.csv").write_text(csv_text([*rows[:7], ("new", "bad")]), encoding="utf-8")
    data = ready(place)
    assert any("examples of the test split are in the training split" in note for note in data.notes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("new.csv", csv_text([(text, "") for text, _ in examples()])),
        ("lacking.csv", "text\n" + "".join(quoted(text) + "\n" for text, _ in examples())),
        ("bare.csv", "".join(quoted(text) + "\n" for text, _ in examples())),
        ("lines.txt", "".join(f"{text}\n\n" for text, _ in examples())),
        ("new.jsonl", "".join(json.dumps({"id": 1, "text": text}) + "\n" for text, _ in examples())),
    ],
)
def test_input_keeps_its_order_and_may_lack_labels(name: str, content: str, place: Path) -> None:
    (place / "table.csv").write_text(csv_text(examples()), encoding="utf-8")
    data = ready(place / "table.csv")
    other = TextClassification(str(place / "table.csv"))
    other.load_state_dict(data.state_dict())
    (place / name).write_text(content, encoding="utf-8")
    other.set_input(place / name)
    assert other.predicted_names == [text for text, _ in examples()]
    ids = [row[:length].tolist() for text in other.predict_dataloader() for row, length in zip(*text, strict=True)]
    order = torch.cat(list(other.predicted_batches)).tolist()
    assert sorted(order) == list(range(len(ids)))
    expected = data.encoded([text for text, _ in examples()])
    assert ids == [expected.joined(torch.tensor([row])).tolist() for row in order]


def test_a_checkpoint_keeps_the_tokenizer() -> None:
    data = ready("reviews", num_reviews=200)
    other = TextClassification("reviews", num_reviews=200)
    other.load_state_dict(data.state_dict())
    assert other.num_tokens == data.num_tokens
    assert other.token_names == data.token_names
    assert torch.equal(other.encoded(data.texts).values, data.encoded(data.texts).values)


def test_the_same_reviews_every_time_balanced_and_none_twice() -> None:
    texts, labels = generated_reviews(400, seed=0)
    assert (texts, labels) == generated_reviews(400, seed=0)
    assert len(set(texts)) == 400
    assert labels.count("positive") == 200
    assert sum("\u4e00" <= text[0] <= "\u9fff" for text in texts) == 200


def test_the_words_of_a_review_are_hardly_informative() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    data = ready("reviews", num_reviews=1000)
    words = [" ".join(written(data, data.encoded([text]).values.tolist())) for text in data.texts]
    train, test = data.splits.train.tolist(), data.splits.test.tolist()
    vectorizer = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2))
    model = LogisticRegression(max_iter=1000).fit(
        vectorizer.fit_transform([words[number] for number in train]), data.labels[train]
    )
    assert model.score(vectorizer.transform([words[number] for number in test]), data.labels[test]) < 0.75


ROWS = "".join(f"text number {number},{number % 2}\n" for number in range(20))


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("t.csv", b"", ["the file is empty"]),
        ("t.tsv", b" \n\n", ["the file is empty"]),
        ("t.jsonl", b"\n", ["the file is empty"]),
        ("t.csv", b"text,label\n", ["no rows"]),
        ("t.csv", b"text,label\na,1\nb\n", [":3:", "expected 2 fields", "found 1"]),
        ("t.csv", b"text,label\nwell, good,1\n", [":2:", "expected 2 fields", "found 3"]),
        ("t.csv", b'text,label\n"a" b,1\n', [":2:", "not CSV"]),
        ("t.tsv", b"a\t1\nb 2\n", [":2:", "expected 2 fields", "found 1"]),
        ("t.csv", b"text,text\na,b\n", [":1:", "two columns are called text"]),
        ("t.csv", b"text\na\nb\n", ["a column of texts and one of labels", "only text"]),
        ("t.csv", b"a,b,c\n1x,2x,3x\n4x,5x,6x\n", ["which column?", "--data.text", "a, b, c"]),
        ("t.csv", b"text,b,c\n1x,2x,3x\n4x,5x,6x\n", ["which column?", "--data.target", "text, b, c"]),
        ("t.csv", b"text,label\na,1\nb,\nc,0\nd, \n", [":3:", "label is missing", "2 of 4"]),
        ("t.csv", b"text,label\n" + b"".join(b"t%d,no\n" % n for n in range(20)), ["one class, no"]),
        ("t.csv", b"text,label\n" + b"".join(b"t%d,l%d\n" % (n, n) for n in range(30)), ["30 different labels"]),
        ("t.jsonl", b'{"text": "a", "label": 1}\n{"text": "b"\n', [":2:", "not JSON"]),
        ("t.jsonl", b'{"text": "a", "label": 1}\n["b", 1]\n', [":2:", "expected an object"]),
        ("t.jsonl", b'{"text": "a", "label": 1}\n{"text": "b"}\n', [":2:", "has no label", "it has text"]),
        ("t.csv.gz", gzip.compress(ROWS.encode() * 50, mtime=0)[:80], ["cannot be read"]),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    name: str, content: bytes, parts: list[str], place: Path, refused: Any
) -> None:
    (place / name).write_bytes(content)
    with refused(place / name, *parts):
        ready(place / name)


def test_a_byte_that_is_not_text_is_reported_with_the_option_that_helps(place: Path, refused: Any) -> None:
    content = csv_text(examples()).encode("gb18030")
    with pytest.raises(UnicodeDecodeError) as error:
        content.decode()
    (place / "table.csv").write_bytes(content)
    byte = error.value.start
    with refused(place / "table.csv", f"byte {byte} (0x{content[byte]:02x})", "utf-8", "--data.encoding"):
        ready(place / "table.csv")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"text": "txt"}, ["--data.text txt", "text, label"]),
        ({"target": "lab"}, ["--data.target lab", "text, label"]),
        ({"target": 2}, ["--data.target 2", "text, label"]),
        ({"text": 1, "target": "label"}, ["--data.text 1", "--data.target label", "the same column"]),
        ({"encoding": "gb18031"}, ["--data.encoding gb18031"]),
        ({"vocab_size": 3}, ["--data.vocab_size", "at least 10", "3"]),
        ({"max_length": 1}, ["--data.max_length", "at least 4", "1"]),
        ({"num_reviews": 1}, ["--data.num_reviews", "at least 20", "1"]),
        ({"tokenizer": "no such model/folder"}, ["no such model/folder", "no tokenizer there"]),
    ],
)
def test_options_that_do_not_fit_are_refused(
    options: dict[str, Any], parts: list[str], place: Path, refused: Any
) -> None:
    (place / "table.csv").write_text(csv_text(examples()), encoding="utf-8")
    with refused(*parts):
        ready(place / "table.csv", **options)


def test_a_class_that_the_training_file_lacks_is_refused(place: Path, refused: Any) -> None:
    (place / "train.csv").write_text(csv_text(examples()), encoding="utf-8")
    (place / "test.csv").write_text(csv_text([("x", "也许"), ("y", "bad")]), encoding="utf-8")
    with refused(place, "training split lacks class 也许", "1 in test"):
        ready(place)


def test_a_folder_without_a_training_file_or_with_two_is_refused(place: Path, refused: Any) -> None:
    with refused(place, "expected train"):
        ready(place)
    for name in ("train.csv", "train.tsv"):
        (place / name).write_text(csv_text(examples()), encoding="utf-8")
    with refused(place, "train.csv", "train.tsv"):
        ready(place)


def test_a_label_that_a_restored_model_does_not_know_is_refused(place: Path, refused: Any) -> None:
    (place / "table.csv").write_text(csv_text(examples()), encoding="utf-8")
    (place / "new.csv").write_text(csv_text([*examples()[:4], ("x", "perhaps")]), encoding="utf-8")
    data = TextClassification(str(place / "new.csv"))
    data.load_state_dict(ready(place / "table.csv").state_dict())
    with refused(place / "new.csv", "example 5 has label perhaps", "bad, 好"):
        data.setup_test()


def test_an_input_that_is_not_a_file_of_texts_is_refused(place: Path, refused: Any) -> None:
    data = ready("reviews", num_reviews=100)
    with refused(place, "expected a file of texts, or a folder of documents"):
        data.set_input(place)
    (place / "empty.txt").write_bytes(b"\n")
    with refused(place / "empty.txt", "the file is empty"):
        data.set_input(place / "empty.txt")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "sizes", "counts", "text"),
    [
        ("SST-2", [6920, 872, 1821], [4650, 4963], "no movement , no yuks , not much of anything"),
        ("TREC", [4907, 545, 500], [95, 1300, 1344, 1288, 916, 1009], "How far is it from Denver to Aspen ?"),
        ("MR", [7464, 1066, 2132], [5331, 5331], "simplistic , silly and tedious ."),
        ("ChnSentiCorp", [5437, 776, 1553], [2444, 5322], "商务大床房，房间很大，床有2M宽，整体感觉经济实惠不错!"),
        ("waimai", [8392, 1198, 2397], [7987, 4000], "很快，好吃，味道足，量大"),
    ],
)
def test_published_texts_are_read(name: str, sizes: list[int], counts: list[int], text: str, shared_data: Path) -> None:
    data = ready(name, root=str(shared_data))
    assert [len(split) for split in data.splits] == sizes
    assert torch.bincount(data.labels).tolist() == counts
    assert text in data.texts
    if name != "TREC":
        assert data.class_names == ["negative", "positive"]


@pytest.mark.real_data
def test_thucnews_titles_are_read(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "text" / "zh_thucnews_titles"
    (tmp_path / "THUCNews").mkdir()
    for name, source in (("class", "class"), ("train", "dev"), ("dev", "dev"), ("test", "test")):
        (tmp_path / "THUCNews" / f"{name}.txt").write_bytes((folder / f"{source}.txt").read_bytes())
    data = ready("THUCNews", root=str(tmp_path))
    assert len(data.texts) == 30_000
    assert data.class_counts == [1000] * 10
    assert {"finance", "stocks", "game"} <= set(data.class_names)
    assert "词汇阅读是关键 08年考研暑期英语复习全指南" in data.texts


@pytest.mark.parametrize("line", ["{label} {text}", "__label__{label} {text}", "__label__{label} , {text}"])
def test_lines_of_a_label_and_a_text_are_read(line: str, place: Path) -> None:
    rows = [(f"a {'fine' if row % 2 else 'bad'} film, number {row}", str(row % 2)) for row in range(40)]
    file = place / "sst.txt"
    file.write_text("".join(line.format(label=label, text=text) + "\n" for text, label in rows))
    data = ready(file)
    assert read(data) == rows
    assert data.notes == [f"{file}: each line is read as a label, a blank and a text"]
    assert list(data.read_input(file)[1]) == [text for text, _ in rows]


def test_several_labels_a_line_are_refused(place: Path, refused: Any) -> None:
    (place / "t.txt").write_text("__label__a __label__b text\n__label__a text\n__label__b text\n" * 5)
    with refused(place / "t.txt", ":1:", "has several labels"):
        ready(place / "t.txt")


def test_a_folder_has_a_file_for_each_class(place: Path) -> None:
    for label in ("quote", "plain"):
        (place / f"{label}.tok.gt9.5000").write_text("".join(f"{label} text {row}\n" for row in range(20)))
    (place / "subjdata.README.1.0").write_text("about")
    data = ready(place)
    assert read(data)[::20] == [("plain text 0", "plain"), ("quote text 0", "quote")]
    assert data.notes[0] == (
        f"{place}: each file has the texts of a class, a line each: plain, quote; ignored subjdata.README.1.0"
    )


@pytest.mark.parametrize("name", ["new.csv", "new.tsv", "new.txt"])
def test_the_header_of_an_input_is_no_text(name: str, place: Path) -> None:
    data = ready(write_csv(place / "train.csv"))
    (place / name).write_text("text\nfirst text\nsecond text\n")
    assert list(data.read_input(place / name)[1]) == ["first text", "second text"]


def test_columns_without_a_name_and_content_are_left_out(place: Path) -> None:
    file = place / "spam.csv"
    file.write_text(csv_text([(text, f"{label},,,") for text, label in examples()], "v1,v2,,,\n"), encoding="utf-8")
    data = ready(file)
    assert read(data) == examples()
    assert data.notes == [f"{file}: left out 3 empty columns without a name"]


def write_csv(file: Path) -> Path:
    file.write_text(csv_text(examples()), encoding="utf-8")
    return file


def test_labels_before_a_tab_are_a_column_of_their_own(place: Path) -> None:
    file = place / "t.txt"
    file.write_text("".join(f"{row % 2}\ta film, number {row}\tmore\n" for row in range(40)))
    data = ready(file, text=1, target=0)
    assert read(data)[0] == ("a film, number 0", "0")
    assert not [note for note in data.notes if "a label, a blank" in note]


def test_a_run_of_an_earlier_version_that_kept_the_baseline_is_the_same_data() -> None:
    data = TextClassification(num_reviews=100)
    data.setup()
    saved, state = {**data.fingerprint, "learned tf idf": "0123"}, {**data.state_dict(), "tf_idf": {}}
    assert data.changed_since(saved, state) is None
    other = TextClassification(num_reviews=100)
    other.load_state_dict(state)
    other.setup()
    assert other.changed_since(saved, state) is None
    assert other.changed_since({**saved, "texts": "another"}, state) == "texts"

"""Predictions for what is typed on the command line or piped into it."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from datamodules.text import TextClassification
from scripts.experiment import Experiment
from scripts.fit import main as fit
from scripts.predict import main as predict
from scripts.test import main as evaluate
from tests.helpers.example_inputs import example_input
from tests.helpers.stopping import FURTHER, SHORT

ROW = {"mean a": 5.5, "b": "red", "c": 0.25}


def piped(content: bytes) -> io.TextIOWrapper:
    """A standard input of bytes."""
    return io.TextIOWrapper(io.BytesIO(content))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a run of each recipe, trained when it is asked for."""
    logs = tmp_path_factory.mktemp("logs")

    def run(name: str, *words: str) -> str:
        folder = logs / name / "version_0"
        if not folder.exists():
            fit(["--model", name, *SHORT, *FURTHER[name], *words, "--logs", str(logs)])
        return str(folder)

    return run


@pytest.fixture(scope="module")
def of_rows(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run on rows of numbers and words, the first of which is the class."""
    file = tmp_path_factory.mktemp("data") / "rows.csv"
    rows = [
        f"{'yes' if index % 3 else 'no'},{index % 3},{'red' if index % 2 else 'blue'},{index / 7}"
        for index in range(90)
    ]
    file.write_text("\n".join(["kind,mean a,b,c", *rows]) + "\n", encoding="utf-8")
    return str(trained("mlp", "--data", str(file), "--data.target", "kind"))


def predicted(capsys: Any, *words: str) -> list[dict[str, str]]:
    capsys.readouterr()
    predict([*words])
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def refused(capsys: Any, *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        predict([*words])
    assert stop.value.code == 2
    return str(capsys.readouterr().err).strip().splitlines()[-1]


def test_a_row_is_predicted_as_in_a_file(of_rows: str, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("b,mean a,c\nred,5.5,0.25\n")
    expected = predicted(capsys, "--checkpoint", of_rows, "--input", str(tmp_path / "rows.csv"))
    assert len(expected) == 1
    for typed in ("5.5, red, 0.25", "5.5\tred\t0.25", json.dumps(ROW)):
        assert predicted(capsys, "--checkpoint", of_rows, "--example", typed) == expected
    both = predicted(capsys, "--checkpoint", of_rows, "--example", "5.5,red,0.25", "--example=1,blue,7")
    assert [row["input"] for row in both] == ["1", "2"]
    assert both[0]["prediction"] == expected[0]["prediction"]
    assert [str(row["prediction"]) for row in Experiment.load(of_rows).predict(example="5.5,red,0.25")] == [
        expected[0]["prediction"]
    ]


def test_what_is_no_row_is_refused_in_terms_of_the_option(of_rows: str, capsys: Any) -> None:
    line = refused(capsys, "--checkpoint", of_rows, "--example", "5.5, red")
    assert line == "error: --example: has 2 columns without names; expected 3, of mean a, b, c"
    assert "no column c" in refused(capsys, "--checkpoint", of_rows, "--example", '{"mean a": 1, "b": "red"}')
    line = refused(capsys, "--checkpoint", of_rows, "--example", "mean a,b,c")
    assert line == "error: --example: holds no examples"
    assert "give one of them" in refused(capsys, "--checkpoint", of_rows, "--example", "1", "--input", "rows.csv")
    assert "predict what?" in refused(capsys, "--checkpoint", of_rows)


def test_the_standard_input_is_read(of_rows: str, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    of_json = b'{"mean a": 5.5, "b": "red", "c": 0.25}'
    table = b"b,c,mean a\nred,0.25,5.5\nblue,1,2\n"
    for content in (table, (of_json + b"\n") * 2, b"[\n " + of_json + b",\n" + of_json + b"]"):
        monkeypatch.setattr("sys.stdin", piped(content))
        rows = predicted(capsys, "--checkpoint", of_rows, "--input", "-")
        assert [row["input"] for row in rows] == ["1", "2"]
    monkeypatch.setattr("sys.stdin", piped(b" \n"))
    assert refused(capsys, "--checkpoint", of_rows, "--input", "-") == "error: --input -: is empty"


@pytest.mark.parametrize(
    "text", ["It was great,\tsimply great", "1 of the best", "text", "不好", "", "-", "a\nb", '"quoted']
)
def test_a_text_is_an_example_whatever_is_in_it(text: str, trained: Any, capsys: Any) -> None:
    (row,) = predicted(capsys, "--checkpoint", trained("attention_rnn"), f"--example={text}")
    assert row["prediction"] in ("negative", "positive")


def test_a_text_may_be_typed_as_json_and_a_table_of_texts_piped(
    trained: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("attention_rnn")
    (expected,) = predicted(capsys, "--checkpoint", run, "--example", "great, but dear")
    assert predicted(capsys, "--checkpoint", run, "--example", '{"text": "great, but dear"}') == [expected]
    data = Experiment.load(run).data
    assert isinstance(data, TextClassification)
    data.text_name = "review"
    content = b'label,"review"\r\n1,"great, but dear"\r\n'
    assert data.typed_ending(content, False) == ".csv"
    assert data.typed_ending(b"review\nlabel, great", False) == ".txt"
    assert json.loads(data.typed_example('{"review": "a"}')) == {"review": "a"}
    assert json.loads(data.typed_example('{"other": 1}')) == {"review": '{"other": 1}'}


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("bert_ner", "Anna lives\n in Rome"),
        ("seq2seq", "one red house"),
        ("bert_qa", '{"question": "Who?", "context": "Anna was here."}'),
    ],
)
def test_sentences_and_questions_are_typed(name: str, typed: str, trained: Any, capsys: Any) -> None:
    assert len(predicted(capsys, "--checkpoint", trained(name), "--example", typed)) == 1


def test_an_image_is_piped(trained: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(example_input("cnn").rglob("*.png"))
    (expected,) = predicted(capsys, "--checkpoint", trained("cnn"), "--input", str(file))
    monkeypatch.setattr("sys.stdin", piped(file.read_bytes()))
    (row,) = predicted(capsys, "--checkpoint", trained("cnn"), "--input", "-")
    assert row == expected | {"input": "standard input"}
    monkeypatch.setattr("sys.stdin", piped(b"no image"))
    assert "--input -" in refused(capsys, "--checkpoint", trained("cnn"), "--input", "-")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cnn", "an image is not typed"),
        ("gat", "a file or folder, which --input names"),
        ("bert_qa", 'JSON such as {"question"'),
    ],
)
def test_what_cannot_be_typed_is_refused(name: str, said: str, trained: Any, capsys: Any) -> None:
    assert said in refused(capsys, "--checkpoint", trained(name), "--example", "Who?")


def test_several_files_are_predicted_in_their_order_and_each_row_names_its_file(
    of_rows: str, capsys: Any, tmp_path: Path
) -> None:
    files = []
    for name, rows in (("june", "red,5.5,0.25\nblue,1,7\n"), ("july 七月", "blue,2,3\n")):
        files.append(str(tmp_path / f"{name}.csv"))
        (tmp_path / f"{name}.csv").write_text(f"b,mean a,c\n{rows}", encoding="utf-8")
    alone = [row for file in files for row in predicted(capsys, "--checkpoint", of_rows, "--input", file)]
    for words in (["--input", *files], ["--input", files[0], f"--input={files[1]}"]):
        together = predicted(capsys, "--checkpoint", of_rows, *words)
        assert [row.pop("source") for row in together] == [files[0], files[0], files[1]]
        assert together == alone
    assert "give it alone" in refused(capsys, "--checkpoint", of_rows, "--input", "-", files[0])


def test_several_files_are_tested_each_by_itself_and_the_standard_input_as_a_file(
    of_rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{'yes' if index % 3 else 'no'},{index % 3},red,{index / 7}" for index in range(60)]
    for name, part in (("a", lines[:40]), ("b", lines[40:])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["kind,mean a,b,c", *part]) + "\n", encoding="utf-8")
    a, b = (str(tmp_path / f"{name}.csv") for name in "ab")
    outputs = []
    for words in ([a], [b], [a, b]):
        capsys.readouterr()
        evaluate(["--checkpoint", of_rows, "--data", *words])
        outputs.append(capsys.readouterr().out)
    assert outputs[2] == f"{outputs[0]}\n{outputs[1]}"
    monkeypatch.setattr("sys.stdin", piped(Path(a).read_bytes()))
    evaluate(["--checkpoint", of_rows, "--data", "-"])
    assert capsys.readouterr().out == outputs[0].replace(a, "the standard input")
    with pytest.raises(SystemExit):
        evaluate(["--checkpoint", of_rows, "--data", "-", a])
    assert capsys.readouterr().err.strip() == "error: --data -: the standard input is one file; give it alone"

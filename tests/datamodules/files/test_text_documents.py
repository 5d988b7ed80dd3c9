"""What a document is: a file, a line, a paragraph, a row; and what is no text is refused in a line."""

import gzip
import json
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.files import json_list, text_documents
from datamodules.files.document_parts import not_blank, pieces_of
from datamodules.files.json_list import list_values
from datamodules.files.text_documents import Document, file_parts

STORY = "Once upon a time\nthere was a story.\n\nIt had\n \nparagraphs.\n"


def documents(path: Path, document: str = "auto", keys: tuple[str, ...] = ("text",), encoding: str = "utf-8") -> Any:
    parts = file_parts(path, cast(Document, document), keys, encoding)
    found, text = [], ""
    for piece in pieces_of(not_blank(parts, lambda: None)):
        text += piece.text
        if piece.ends:
            found.append(text)
            text = ""
    return found


@pytest.mark.parametrize("block", [1, 3, 7, 1 << 16])
@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("file", [STORY]),
        ("auto", [STORY]),
        ("line", ["Once upon a time", "there was a story.", "It had", "paragraphs."]),
        ("paragraph", ["Once upon a time\nthere was a story.", "It had", "paragraphs."]),
    ],
)
def test_a_text_is_parted_as_the_option_says_in_whatever_blocks_it_is_read(
    document: str, expected: list[str], block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_documents, "BLOCK", block)
    (tmp_path / "story.txt").write_text(STORY)
    assert documents(tmp_path / "story.txt", document) == expected
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbf" + STORY.replace("\n", "\r\n").encode())
    assert documents(tmp_path / "windows.txt", document) == expected


@pytest.mark.parametrize("block", [16, 1 << 16])
def test_lines_that_end_a_text_part_a_file_unless_a_document_is_a_file(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_documents, "BLOCK", block)
    file = tmp_path / "stories.txt"
    file.write_text("one\n\nmore\n<|endoftext|>\ntwo <|endoftext|> still\n<|endoftext|>\nthree\n")
    assert documents(file) == ["one\n\nmore", "two <|endoftext|> still", "three"]
    assert documents(file, "file") == [file.read_text()]


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("ending", [".txt", ".md", ".jsonl", ".json", ".parquet"])
def test_each_form_is_read_however_it_is_packed(ending: str, packing: str, tmp_path: Path) -> None:
    texts = ["你好\n世界", "second"]
    content = {
        ".txt": "你好\n世界\n<|endoftext|>\nsecond".encode(),
        ".md": "你好\n世界\n<|endoftext|>\nsecond".encode(),
        ".jsonl": "".join(json.dumps({"id": 1, "text": text}) + "\n" for text in texts).encode(),
        ".json": json.dumps([{"text": text} for text in texts], indent=2, ensure_ascii=False).encode(),
        ".parquet": b"",
    }[ending]
    if ending == ".parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"text": texts, "n": [1, 2]}), sink)
        content = sink.getvalue().to_pybytes()
    packed = {"": content, ".gz": gzip.compress(content), ".zst": pa.compress(content, codec="zstd", asbytes=True)}
    file = tmp_path / f"corpus{ending}{packing}"
    file.write_bytes(packed[packing])
    assert documents(file) == texts
    if packing:
        (tmp_path / f"cut{ending}{packing}").write_bytes(packed[packing][:-7])
        with pytest.raises(ValueError, match=r"cut.*cannot be read"):
            documents(tmp_path / f"cut{ending}{packing}")


def test_lists_of_lines_are_texts_and_several_keys_are_joined(tmp_path: Path) -> None:
    poem = {"title": "静夜思", "author": "李白", "paragraphs": ["床前明月光，", "疑是地上霜。"], "id": 1}
    (tmp_path / "poems.json").write_text(json.dumps([poem]), encoding="utf-8")
    assert documents(tmp_path / "poems.json", keys=("paragraphs",)) == ["床前明月光，\n疑是地上霜。"]
    assert documents(tmp_path / "poems.json", keys=("title", "paragraphs")) == ["静夜思\n床前明月光，\n疑是地上霜。"]
    assert documents(tmp_path / "poems.json", "line", ("paragraphs",)) == ["床前明月光，", "疑是地上霜。"]
    pq.write_table(pa.table({"lines": [["a", "b"], ["c"]]}), tmp_path / "lines.parquet")
    assert documents(tmp_path / "lines.parquet", keys=("lines",)) == ["a\nb", "c"]


@pytest.mark.parametrize("block", [1, 5, 64])
def test_a_list_in_json_is_read_value_by_value(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_list, "BLOCK", block)
    values = [{"text": f"号 {n} ]}}, \n" * n, "more": [n, {"a": None}]} for n in range(20)]
    for indent in (None, 1):
        (tmp_path / "list.json").write_text(json.dumps(values, indent=indent), encoding="utf-8")
        assert [*list_values(tmp_path / "list.json", "utf-8")] == values
    (tmp_path / "list.json").write_text(" [ ] \n")
    assert [*list_values(tmp_path / "list.json", "utf-8")] == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"body": "b", "id": 2}\n', "a.jsonl:2: has no text; its keys are body, id"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text": 5}\n', "a.jsonl:1: text: expected a text, or a list of lines, found int"),
        ("a.jsonl", b'["a"]\n["b"]\n', "a.jsonl: row 1: expected an object with a text"),
        ("a.jsonl", b'{"text": "\\ud83d"}\n', "a.jsonl:1: not JSON"),
        ("a.json", b'[{"text": "a"}, {"body": "b"}]', "a.json: row 2: has no text; its keys are body"),
        ("a.json", b'[{"text": "a"}, {"text": "b"]', "a.json: not JSON after row 1"),
        ("a.json", b'[{"text": "a"}', "a.json: not JSON after row 1"),
        ("a.json", b'[{"text": "a"}] [', "a.json: not JSON after row 1 (more after the list)"),
        ("a.json", b'[{"text": "\\ud83d"}]', "a.json: row 1: has half of a character"),
        ("a.json", b"[" * 100_000, "a.json: not JSON after row 0 (nested too deeply)"),
        ("a.txt", b"fine\nbad \xff\xfe\n", "a.txt: byte 9 (0xff) is not utf-8 text"),
        ("a.txt", b"fine\nbad \0 and more", "a.txt: has a NUL as character 9, so it is no utf-8 text"),
        ("a.txt", b"%PDF-1.4 and so on", "a.txt: is a PDF"),
        ("a.parquet", b"PAR1 and no more", "a.parquet: cannot be read"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(
    name: str, content: bytes, said: str, tmp_path: Path, refused: Any
) -> None:
    (tmp_path / name).write_bytes(content)
    with refused(tmp_path / name, said):
        documents(tmp_path / name)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, refused: Any) -> None:
    pq.write_table(pa.table({"body": ["a"], "id": [1]}), tmp_path / "rows.parquet")
    with refused(tmp_path / "rows.parquet", "has no column text; it has body, id", "--data.text"):
        documents(tmp_path / "rows.parquet")


def test_the_encoding_is_the_option_s_unless_the_file_says_that_it_is_utf_16(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes("汉字".encode("gb18030"))
    (tmp_path / "notepad.txt").write_bytes("汉字".encode("utf-16"))
    assert documents(tmp_path / "old.txt", encoding="gb18030") == ["汉字"]
    assert documents(tmp_path / "notepad.txt") == ["汉字"]

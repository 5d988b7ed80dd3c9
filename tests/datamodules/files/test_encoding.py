"""What is said of a file that is not in the encoding that was given."""

from pathlib import Path
from typing import Any

import pytest

from datamodules.errors import DataError
from datamodules.files.text_files import lines_of
from datamodules.reading import Reading
from datamodules.tabular import TabularClassification
from datamodules.tagging import Tagging
from datamodules.text import TextClassification
from datamodules.translation import Translation


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("这家酒店很差，编号7626。房间很好", "gb18030"),
        ("這家餐廳太棒了，編號", "big5"),
        ("Café crème, déjà vu; Größe über alles", "cp1252"),
        ("Привет мир, как дела? Хорошо", "cp1251"),
        ("これはテストです。日本語の文章", "shift_jis"),
    ],
)
def test_the_likely_encoding_is_proposed(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_bytes(b"plain words\n" * 300 + (text + "\n").encode(encoding) * 3)
    with pytest.raises(DataError, match=r"byte \d+ .* is not utf-8 text; it looks like .*--data.encoding") as caught:
        list(lines_of(tmp_path / "texts.txt", "utf-8"))
    assert encoding in str(caught.value).split("looks like")[1]
    assert "latin" not in str(caught.value)


UTF_16 = {
    "t.conll": "".join(f"Anna{row} B-人\nlives O\n\n" for row in range(60)),
    "t.jsonl": "".join(f'{{"text": "Anna {row}", "entities": [[0, 4, "人"]]}}\n' for row in range(60)),
    "q.jsonl": "".join(
        f'{{"question": "谁{row}?", "context": "Anna {row}.", "answers": {{"text": ["Anna"], "answer_start": [0]}}}}\n'
        for row in range(60)
    ),
    "pairs.tsv": "".join(f"the {row}\t第{row}个\n" for row in range(60)),
    "texts.csv": "text,label\n" + "".join(f"第{row}个,{row % 2}\n" for row in range(60)),
    "rows.csv": "甲,乙\n" + "".join(f"{row},{row % 2}\n" for row in range(60)),
}
READERS = [("t.conll", Tagging), ("t.jsonl", Tagging), ("q.jsonl", Reading), ("pairs.tsv", Translation)]
READERS += [("texts.csv", TextClassification), ("rows.csv", TabularClassification)]


@pytest.mark.parametrize(("name", "cls"), READERS, ids=[name for name, _ in READERS])
def test_utf_16_is_recognised_by_whatever_reads_text(name: str, cls: Any, tmp_path: Path) -> None:
    found = []
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / encoding).mkdir()
        (tmp_path / encoding / name).write_text(UTF_16[name], encoding=encoding)
        data = cls(str(tmp_path / encoding / name), batch_size=4)
        data.setup()
        found.append(data.contents())
    assert found[0] == found[1]

"""What is said of a file that is not in the encoding that was given."""

from pathlib import Path

import pytest

from datamodules.errors import DataError
from datamodules.files.text_files import lines_of


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

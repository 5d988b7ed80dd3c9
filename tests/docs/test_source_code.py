"""A link to code becomes the code."""

from pathlib import Path

import pytest

from docs.source_code import ROOT, definition, with_code

COURSE = ROOT / "docs" / "en" / "course"


def test_a_method_is_shown_without_its_indent_and_with_its_decorators(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("class A:\n    x = 1\n\n    @property\n    def b(self):\n        return 2\n\n    c = 3\n")
    assert definition(file, "A.b") == "@property\ndef b(self):\n    return 2"
    assert definition(file, "code.py") == file.read_text().strip()


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("class A:\n    pass\n")
    with pytest.raises(ValueError, match=r"code\.py: has no A\.b"):
        definition(file, "A.b")


def test_only_a_link_that_stands_alone_is_code() -> None:
    link = "[`squash`](../../../lightning_modules/capsnet.py)"
    inline = f"See {link} for the formula."
    assert with_code(inline, COURSE) == inline
    shown = with_code(f"Before\n\n{link}\n\nafter", COURSE)
    assert shown.startswith('Before\n\n```python title="lightning_modules/capsnet.py"\ndef squash(')
    assert shown.endswith("\n```\n\nafter")

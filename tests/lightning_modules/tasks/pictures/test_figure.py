"""Figures: legible in Chinese, the same file every time, and open about what no font has."""

import warnings

import pytest
from matplotlib import font_manager

from lightning_modules.tasks.pictures import fonts
from lightning_modules.tasks.pictures.figure import figure_file, new_figure, style


def written(text: str, form: str = "svg") -> bytes:
    with style():
        figure = new_figure(3, 1)
        figure.subplots().set_title(text)
    return figure_file(figure, form)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_NOTED", [])


@pytest.mark.parametrize("form", ["png", "svg"])
def test_chinese_is_legible_and_the_file_is_the_same_every_time(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = written("混淆矩阵 confusion − 错误", form)
    assert content == written("混淆矩阵 confusion − 错误", form)
    assert content != written("混淆矩阵 confusion − 对错", form)
    assert capsys.readouterr().err == ""


def test_a_character_without_a_font_is_noted_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        written("한 tag", "png")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "note: no font here has 한; pictures show boxes in their place"


def test_a_text_is_made_legible_and_what_it_lacks_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert fonts.legible("ab 中文 한") == "ab 中文 □"
    assert "한" in capsys.readouterr().err


def test_other_warnings_are_not_swallowed() -> None:
    figure = new_figure(1, 1)
    figure.subplots().set_xlim(0, 1)

    def draw(renderer: object) -> None:
        warnings.warn("of the picture", UserWarning, stacklevel=1)

    figure.draw = draw  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="of the picture"):
        figure_file(figure, "png")


def test_a_font_of_the_system_is_found_where_the_package_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    (own,) = fonts.chinese_family()
    known = [font for font in font_manager.fontManager.ttflist if font.name == own]
    monkeypatch.setattr(fonts, "find_spec", lambda name: None)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    fonts.chinese_family.cache_clear()
    assert fonts.chinese_family() == [own]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    fonts.chinese_family.cache_clear()
    assert fonts.chinese_family() == []
    fonts.chinese_family.cache_clear()


def test_a_font_without_chinese_characters_is_none_for_them(tmp_path: object) -> None:
    latin = font_manager.findfont("DejaVu Sans")
    assert not fonts.has_characters(latin)
    assert fonts.has_characters(latin, "abc")
    assert not fonts.has_characters(str(tmp_path))

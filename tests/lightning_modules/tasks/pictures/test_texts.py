"""Pictures of marked texts: where their characters and backgrounds are."""

import io
from collections.abc import Iterator
from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lightning_modules.tasks.pictures.figure import BLUE, RED, figure_file, style
from lightning_modules.tasks.pictures.fonts import MISSING, legible, width
from lightning_modules.tasks.pictures.texts import MAX_HEIGHT, STRONGEST, MarkedText, legend_of, marked_texts
from lightning_modules.tasks.pictures.wrapping import Span

ENGLISH = "Angela Merkel met Pascal Lamy in Berlin, AVATAR To Wa: $5 of them, and $3 of (the) others. " * 3
CHINESE = "中国科学院的王小明在北京大学讲授《深度学习》课程，并于2024年加入Google DeepMind担任研究员。" * 3
ARABIC = "the word العربية and שלום עולם here"
ODD = "😀 a\u200db\tc\nd\ufffd \U0001f468\u200d\U0001f469 x̂"
TEXTS = [ENGLISH, CHINESE, ARABIC, ODD, "", "w" * 10_000, "  ", "中" * 5000]


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style():
        yield


def span(text: str, part: str, **settings: object) -> Span:
    start = text.index(part)
    return Span(start, start + len(part), BLUE, **settings)  # type: ignore[arg-type]


def boxes(figure: Figure) -> list[Rectangle]:
    return [artist for artist in figure.axes[0].get_children() if isinstance(artist, Rectangle)][:-1]  # the last: axes


def marked_in(figure: Figure) -> list[str]:
    """The characters that are drawn above each background, by where they are."""
    found = []
    for box in boxes(figure):
        inside = ""
        for text in figure.axes[0].texts:
            left, baseline = text.get_position()
            if abs(baseline - box.get_y() - 1.05) > 0.01:
                continue
            whole = text.get_text()
            bold = text.get_fontweight() == "bold"
            for index, char in enumerate(whole):
                middle = left + width(whole[:index], bold) + width(char, bold) / 2
                if text.get_fontsize() == 9 and box.get_x() < middle < box.get_x() + box.get_width():
                    inside += char
        found.append(inside)
    return found


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_every_character_is_within_the_figure_and_no_line_is_on_another(text: str) -> None:
    spans = [Span(0, 3, BLUE, label="person"), Span(len(text) // 2, len(text) // 2 + 5, RED, bold=True)]
    blocks = [MarkedText(text, spans if text.strip() else (), caption=text, correct=False, side="predicted")] * 2
    figure = marked_texts(blocks, legend_of({"person 人": BLUE, text: RED}), note=text[:300])
    renderer = FigureCanvasAgg(figure).get_renderer()
    lines: dict[float, list[tuple[float, float]]] = {}
    for artist in figure.axes[0].texts:
        extent = artist.get_window_extent(renderer)
        assert figure.bbox.x0 <= extent.x0
        assert extent.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= extent.y0
        assert extent.y1 <= figure.bbox.y1
        lines.setdefault(round(artist.get_position()[1], 3), []).append((extent.y0, extent.y1))
    ordered = [(min(low for low, _ in each), max(high for _, high in each)) for _, each in sorted(lines.items())]
    assert all(upper[0] >= lower[1] - 1 for upper, lower in pairwise(ordered))
    assert all(box.get_x() >= 0 and box.get_x() + box.get_width() <= 8 * 8 for box in boxes(figure))
    assert {figure_file(figure, form)[:4] for form in ("png", "svg")} == {b"\x89PNG", b"<?xm"}


@pytest.mark.parametrize("settings", [{}, {"bold": True}, {"label": "person"}, {"bold": True, "label": "人名"}])
def test_backgrounds_are_behind_what_is_marked(settings: dict[str, object]) -> None:
    english = [span(ENGLISH, part, **settings) for part in ("Angela Merkel", "Berlin", "AVATAR", "$5 of them, and $3")]
    chinese = [span(CHINESE, part, **settings) for part in ("王小明", "《深度学习》", "Google DeepMind")]
    figure = marked_texts([MarkedText(ENGLISH, english), MarkedText(CHINESE, chinese)])
    found = marked_in(figure)
    assert [each.strip() for each in found] == [
        *("Angela Merkel", "Berlin", "AVATAR", "$5 of them, and $3"),
        *("王小明", "《深度学习》", "Google DeepMind"),
    ]


@pytest.mark.parametrize("text", [ENGLISH[:90], CHINESE[:40], "AVATAR fi ffl To, $5 and $6"])
@pytest.mark.parametrize("bold", [False, True])
def test_a_text_is_as_wide_as_it_was_measured(text: str, bold: bool) -> None:
    figure = marked_texts([MarkedText(text, [Span(0, len(text), BLUE, bold=bold)])])
    (drawn,) = figure.axes[0].texts
    extent = drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    (box,) = boxes(figure)
    assert extent.transformed(figure.axes[0].transData.inverted()).width == pytest.approx(box.get_width(), abs=0.3)


def test_a_span_over_a_line_break_is_marked_on_both_lines() -> None:
    figure = marked_texts([MarkedText(ENGLISH, [Span(0, len(ENGLISH), BLUE)])])
    assert len(boxes(figure)) == len({box.get_y() for box in boxes(figure)}) > 1
    assert "".join(marked_in(figure)).replace(" ", "") == ENGLISH.replace(" ", "")


def test_words_from_the_right_are_marked_where_they_are() -> None:
    figure = marked_texts([MarkedText(ARABIC, [span(ARABIC, "العربية"), span(ARABIC, "here")])])
    texts = {text.get_text().strip(): text.get_position()[0] for text in figure.axes[0].texts}
    arabic, here = boxes(figure)
    assert arabic.get_x() == pytest.approx(texts["العربية"], abs=0.5)
    assert here.get_x() == pytest.approx(texts["here"], abs=0.5)


def test_overlapping_spans_are_both_drawn_and_a_weight_is_opacity() -> None:
    figure = marked_texts([MarkedText("one two three", [Span(0, 7, BLUE), Span(4, 13, RED, weight=0.5)])])
    blue, red = boxes(figure)
    assert [box.get_alpha() for box in (blue, red)] == [STRONGEST, STRONGEST / 2]
    assert [to_hex(box.get_facecolor()) for box in (blue, red)] == [BLUE, RED]
    assert marked_in(figure) == ["one two", "two three"]


def test_what_cannot_be_drawn_is_replaced_one_by_one() -> None:
    assert legible("a\tb\n") == "a b "
    assert legible("\U0001faff中$") == f"{MISSING}中$"
    assert len(legible(ODD)) == len(ODD)


def test_right_and_wrong_are_drawn_before_the_caption() -> None:
    figure = marked_texts(
        [MarkedText("a", caption="first", correct=True), MarkedText("b", caption="second", correct=False)]
    )
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == ["✓", "first", "a", "✗", "second", "b"]


def test_a_page_says_how_many_texts_it_leaves_out_and_tears_none_apart() -> None:
    pair = [MarkedText(ENGLISH * 4, caption="example", side="true"), MarkedText(ENGLISH * 4, side="predicted")]
    figure = marked_texts(pair * 100)
    assert figure.get_figheight() < MAX_HEIGHT + 2
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown[-1] == f"… {100 - shown.count('example')} more"
    assert shown.count("predicted") == shown.count("true") == shown.count("example") < 100


def test_without_a_text_the_note_is_shown() -> None:
    figure = marked_texts([], legend_of({"person": BLUE}), note="no mistakes")
    assert [text.get_text() for text in figure.axes[0].texts] == ["no mistakes"]
    assert not boxes(figure)


def test_the_same_picture_is_the_same_file() -> None:
    first, second = (figure_file(marked_texts([MarkedText(CHINESE, [Span(0, 4, BLUE)])]), "svg") for _ in range(2))
    assert first == second
    assert len(first) < 200_000
    assert io.BytesIO(first).read(5) == b"<?xml"

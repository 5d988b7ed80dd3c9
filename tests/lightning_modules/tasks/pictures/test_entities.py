from collections.abc import Iterator

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lightning_modules.tasks.pictures.entities import AGREED, Tagged, tagged_texts
from lightning_modules.tasks.pictures.figure import COLOURS, figure_file, style
from lightning_modules.tasks.pictures.texts import ALL_RIGHT, STRONGEST


@pytest.fixture(autouse=True)
def _styled() -> Iterator[None]:
    with style():
        yield


def entity(text: str, part: str, name: str) -> dict[str, object]:
    return {"text": part, "type": name, "start": text.index(part), "end": text.index(part) + len(part)}


def texts(figure: Figure) -> list[str]:
    return [text.get_text().strip() for text in figure.axes[0].texts]


def test_what_agrees_is_paler_than_what_is_missing_or_wrong() -> None:
    text = "王小明 met Anna in Rome"
    true = [entity(text, "王小明", "人名"), entity(text, "Rome", "place")]
    predicted = [entity(text, "王小明", "人名"), entity(text, "Anna", "place")]
    figure = tagged_texts([Tagged(text, true, predicted, "a.bio:3")], ["人名", "place"], correct=False)
    boxes = [(to_hex(box.get_facecolor()), (box.get_alpha() or 0) / STRONGEST) for box in figure.axes[0].patches]
    person, place = COLOURS[:2]
    assert boxes[:2] == [(person, 1.0), (place, 1.0)]  # the legend
    assert boxes[2:] == [(person, AGREED), (place, 1.0), (person, AGREED), (place, 1.0)]
    assert "1 missing · 1 wrong · a.bio:3" in texts(figure)
    assert texts(figure).count("人名") == 2


def test_a_long_sentence_is_shortened_alike_in_both_rows() -> None:
    text = " ".join(f"w{index}" for index in range(1000))
    true = [entity(text, "w100 ", "person"), entity(text, "w400 ", "person"), entity(text, "w700 ", "person")]
    figure = tagged_texts([Tagged(text, true, [entity(text, "w900 ", "person")])], ["person"], correct=False)
    shown = texts(figure)
    top, bottom = (
        [word for text in part for word in text.split() if word[0] == "w" and word[1:].isdigit()]
        for part in (shown[: shown.index("predicted")], shown[shown.index("predicted") :])
    )
    assert top == bottom
    assert {"w100", "w400", "w700", "w900"} <= set(top)


def test_many_types_and_long_names_stay_within_the_figure() -> None:
    types = [f"a very long name of a type of entity {index}" for index in range(100)]
    text = "word " * 100
    found = [{"text": "word", "type": name, "start": 5 * i, "end": 5 * i + 4} for i, name in enumerate(types)]
    figure = tagged_texts([Tagged(text, found, [])] * 3, types, correct=False)
    figure_file(figure, "png")
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in figure.axes[0].texts)
    assert all(text.get_window_extent().y0 >= 0 for text in figure.axes[0].texts)


def test_without_a_mistake_it_says_so() -> None:
    found = [entity("met Anna", "Anna", "person")]
    shown = texts(tagged_texts([Tagged("met Anna", found, found, "a.bio:3")], ["person"], correct=True))
    assert shown[0] == ALL_RIGHT
    assert {"✓", "a.bio:3", "true", "predicted"} <= {*shown}

import pytest

from lightning_modules.tasks.pictures.answers import Asked, answered_texts, marks
from lightning_modules.tasks.pictures.figure import BLUE, GREEN, ORANGE, style
from lightning_modules.tasks.pictures.texts import ALL_RIGHT

TEXT = "The Denver Broncos of 2015 won."


def asked(true: tuple[int, int], predicted: tuple[int, int], answers: list[str] | None = None) -> Asked:
    answers = [TEXT[slice(*true)]] if answers is None else answers
    return Asked("Who won?", TEXT, answers, true, predicted)


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        ((4, 18), (11, 26), [(4, 11, BLUE), (11, 18, GREEN), (18, 26, ORANGE)]),
        ((4, 18), (22, 26), [(4, 18, BLUE), (22, 26, ORANGE)]),
        ((11, 18), (0, 31), [(0, 11, ORANGE), (11, 18, GREEN), (18, 31, ORANGE)]),
        ((4, 18), (-1, -1), [(4, 18, BLUE)]),
        ((4, 18), (4, 18), [(4, 18, GREEN)]),
    ],
)
def test_the_overlap_of_both_answers_has_a_colour_of_its_own(
    true: tuple[int, int], predicted: tuple[int, int], expected: list[tuple[int, int, str]]
) -> None:
    assert [tuple(span[:3]) for span in marks(asked(true, predicted))] == expected


def test_an_answer_of_an_unknown_place_is_looked_for() -> None:
    assert [span[:2] for span in marks(asked((-1, -1), (-1, -1), ["2015"]))] == [(22, 26)]
    assert marks(asked((-1, -1), (-1, -1), ["nowhere"])) == []
    assert [span[:3] for span in marks(asked((-1, -1), (0, 3), []))] == [(0, 3, ORANGE)]


def test_both_answers_stand_above_the_text() -> None:
    with style():
        figure = answered_texts([asked((4, 18), (-1, -1)), asked((-1, -1), (22, 26), [])], correct=False)
    texts = [text.get_text().strip() for text in figure.axes[0].texts]
    assert texts[0] == "2 wrong answers, worst first"
    first = texts.index("Who won?")
    assert texts[first + 1 : first + 5] == ["true", "Denver Broncos", "predicted", "no answer"]
    second = texts.index("Who won?", first + 1)
    assert texts[second + 1 : second + 5] == ["true", "no answer", "predicted", "2015"]


def test_without_a_mistake_it_says_so() -> None:
    with style():
        figure = answered_texts([asked((22, 26), (22, 26), ["2015"])], correct=True)
    assert figure.axes[0].texts[0].get_text() == ALL_RIGHT
    assert "✓" in [text.get_text() for text in figure.axes[0].texts]

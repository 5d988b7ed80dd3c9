"""Lines of running text, and long text shortened around what matters."""

import random

import pytest

from lightning_modules.tasks.pictures.wrapping import GAP, Span, shortened, wrapped


def lines(text: str, width: int) -> list[str]:
    return [text[start:end] for start, end in wrapped(text, [1.0] * len(text), width)]


def test_words_stay_whole_and_chinese_breaks_anywhere_but_before_a_full_stop() -> None:
    assert lines("one two three", 8) == ["one two", "three"]
    assert lines("今天天气很好。我们去", 6) == ["今天天气很", "好。我们去"]
    assert lines("我用 PyTorch 写", 9) == ["我用", "PyTorch 写"]
    assert lines("", 5) == [""]


def test_a_word_wider_than_a_line_is_cut() -> None:
    found = lines("ab " + "x" * 10_000, 50)
    assert found[0] == "ab " + "x" * 47
    assert max(map(len, found)) == 50
    assert "".join(found) == "ab " + "x" * 10_000


def test_no_line_is_wider_than_it_may_be_and_only_blanks_are_lost() -> None:
    order = random.Random(0)
    for _ in range(200):
        text = "".join(order.choice("ab中， 。") for _ in range(order.randrange(60)))
        advances = [order.choice([0.5, 1.0]) for _ in text]
        found = wrapped(text, advances, 7.0)
        assert all(sum(advances[start:end]) <= 7.0 for start, end in found)
        assert "".join(text[start:end] for start, end in found).replace(" ", "") == text.replace(" ", "")


def test_a_long_text_keeps_what_is_marked_in_it() -> None:
    text = " ".join(f"word{index}" for index in range(1000))
    spans = [Span(text.index(name), text.index(name) + len(name), "red") for name in ("word700", "word20 word21")]
    short, moved = shortened(text, spans, 200)
    assert [short[span.start : span.end] for span in moved] == ["word700", "word20 word21"]
    assert len(short.replace(GAP.strip(), "")) <= 200 + 4
    assert short.startswith("… word1")  # a whole word
    assert short.endswith(" …")
    assert set(short.split()) - {"…"} <= set(text.split())


def test_of_many_spans_the_strongest_are_kept() -> None:
    text = "x" * 1000
    spans = [Span(index, index + 1, "red", weight=index / 1000) for index in range(0, 1000, 10)]
    short, moved = shortened(text, spans, 100)
    assert short.count("x") == 100
    assert max(span.weight for span in moved) == 0.99
    assert min(span.weight for span in moved) > 0.85


@pytest.mark.parametrize("span", [Span(0, 10_000, "red"), Span(9_990, 10_000, "red"), Span(0, 1, "red")])
def test_a_span_of_any_length_anywhere_is_kept_in_part(span: Span) -> None:
    short, moved = shortened("y" * 10_000, [span], 100)
    assert short.count("y") == 100
    assert len(moved) == 1
    assert set(short[moved[0].start : moved[0].end]) == {"y"}


def test_a_short_text_stays_as_it_is() -> None:
    assert shortened("short", [Span(0, 2, "red")], 5) == ("short", [Span(0, 2, "red")])
    assert shortened("long", [], 2) == ("lo …", [])

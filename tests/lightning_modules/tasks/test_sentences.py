import math

import pytest

from lightning_modules.tasks.sentences import best_by_bm25, bm25


def test_bm25_equals_a_computation_by_hand() -> None:
    documents = [["a", "b", "b"], ["a", "c"], ["a", "c", "c", "d"]]
    scores = bm25(["b", "d", "z"], documents)  # b is in one of three, d in one, z in none; the mean length is 3
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    assert scores[0] == pytest.approx(idf * 2 * 2.2 / (2 + 1.2))
    assert scores[1] == 0
    assert scores[2] == pytest.approx(idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 4 / 3)))


def test_a_rare_word_counts_for_more_than_frequent_ones() -> None:
    text = "The town is on the river. The town is on the hill. The mill of the town is old."
    assert best_by_bm25("On the hill is the what?", text, chinese=False) == "The town is on the hill."
    assert best_by_bm25("Is the mill on the river, or where is the old mill?", text, chinese=False).startswith(
        "The mill"
    )


def test_chinese_is_read_by_characters_and_nothing_gives_nothing() -> None:
    assert best_by_bm25("谁住在上海？", "他住在北京。她住在上海！他们不住在一起。", chinese=True) == "她住在上海！"
    assert best_by_bm25("x", "", chinese=False) == ""

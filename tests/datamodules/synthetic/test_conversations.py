import pytest

from datamodules.synthetic.conversations import (
    GREETING,
    NAMES,
    generated_conversations,
    generated_pairs,
    is_right_answer,
    judged_questions,
    right_answer,
)


def test_every_generated_answer_is_right() -> None:
    conversations, splits = generated_conversations(300, seed=0)
    assert [len(split) for split in splits.values()] == [210, 30, 60]
    answers = 0
    for conversation in conversations:
        for place, message in enumerate(conversation.messages):
            if message["role"] == "assistant":
                assert is_right_answer(conversation.messages[:place], message["content"])
                answers += 1
    assert answers > 500
    again, _ = generated_conversations(300, seed=0)
    other, _ = generated_conversations(300, seed=1)
    assert again == conversations != other


def test_the_better_of_two_right_answers_is_the_shorter() -> None:
    pairs, _ = generated_pairs(200, seed=0)
    for asked, chosen, rejected in pairs:
        assert is_right_answer(asked, chosen)
        assert is_right_answer(asked, rejected)
        assert len(chosen) < len(rejected)
    assert {asked[0]["role"] for asked, _, _ in pairs} == {"system", "user"}


@pytest.mark.parametrize(
    ("system", "question", "answer"),
    [
        ("", "5 + 7 = ?", "12"),
        ("", "5加7等于多少？", "12"),
        ("", "What is 12 plus 30?", "42"),
        ("", "What is five plus 7?", None),
        ("", "Repeat: cat dog", "cat dog"),
        ("", "复述：猫狗", "猫狗"),
        ("", "What is the opposite of hot?", "cold"),
        ("", "What is the opposite of blue?", None),
        ("Your name is Ada.", "What is your name?", "Ada"),
        ("你的名字是小明。", "你是谁？", "小明"),
        ("", "What is your name?", None),
        ("", "你好！", GREETING["zh"]),
        ("", "Who won the war?", None),
    ],
)
def test_the_right_answer_follows_from_what_was_said(system: str, question: str, answer: str | None) -> None:
    messages = [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": question}]
    assert right_answer(messages) == answer
    if answer is not None:
        assert is_right_answer(messages, f" {answer}\n")
        assert not is_right_answer(messages, f"{answer}x")
    assert not is_right_answer(messages, "")


def test_questions_to_judge_by_have_answers_of_both_languages() -> None:
    questions = judged_questions(60, seed=1)
    assert len(questions) == 60
    assert all(right_answer(messages) for messages in questions)
    text = "".join(message["content"] for messages in questions for message in messages)
    assert any(name in text for name in NAMES["zh"])
    assert any(name in text for name in NAMES["en"])

"""Generated conversations in English and Chinese, whose answers can be judged, and preferences among answers."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from datamodules.files.conversations import Conversation, Message
from datamodules.loading.sampling import generator
from datamodules.synthetic.names import SPLIT_FRACTIONS
from datamodules.synthetic.sums import sums_of

Made = TypeVar("Made")

CHECKED = ("conversations", "short_answers")  # data sets of these conversations, of which answers can be judged

NAMES = {
    "en": ["Ada", "Alan", "Grace", "Emmy", "Niels", "Marie", "Rosa", "Ida", "Otto", "Max", "Lise", "Karl"],
    "zh": ["小明", "小红", "小兰", "小龙", "小雪", "小虎", "小月", "小星", "小云", "小风", "小梅", "小安"],
}
WORDS = {
    "en": ["red", "blue", "green", "cat", "dog", "bird", "sun", "moon", "rain", "tea", "milk", "bread"],
    "zh": ["红", "蓝", "绿", "猫", "狗", "鸟", "日", "月", "雨", "茶", "奶", "面"],
}
OPPOSITES = {
    "en": {"hot": "cold", "big": "small", "old": "new", "fast": "slow", "day": "night", "up": "down"},
    "zh": {"热": "冷", "大": "小", "旧": "新", "快": "慢", "昼": "夜", "上": "下"},
}
SYSTEM = {"en": "Your name is {}.", "zh": "你的名字是{}。"}
ASKED = {  # in some ways
    "sum": {"en": ["{} + {} = ?", "What is {} plus {}?"], "zh": ["{} + {} = ？", "{}加{}等于多少？"]},
    "repeat": {"en": ["Repeat: {}", "Say after me: {}"], "zh": ["复述：{}", "跟我说：{}"]},
    "opposite": {"en": ["What is the opposite of {}?"], "zh": ["{}的反义词是什么？"]},
    "name": {"en": ["What is your name?", "Who are you?"], "zh": ["你叫什么名字？", "你是谁？"]},
    "greeting": {"en": ["Hello!", "Hi!"], "zh": ["你好！", "您好！"]},
}
LONG_WINDED = {
    "en": "I think that the answer is {}.",
    "zh": "我想答案应该是{}。",
}
GREETING = {"en": "Hello! How can I help you?", "zh": "你好！有什么可以帮你？"}
TALKATIVE = 0.6  # of the answers to learn from are long-winded; which preferences are to change

KINDS = ("sum", "sum", "repeat", "repeat", "opposite", "greeting")  # of questions, the last without long-winded answers

_FORMS = [
    (kind, language, re.compile(re.escape(form).replace(r"\{\}", "(.+?)") + r"\Z"))
    for kind, forms in ASKED.items()
    for language, known in forms.items()
    for form in known
]
_NAMED = [re.compile(re.escape(form).replace(r"\{\}", "(.+?)") + r"\Z") for form in SYSTEM.values()]


class PreferencePair(NamedTuple):
    """A conversation with two answers to its last question.

    Args:
        asked: the messages up to it.
        chosen: the better answer.
        rejected: the other one.
    """

    asked: list[Message]
    chosen: str
    rejected: str


def right_answer(messages: Sequence[Message]) -> str | None:
    """The short right answer to the last question of a conversation; None where the grammar has none of that kind."""
    question = messages[-1]["content"].strip()
    found = next(
        ((kind, language, match.groups()) for kind, language, form in _FORMS if (match := form.match(question))), None
    )
    if found is None:
        return None
    kind, language, parts = found
    if kind == "sum":
        return str(int(parts[0]) + int(parts[1])) if all(map(str.isdecimal, parts)) else None
    if kind == "repeat":
        return str(parts[0])
    if kind == "opposite":
        return OPPOSITES[language].get(parts[0])
    if kind == "greeting":
        return GREETING[language]
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    return next((match[1] for form in _NAMED if (match := form.match(system))), None)


def is_right_answer(messages: Sequence[Message], answer: str) -> bool:
    """Whether an answer to the last question of a conversation is right, be it short or long-winded."""
    right = right_answer(messages)
    return right is not None and answer.strip() in (right, *(form.format(right) for form in LONG_WINDED.values()))


class Speaker:
    """Says what the grammar knows, at random.

    Args:
        random: the generator.
        split: whose sums are asked for; no other split has any of them.
    """

    def __init__(self, random: torch.Generator, split: str) -> None:
        self.random = random
        self.sums = sums_of(split)

    def below(self, size: int) -> int:
        """An integer from 0, smaller than this."""
        return int(torch.randint(size, (), generator=self.random))

    def pick(self, options: Sequence[Any]) -> Any:
        """One of these."""
        return options[self.below(len(options))]

    def question(self, kind: str, language: str) -> Message:
        """A question of a kind."""
        form = self.pick(ASKED[kind][language])
        if kind == "sum":
            form = form.format(*self.pick(self.sums))
        elif kind == "repeat":
            between = " " if language == "en" else ""
            form = form.format(between.join(self.pick(WORDS[language]) for _ in range(1 + self.below(2))))
        elif kind == "opposite":
            form = form.format(self.pick([*OPPOSITES[language]]))
        return {"role": "user", "content": form}

    def begun(self, language: str) -> list[Message]:
        """The beginning of a conversation: in two of three cases a name."""
        if self.below(3) == 0:
            return []
        return [{"role": "system", "content": SYSTEM[language].format(self.pick(NAMES[language]))}]

    def asked(self, messages: Sequence[Message], kinds: Sequence[str], language: str) -> Message:
        """A question of one of the kinds; about a name only where it was given."""
        named = ["name"] * (bool(messages) and messages[0]["role"] == "system")
        return self.question(self.pick([*kinds, *named, *named]), language)

    def said(self, answer: str, language: str) -> str:
        """An answer, mostly in many words."""
        return long_winded(answer, language) if self.below(1000) < 1000 * TALKATIVE else answer


def long_winded(answer: str, language: str) -> str:
    """An answer in many words; a greeting stays what it is."""
    return answer if answer in GREETING.values() else LONG_WINDED[language].format(answer)


def _by_split(size: int, seed: int, make: Callable[[Speaker, str], Made]) -> tuple[list[Made], dict[str, Tensor]]:
    """What a speaker makes, in both languages in turn, and the indices of each split's."""
    random = generator(seed)
    made: list[Made] = []
    splits = {}
    for split, fraction in SPLIT_FRACTIONS.items():
        start, speaker = len(made), Speaker(random, split)
        made += [make(speaker, ("en", "zh")[index % 2]) for index in range(round(fraction * size))]
        splits[split] = torch.arange(start, len(made))
    return made, splits


def generated_conversations(size: int, seed: int) -> tuple[list[Conversation], dict[str, Tensor]]:
    """Conversations of one to three questions: sums, words to repeat, opposites, greetings, and a name.

    Args:
        size: number of conversations in all splits.
        seed: of the generator.

    Returns:
        The conversations, and the indices of each split's.
    """

    def make(speaker: Speaker, language: str) -> Conversation:
        messages = speaker.begun(language)
        for _ in range(1 + speaker.below(3)):
            messages.append(speaker.asked(messages, KINDS, language))
            answer = right_answer(messages)
            assert answer is not None, messages
            messages.append({"role": "assistant", "content": speaker.said(answer, language)})
        return Conversation(messages)

    return _by_split(size, seed, make)


def generated_pairs(size: int, seed: int) -> tuple[list[PreferencePair], dict[str, Tensor]]:
    """Questions with two right answers, of which the short one is better than the long-winded one.

    Args:
        size: number of pairs in all splits.
        seed: of the generator.

    Returns:
        The pairs, and the indices of each split's.
    """

    def make(speaker: Speaker, language: str) -> PreferencePair:
        messages = speaker.begun(language)
        messages.append(speaker.asked(messages, KINDS[:-1], language))
        answer = right_answer(messages)
        assert answer is not None, messages
        return PreferencePair(messages, answer, long_winded(answer, language))

    return _by_split(size, seed, make)


def judged_questions(size: int, seed: int) -> list[list[Message]]:
    """Conversations up to a question of the test split, of which generated answers are judged by `is_right_answer`."""
    pairs, splits = generated_pairs(5 * size + 5, seed)
    return [pair.asked for pair in pairs[int(splits["test"][0]) :]][:size]

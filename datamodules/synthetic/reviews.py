"""Generated hotel reviews in Chinese and English, whose sentiment depends on the order of their words."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch

from datamodules.loading.sampling import generator

T = TypeVar("T")


class Language(NamedTuple):
    """The words of one language.

    Args:
        aspects: what is reviewed.
        good: positive adjectives.
        bad: negative adjectives.
        plain: affirmative clauses, with {aspect} and {adjective}.
        denied: negated clauses.
        both: two clauses of equal weight, {first} and {second}.
        second_counts: two clauses, of which the second decides.
        first_counts: two clauses, of which the first decides.
        before: neutral sentences that may come first.
        after: neutral sentences that may come last.
        stop: end of a sentence.
        space: separator of two sentences.
    """

    aspects: Sequence[str]
    good: Sequence[str]
    bad: Sequence[str]
    plain: Sequence[str]
    denied: Sequence[str]
    both: Sequence[str]
    second_counts: Sequence[str]
    first_counts: Sequence[str]
    before: Sequence[str]
    after: Sequence[str]
    stop: str
    space: str


ENGLISH = Language(
    aspects=[
        "room",
        "staff",
        "breakfast",
        "view",
        "bed",
        "shower",
        "lobby",
        "pool",
        "service",
        "food",
        "bar",
        "garden",
    ],
    good=["lovely", "excellent", "pleasant", "great", "perfect", "charming", "delightful", "superb", "fine", "good"],
    bad=["terrible", "awful", "poor", "dreadful", "horrible", "disappointing", "miserable", "bad", "shabby", "dismal"],
    plain=[
        "the {aspect} was {adjective}",
        "the {aspect} was really {adjective}",
        "I found the {aspect} {adjective}",
        "everyone called the {aspect} {adjective}",
    ],
    denied=[
        "the {aspect} was not {adjective}",
        "the {aspect} was never {adjective}",
        "I would not call the {aspect} {adjective}",
        "nobody found the {aspect} {adjective}",
    ],
    both=["{first} and {second}.", "{first}; also, {second}."],
    second_counts=["{first}, but {second}.", "although {first}, {second}.", "{first}; even so, {second}."],
    first_counts=[
        "{first}, although {second}.",
        "{first}, even if {second}.",
        "{first}; that {second} hardly matters.",
    ],
    before=["We stayed for two nights.", "I was there in May.", "We came by train.", "I travelled with my sister."],
    after=["It is near the station.", "There is a lift.", "We paid by card.", "The street has many shops."],
    stop=".",
    space=" ",
)
CHINESE = Language(
    aspects=["房间", "服务", "早餐", "景色", "床", "浴室", "大堂", "泳池", "前台", "饭菜", "酒吧", "花园"],
    good=["舒服", "出色", "很棒", "完美", "讲究", "让人满意", "可爱", "精致", "不错", "好"],
    bad=["糟糕", "难受", "很差", "破旧", "讨厌", "让人失望", "可怕", "简陋", "恶劣", "烂"],
    plain=[
        "{aspect}{adjective}",
        "{aspect}真的{adjective}",
        "我觉得{aspect}{adjective}",
        "大家都说{aspect}{adjective}",
    ],
    denied=[
        "{aspect}并不{adjective}",
        "{aspect}谈不上{adjective}",
        "我不觉得{aspect}{adjective}",
        "没人说{aspect}{adjective}",
    ],
    both=["{first}，而且{second}。", "{first}，同时{second}。"],
    second_counts=["{first}，但是{second}。", "虽然{first}，{second}。", "{first}，即便如此，{second}。"],
    first_counts=["{first}，虽然{second}。", "{first}，哪怕{second}。", "{first}，至于{second}，倒没什么关系。"],
    before=["我们住了两晚。", "五月份去的。", "我们坐火车来的。", "和妹妹一起出门。"],
    after=["离车站很近。", "酒店有电梯。", "我们刷卡付的钱。", "街上有很多商店。"],
    stop="。",
    space="",
)
LABELS = ("negative", "positive")


def generated_reviews(num_reviews: int, seed: int) -> tuple[list[str], list[str]]:
    """Distinct reviews, half Chinese and half English, half negative and half positive.

    A quarter of the clauses negate their adjective, and if two clauses contradict each other, a `but` or an `although`
    determines which one decides. So a review's words are hardly informative without their order.

    Args:
        num_reviews: number of reviews.
        seed: seed of the generator.

    Returns:
        Texts and labels.
    """
    random = generator(seed)

    def pick(options: Sequence[T]) -> T:
        return options[int(torch.randint(len(options), (), generator=random))]

    def clause(words: Language, aspect: str, is_good: bool) -> str:
        denied = pick((False, False, False, True))
        form = pick(words.denied if denied else words.plain)
        return form.format(aspect=aspect, adjective=pick(words.good if is_good != denied else words.bad))

    def review(words: Language, is_good: bool) -> str:
        first = pick(words.aspects)
        second = pick([aspect for aspect in words.aspects if aspect != first])
        structure = pick(("single", "single", "both", "second_counts", "first_counts"))
        if structure == "single":
            text = clause(words, first, is_good) + words.stop
        else:
            text = pick(getattr(words, structure)).format(
                first=clause(words, first, is_good != (structure == "second_counts")),
                second=clause(words, second, is_good != (structure == "first_counts")),
            )
        text = text[0].upper() + text[1:]
        parts = [pick(words.before)] * pick((0, 1)) + [text] + [pick(words.after)] * pick((0, 1))
        return words.space.join(parts)

    labels: dict[str, str] = {}
    while len(labels) < num_reviews:
        index = len(labels)
        label = LABELS[index // 2 % 2]
        text = review((ENGLISH, CHINESE)[index % 2], label == "positive")
        labels.setdefault(text, label)
    return list(labels), list(labels.values())

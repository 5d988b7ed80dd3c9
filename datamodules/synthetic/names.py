"""Sentences with names that are made up: none of those in testing stands in training."""

import re
from collections.abc import Sequence
from typing import Any

import torch

from datamodules.files.entities import Entity, Sentence
from datamodules.loading.sampling import generator

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of what is made up
ONSETS = "b br d dr f g gr h k kl l m n p pl r s st t tr v w z".split()  # noqa: SIM905 (reads better)
VOWELS = ["a", "e", "i", "o", "u", "ai", "ou"]
CODAS = ["", "l", "n", "r", "s", "nd", "rt", "x"]
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
CHARACTERS = (
    "安柏沧朝澄川岱丹迪枫涵浩禾虹桦嘉建江金靖康岚乐黎霖龙鹿茂明南宁鹏平琪"
    "青瑞森山石思松泰天庭文溪晓欣雄秀旭雪岩阳逸英永玉元远云泽哲振志竹"
)
EN_TEMPLATES = """
{person} lives in {place}.
Yesterday {person} met {person} near {place}.
{person} works for {organisation} as a teacher.
The people of {place} are proud of {organisation}.
{organisation} opened an office in {place} on {day}.
Doctor {person} bought a {thing} from {organisation}.
Have you seen the {thing} of {person}?
They found an old {thing} on the road to {place}.
On {day} {person} left {organisation} after {number} years.
The train from {place} to {place} was {number} minutes late.
Shares of {organisation} fell by {number} percent on {day}.
My sister {person} says the {thing} is broken.
It rained for {number} days and the {thing} got wet.
{organisation} and {organisation} will build a bridge near {place}.
Nobody wanted a {thing}, not even on {day}.
Next {day} the mayor of {place} will visit {organisation}.
""".strip().splitlines()
ZH_TEMPLATES = """
{person}住在{place}。
昨天{person}在{place}见到了{person}。
{person}在{organisation}当老师。
{place}人都知道{organisation}。
{organisation}{day}在{place}开了新店。
医生{person}从{organisation}买了一只{thing}。
你见过{person}的{thing}吗？
他们在去{place}的路上找到一只旧{thing}。
{day}{person}离开了工作{number}年的{organisation}。
从{place}开往{place}的火车晚点{number}分钟。
{organisation}的股价{day}下跌百分之{number}。
我姐姐{person}说这只{thing}坏了。
下了{number}天雨，那只{thing}湿透了。
{organisation}和{organisation}要在{place}附近建桥。
没有人想要这只{thing}，{day}也一样。
下{day}{place}市长要参观{organisation}。
""".strip().splitlines()
DAYS = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "zh": ["周一", "周二", "周三", "周四", "周五", "周六", "周日"],
}


def pools_of_words(size: int, random: torch.Generator) -> dict[tuple[str, str], list[str]]:
    """Made-up words, no word in two splits.

    Args:
        size: how many are drawn of each language; those drawn before are left out.
        random: that draws them.

    Returns:
        The words by split and language, `en` and `zh`.
    """

    def pick(options: Sequence[str]) -> str:
        return options[int(torch.randint(len(options), (), generator=random))]

    pools: dict[tuple[str, str], list[str]] = {}
    for language in ("en", "zh"):
        parts = (CHARACTERS, CHARACTERS) if language == "zh" else (ONSETS, VOWELS, CODAS) * 2
        words = list(dict.fromkeys("".join(pick(part) for part in parts) for _ in range(size)))  # in drawing order
        start = 0
        for split, share in SHARES.items():
            end = start + max(int(share * len(words)), 1)
            pools[split, language] = words[start:end]
            start = end
    return pools


def generated_names(num_sentences: int, seed: int) -> tuple[list[Sentence], dict[str, list[int]]]:
    """Made-up sentences, half English and half Chinese, about persons, places and organisations.

    Each split has made-up words of its own, so that no name of the test split was ever seen in training. The same
    words are names of persons, of places, of organisations, and of mere things that are no names at all: what a word
    is shows in the words around it alone.

    Args:
        num_sentences: of all splits; 70 % are for training, 10 % for validation.
        seed: of the sentences.

    Returns:
        The sentences, and the positions of each split's.
    """
    random = generator(seed)

    def pick(options: Sequence[Any]) -> Any:
        return options[int(torch.randint(len(options), (), generator=random))]

    pools = pools_of_words(2 * num_sentences, random)

    def name(kind: str, split: str, language: str) -> str:
        word = pick(pools[split, language])
        if language == "zh":
            further = {
                "person": [pick(SURNAMES) + word],
                "place": [word, word + "市", word + "县", word + "镇"],
                "organisation": [word, word + "公司", word + "大学", word + "银行"],
                "thing": [word],
            }
            return str(pick(further[kind]))
        second = pick(pools[split, language]).capitalize()
        further = {
            "person": [word.capitalize(), f"{word.capitalize()} {second}"],
            "place": [word.capitalize(), f"Port {word.capitalize()}"],
            "organisation": [word.capitalize(), f"{word.capitalize()} Bank", f"{word.capitalize()} and {second}"],
            "thing": [word],
        }
        return str(pick(further[kind]))

    def sentence(split: str, language: str) -> Sentence:
        text, entities = "", []
        for part in re.split(r"(\{\w+\})", pick(EN_TEMPLATES if language == "en" else ZH_TEMPLATES)):
            kind = part[1:-1] if part.startswith("{") else ""
            if kind == "day":
                part = pick(DAYS[language])
            elif kind == "number":
                part = str(pick(range(2, 60)))
            elif kind:
                part = name(kind, split, language)
                if kind != "thing":
                    entities.append(Entity(len(text), len(text) + len(part), kind))
            text += part
        return Sentence(text, [], entities)

    sentences: list[Sentence] = []
    places: dict[str, list[int]] = {}
    for split, share in SHARES.items():
        size = round(share * num_sentences)
        places[split] = list(range(len(sentences), len(sentences) + size))
        sentences += [sentence(split, ("en", "zh")[number % 2]) for number in range(size)]
    return sentences, places

"""Generated sentences with named entities: no name of the test split occurs in training."""

import re
from collections.abc import Sequence
from typing import Any

import torch

from datamodules.files.entities import Entity, Sentence
from datamodules.loading.sampling import generator

SPLIT_FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
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


def generated_words(size: int, random: torch.Generator) -> dict[tuple[str, str], list[str]]:
    """Generated words, no word in two splits.

    Args:
        size: number of words that are sampled in each language, including duplicates, which are left out.
        random: generator to sample from.

    Returns:
        The words by split and language, `en` and `zh`.
    """

    def pick(options: Sequence[str]) -> str:
        return options[int(torch.randint(len(options), (), generator=random))]

    pools: dict[tuple[str, str], list[str]] = {}
    for language in ("en", "zh"):
        parts = (CHARACTERS, CHARACTERS) if language == "zh" else (ONSETS, VOWELS, CODAS) * 2
        words = list(dict.fromkeys("".join(pick(part) for part in parts) for _ in range(size)))  # in sampling order
        start = 0
        for split, fraction in SPLIT_FRACTIONS.items():
            end = start + max(int(fraction * len(words)), 1)
            pools[split, language] = words[start:end]
            start = end
    return pools


def generated_names(num_sentences: int, seed: int) -> tuple[list[Sentence], dict[str, list[int]]]:
    """Generated sentences, half English and half Chinese, about persons, places and organisations.

    Each split has words of its own, so that no name of the test split occurs in training. The same words are names of
    persons, places and organisations, and common nouns, which are no entities: only the context of a word determines
    its type.

    Args:
        num_sentences: number of sentences in all splits; 70 % are for training, 10 % for validation.
        seed: seed of the generator.

    Returns:
        The sentences, and the indices of each split's.
    """
    random = generator(seed)

    def pick(options: Sequence[Any]) -> Any:
        return options[int(torch.randint(len(options), (), generator=random))]

    words = generated_words(2 * num_sentences, random)

    def name(entity_type: str, split: str, language: str) -> str:
        word = pick(words[split, language])
        if language == "zh":
            forms = {
                "person": [pick(SURNAMES) + word],
                "place": [word, word + "市", word + "县", word + "镇"],
                "organisation": [word, word + "公司", word + "大学", word + "银行"],
                "thing": [word],
            }
            return str(pick(forms[entity_type]))
        second = pick(words[split, language]).capitalize()
        forms = {
            "person": [word.capitalize(), f"{word.capitalize()} {second}"],
            "place": [word.capitalize(), f"Port {word.capitalize()}"],
            "organisation": [word.capitalize(), f"{word.capitalize()} Bank", f"{word.capitalize()} and {second}"],
            "thing": [word],
        }
        return str(pick(forms[entity_type]))

    def sentence(split: str, language: str) -> Sentence:
        text, entities = "", []
        for part in re.split(r"(\{\w+\})", pick(EN_TEMPLATES if language == "en" else ZH_TEMPLATES)):
            field = part[1:-1] if part.startswith("{") else ""
            if field == "day":
                part = pick(DAYS[language])
            elif field == "number":
                part = str(pick(range(2, 60)))
            elif field:
                part = name(field, split, language)
                if field != "thing":
                    entities.append(Entity(len(text), len(text) + len(part), field))
            text += part
        return Sentence(text, [], entities)

    sentences: list[Sentence] = []
    splits: dict[str, list[int]] = {}
    for split, fraction in SPLIT_FRACTIONS.items():
        size = round(fraction * num_sentences)
        splits[split] = list(range(len(sentences), len(sentences) + size))
        sentences += [sentence(split, ("en", "zh")[index % 2]) for index in range(size)]
    return sentences, splits

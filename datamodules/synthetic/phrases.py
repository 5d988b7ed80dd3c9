"""Generated sentences for translation: numbers, quantities, dates and times of day, in English and Chinese."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from datamodules.loading.sampling import generator

ENGLISH_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
ENGLISH_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ENGLISH_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip
DAYS = {
    "Monday": "星期一", "Tuesday": "星期二", "Wednesday": "星期三", "Thursday": "星期四", "Friday": "星期五",
    "Saturday": "星期六", "Sunday": "星期日",
}  # fmt: skip
CHINESE_DIGITS = "零一二三四五六七八九"
NOUNS = {  # singular and plural: the Chinese measure word and noun
    ("book", "books"): "本书", ("magazine", "magazines"): "本杂志", ("cat", "cats"): "只猫", ("bird", "birds"): "只鸟",
    ("sheep", "sheep"): "只羊", ("table", "tables"): "张桌子", ("ticket", "tickets"): "张票", ("bed", "beds"): "张床",
    ("car", "cars"): "辆车", ("bicycle", "bicycles"): "辆自行车", ("tree", "trees"): "棵树", ("fish", "fish"): "条鱼",
    ("river", "rivers"): "条河", ("house", "houses"): "座房子", ("mountain", "mountains"): "座山",
    ("student", "students"): "个学生", ("apple", "apples"): "个苹果", ("child", "children"): "个孩子",
    ("flower", "flowers"): "朵花", ("horse", "horses"): "匹马", ("pen", "pens"): "支笔", ("letter", "letters"): "封信",
}  # fmt: skip
COLOURS = {"red": "红色的", "white": "白色的", "black": "黑色的", "old": "旧的", "big": "大的", "small": "小的"}

Sampler = Callable[[int], int]  # samples from 0 to below its argument


class Phrase(NamedTuple):
    """A phrase in both languages."""

    source: str
    target: str


def english(number: int) -> str:
    """The number in English words, from 0 to 999,999: 3,042 is `three thousand and forty-two`."""
    if number < 20:
        return ENGLISH_ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return ENGLISH_TENS[tens] + (f"-{ENGLISH_ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{ENGLISH_ONES[hundreds]} hundred" + (f" and {english(rest)}" if rest else "")
    thousands, rest = divmod(number, 1000)
    link = "" if not rest else " and " if rest < 100 else " "
    return f"{english(thousands)} thousand" + (f"{link}{english(rest)}" if rest else "")


def english_ordinal(number: int) -> str:
    """The number's ordinal, below 100: 21 is `twenty-first`."""
    head, dash, last = english(number).rpartition("-")
    if last in ENGLISH_ORDINALS:
        return head + dash + ENGLISH_ORDINALS[last]
    return head + dash + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def english_year(year: int) -> str:
    """The year as it is read, from 1100 to 1999: 1905 is `nineteen oh five`."""
    century, rest = divmod(year, 100)
    last = "hundred" if rest == 0 else f"oh {english(rest)}" if rest < 10 else english(rest)
    return f"{english(century)} {last}"


def chinese(number: int) -> str:
    """The number in Chinese, from 0 to 99,999,999: 3,042 is `三千零四十二`."""
    if number >= 10_000:
        high, low = divmod(number, 10_000)
        gap = "零" if 0 < low < 1000 else ""
        return chinese(high) + "万" + (gap + _below_ten_thousand(low) if low else "")
    if 10 <= number < 20:
        return "十" + (CHINESE_DIGITS[number - 10] if number > 10 else "")
    return _below_ten_thousand(number) if number else "零"


def _below_ten_thousand(number: int) -> str:
    words, gap = "", False
    for unit, size in (("千", 1000), ("百", 100), ("十", 10), ("", 1)):
        digit = number // size % 10
        if digit:
            words += ("零" if gap and words else "") + CHINESE_DIGITS[digit] + unit
        gap = digit == 0
    return words


def chinese_digits(number: int) -> str:
    """The number digit by digit, as years are read: 1905 is `一九〇五`."""
    return "".join("〇" if digit == "0" else CHINESE_DIGITS[int(digit)] for digit in str(number))


def _pick(items: Sequence[str], sample: Sampler) -> str:
    return items[sample(len(items))]


def _number(sample: Sampler) -> Phrase:
    number = sample(10 ** (3 + sample(4)))  # of up to three, four, five or six digits
    return Phrase(english(number), chinese(number))


def _quantity(sample: Sampler) -> Phrase:
    number = 1 + sample((20, 100, 1000)[sample(3)])
    singular, plural = list(NOUNS)[sample(len(NOUNS))]
    chinese_noun = NOUNS[singular, plural]
    colour = _pick(["", *COLOURS], sample)
    count = "两" if number == 2 else chinese(number)
    source = f"{english(number)} {colour} {singular if number == 1 else plural}".replace("  ", " ")
    return Phrase(source, count + chinese_noun[0] + COLOURS.get(colour, "") + chinese_noun[1:])


def _date(sample: Sampler) -> Phrase:
    year, month, day = 1100 + sample(900), sample(12), 1 + sample(28)
    ordinal, name = english_ordinal(day), MONTHS[month]
    source = (f"the {ordinal} of {name} {english_year(year)}", f"{name} the {ordinal}, {english_year(year)}")[sample(2)]
    target = f"{chinese_digits(year)}年{chinese(month + 1)}月{chinese(day)}日"
    if sample(2):
        weekday = _pick(list(DAYS), sample)
        return Phrase(f"{weekday}, {source}", target + DAYS[weekday])
    return Phrase(source, target)


def _time(sample: Sampler) -> Phrase:
    hour, minute = sample(24), sample(60)
    part = ("凌晨", "上午", "下午", "晚上")[hour // 6]
    english_part = ("at night", "in the morning", "in the afternoon", "in the evening")[hour // 6]
    spoken = hour % 12 or 12
    target = ("两" if spoken == 2 else chinese(spoken)) + "点"
    if minute == 0:
        source = f"{english(spoken)} o'clock"
    elif minute == 30:
        source, target = f"half past {english(spoken)}", f"{target}半"
    else:
        target += f"{chinese(minute)}分"
        past, to = (english(minute), english(spoken)), (english(60 - minute), english(spoken % 12 + 1))
        source = " past ".join(past) if minute < 30 else " to ".join(to)
    weekday = _pick(list(DAYS), sample)
    return Phrase(f"{weekday} at {source} {english_part}", DAYS[weekday] + part + target)


def phrases(size: int, seed: int) -> list[Phrase]:
    """Distinct phrases sampled from the grammar: no two share their English or their Chinese side.

    Args:
        size: number of phrases.
        seed: seed of the generator.
    """
    random = generator(seed)
    numbers = iter(torch.randint(2**31, (64 * size,), generator=random).tolist())  # one call each would take a second

    def sample(below: int) -> int:
        return next(numbers) % below

    grammar = (_number, _quantity, _date, _time)
    found: list[Phrase] = []
    seen: set[str] = set()
    while len(found) < size:
        phrase = grammar[len(found) % len(grammar)](sample)
        if seen.isdisjoint(phrase):
            seen.update(phrase)
            found.append(phrase)
    return found

"""Generated texts about people and animals, with questions that they answer."""

from collections.abc import Sequence
from typing import Any

import torch

from datamodules.files.squad import Book, Question
from datamodules.loading.sampling import generator
from datamodules.synthetic.names import SPLIT_FRACTIONS, SURNAMES, generated_words

# Statements about a person, questions, and the type of the answer.
EN_FACTS: dict[str, tuple[list[str], list[str], str]] = {
    "birthplace": (
        ["{s} was born in {v}.", "The town of {v} is where {s} was born."],
        ["Where was {s} born?", "In which town was {s} born?"],
        "place",
    ),
    "home": (
        ["Today {s} lives in {v}.", "{s} moved to {v} and still lives there."],
        ["Where does {s} live?", "In which town does {s} live?"],
        "place",
    ),
    "birth year": (
        ["{s} was born in the year {v}.", "{v} was the year of birth of {s}."],
        ["When was {s} born?"],
        "year",
    ),
    "job": (
        ["{s} works as a {v}.", "{s} became a {v} at last."],
        ["What is the job of {s}?", "What does {s} do?"],
        "job",
    ),
    "employer": (
        ["{s} is employed by {v} Bank.", "The employer of {s} is called {v} Bank."],
        ["Who employs {s}?", "Which bank is the employer of {s}?"],
        "bank",
    ),
    "spouse": (["{s} is married to {v}.", "{v} and {s} are married."], ["Who is married to {s}?"], "person"),
    "friend": (["{v} is an old friend of {s}.", "{s} has a friend, {v}."], ["Who is a friend of {s}?"], "person"),
    "pet": (["At home {s} keeps a {v}.", "{s} owns a {v}."], ["Which animal does {s} keep?"], "animal"),
    "prize": (["{s} won a prize in {v}.", "In {v} a prize went to {s}."], ["When did {s} win a prize?"], "year"),
}  # fmt: skip


ZH_FACTS: dict[str, tuple[list[str], list[str], str]] = {
    "birthplace": (["{s}出生在{v}。", "{v}是{s}的出生地。"], ["{s}出生在哪里？", "{s}的出生地是哪里？"], "place"),
    "home": (["{s}现在住在{v}。", "{s}搬到{v}以后一直住在那里。"], ["{s}住在哪里？", "{s}现在住在什么地方？"], "place"),
    "birth year": (["{s}生于{v}年。", "{v}年是{s}的出生年份。"], ["{s}生于哪一年？"], "year"),
    "job": (["{s}的职业是{v}。", "{s}后来当了{v}。"], ["{s}的职业是什么？", "{s}是做什么的？"], "job"),
    "employer": (["{s}受雇于{v}银行。", "{s}的雇主叫{v}银行。"], ["谁雇用了{s}？", "{s}的雇主是哪家银行？"], "bank"),
    "spouse": (["{s}和{v}结了婚。", "{v}是{s}的配偶。"], ["{s}和谁结了婚？", "{s}的配偶是谁？"], "person"),
    "friend": (["{v}是{s}的老朋友。", "{s}有个朋友叫{v}。"], ["{s}的朋友是谁？"], "person"),
    "pet": (["{s}家里养着一只{v}。", "{s}有一只{v}。"], ["{s}养什么动物？"], "animal"),
    "prize": (["{s}在{v}年得了奖。", "{v}年的奖给了{s}。"], ["{s}哪一年得了奖？"], "year"),
}


JOBS = {
    "en": ["baker", "pilot", "nurse", "judge", "farmer", "painter"],
    "zh": ["面包师", "飞行员", "护士", "法官", "农民", "画家"],
}


ANIMALS = {"en": ["cat", "dog", "horse", "parrot", "rabbit", "goat"], "zh": ["猫", "狗", "马", "鹦鹉", "兔子", "山羊"]}


def generated_facts(num_contexts: int, seed: int) -> tuple[Book, dict[str, list[int]]]:
    """Generated passages, half English and half Chinese, of six facts about a person, with four questions each.

    One question in four is about a fact that the passage lacks. Names of persons, places and banks in the test split
    do not occur in training, and most facts have a distractor of the same type (two places, two years, two persons).

    Args:
        num_contexts: number of passages in all splits; 70 % are for training, 10 % for validation.
        seed: seed of the generator.

    Returns:
        The passages with their questions, and the indices of each split's contexts.
    """
    random = generator(seed)
    words = generated_words(3 * num_contexts, random)

    def pick(options: Sequence[Any]) -> Any:
        return options[int(torch.randint(len(options), (), generator=random))]

    def value(answer_type: str, split: str, language: str) -> str:
        if answer_type == "year":
            return str(pick(range(1900, 2030)))
        if answer_type in ("job", "animal"):
            return str(pick((JOBS if answer_type == "job" else ANIMALS)[language]))
        word = str(pick(words[split, language]))
        if language == "en":
            return word.capitalize()
        return pick(SURNAMES) + word if answer_type == "person" else word

    contexts: list[str] = []
    questions: list[Question] = []
    splits: dict[str, list[int]] = {}
    for split, fraction in SPLIT_FRACTIONS.items():
        size = round(fraction * num_contexts)
        splits[split] = list(range(len(contexts), len(contexts) + size))
        for index in range(size):
            language = ("en", "zh")[index % 2]
            facts = EN_FACTS if language == "en" else ZH_FACTS
            order = [list(facts)[index] for index in torch.randperm(len(facts), generator=random).tolist()]
            subject = value("person", split, language)
            context, answers = "", {}
            for fact in order[:6]:
                statements, _, answer_type = facts[fact]
                answer = value(answer_type, split, language)
                before, after = pick(statements).replace("{s}", subject).split("{v}")
                context += " " if context and language == "en" else ""
                answers[fact] = (len(context) + len(before), answer)
                context += before + answer + after
            for fact in [order[0], order[2], order[4], order[7]]:
                name = f"{split} {len(contexts)} {fact}"
                question = Question(pick(facts[fact][1]).replace("{s}", subject), len(contexts), name)
                if fact in answers:
                    question.start, answer = answers[fact]
                    question.end, question.answers = question.start + len(answer), [answer]
                questions.append(question)
            contexts.append(context)
    return Book(contexts, questions), splits

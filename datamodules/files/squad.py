"""Questions about texts: read from SQuAD's JSON, or made up."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.files.encoding import decoded, json_value
from datamodules.files.paths import regular
from datamodules.files.text_files import Repeatable, is_large, state_of
from datamodules.loading.sampling import generator
from datamodules.storage.download import DataError
from datamodules.storage.stored_rows import StoredRows, joined, stored_rows
from datamodules.synthetic.names import SHARES, SURNAMES, pools_of_words

WINDOWS = 4  # times as much memory as other texts: each question stands beside windows of its context


@dataclass
class Question:
    """A question about a context.

    Args:
        text: the question.
        context: the context's number.
        name: by which its publisher knows it.
        answers: every text that is right; none where the context holds no answer.
        start: where the first of them stands that stands in the context; None where none does.
        end: the place after it.
        repaired: how many answers stand elsewhere in the context than the file said.
        lost: how many answers do not stand in the context at all.
    """

    text: str
    context: int
    name: str = ""
    answers: list[str] = field(default_factory=list)
    start: int | None = None
    end: int | None = None
    repaired: int = 0
    lost: int = 0

    @property
    def can_train(self) -> bool:
        """Whether it is known where the answer stands, or that there is none."""
        return self.start is not None or not self.answers


@dataclass
class Book:
    """Contexts and questions about them.

    Args:
        contexts: the texts.
        questions: in the order of their contexts.
    """

    contexts: list[str] | StoredRows[str] = field(default_factory=list)
    questions: list[Question] | StoredRows[Question] = field(default_factory=list)

    @property
    def repaired(self) -> int:
        """How many answers stand elsewhere in their context than the file said."""
        return sum(question.repaired for question in self.questions)

    @property
    def lost(self) -> int:
        """How many answers do not stand in their context at all."""
        return sum(question.lost for question in self.questions)


def place_of(answer: str, context: str, said: int) -> int | None:
    """Where an answer stands in its context: as said, or else the nearest place; None if nowhere."""
    if said >= 0 and context[said : said + len(answer)] == answer:
        return said
    places, found = [], context.find(answer)
    while found >= 0:
        places.append(found)
        found = context.find(answer, found + 1)
    return min(places, key=lambda place: abs(place - said), default=None)


def read_books(files: dict[str, Path], encoding: str, answered: bool = True) -> tuple[Book, dict[str, Tensor]]:
    """The contexts and questions of files in SQuAD's JSON, which are held in memory unless the files are too large.

    A JSON document cannot be read in parts: the first of several processes parses a large file as a whole, once.

    Args:
        files: of each split, or one under an empty name.
        encoding: of the files.
        answered: whether the questions need answers.

    Returns:
        All of them, and the positions of each split's contexts.
    """
    large = is_large(files.values(), times=WINDOWS)
    parts, official, start = [], {}, 0
    for split, file in files.items():
        read = cache(partial(read_squad, file, encoding, answered, start))
        part = _stored(read, [state_of(file), encoding, f"{answered} {start}"]) if large else read()
        if split:
            official[split] = torch.arange(start, start + len(part.contexts))
        start += len(part.contexts)
        parts.append(part)
    book = Book(joined([part.contexts for part in parts]), joined([part.questions for part in parts]))
    return book, official


def _stored(read: Callable[[], Book], key: list[str]) -> Book:
    contexts = stored_rows(Repeatable(lambda: iter(read().contexts)), ["contexts", *key], made=str)
    questions = stored_rows(Repeatable(lambda: iter(read().questions)), ["questions", *key], made=_question_of)
    return Book(contexts, questions)


def _question_of(row: list[Any]) -> Question:
    """A question from the list of its attributes, as JSON has it."""
    return Question(*row)


def read_squad(path: Path, encoding: str, answered: bool = True, first: int = 0) -> Book:
    """The contexts and questions of a file in SQuAD's JSON.

    Rajpurkar et al. 2016, https://arxiv.org/abs/1606.05250; `is_impossible` as in SQuAD 2.0, Rajpurkar et al. 2018,
    https://arxiv.org/abs/1806.03822. A wrong `answer_start` is put right where the answer's text is found.

    Args:
        path: of the file.
        encoding: of the file.
        answered: whether the questions need answers.
        first: number of its first context.

    Raises:
        DataError: the file is empty, not text, not JSON, or not in that form; the message has the place.
    """
    contexts: list[str] = []
    questions: list[Question] = []
    for number, article in enumerate(_articles(path, encoding)):
        for place, paragraph in enumerate(_part(article, "paragraphs", list, f"{path}: data[{number}]")):
            where = f"{path}: data[{number}].paragraphs[{place}]"
            context = _part(paragraph, "context", str, where)
            for row, asked in enumerate(_part(paragraph, "qas", list, where)):
                questions.append(_question(asked, context, first + len(contexts), f"{where}.qas[{row}]", answered))
            contexts.append(context)
    return Book(contexts, questions)


def _articles(path: Path, encoding: str) -> list[Any]:
    text = decoded(regular(path).read_bytes(), encoding, path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    try:
        articles = json_value(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None
    articles = articles.get("data") if isinstance(articles, dict) else articles
    if not isinstance(articles, list):
        raise DataError(
            f'{path}: expected SQuAD\'s form, {{"data": [{{"paragraphs": [{{"context": …, "qas": […]}}]}}]}}'
        )
    return articles


def _part(of: Any, key: str, kind: type, where: str) -> Any:
    value = of.get(key) if isinstance(of, dict) else None
    if not isinstance(value, kind):
        wanted = "a text" if kind is str else "a list"
        raise DataError(
            f'{where}: expected {wanted} "{key}", found {type(value).__name__ if value is not None else "none"}'
        )
    return value


def _question(asked: Any, context: str, number: int, where: str, answered: bool) -> Question:
    question = Question(_part(asked, "question", str, where), number, str(asked.get("id", "")))
    if not answered or asked.get("is_impossible"):
        return question
    answers = _part(asked, "answers", list, where)
    if not answers and "is_impossible" not in asked:
        raise DataError(f'{where}: no answers; a question without one is marked by "is_impossible": true')
    for number, answer in enumerate(answers):
        text = _part(answer, "text", str, f"{where}.answers[{number}]").strip()
        if not text:
            raise DataError(f"{where}.answers[{number}]: the answer's text is empty")
        said = answer.get("answer_start", -1)
        if not isinstance(said, int):
            raise DataError(f"{where}.answers[{number}]: expected a whole number as answer_start, found {said!r}")
        found = place_of(text, context, said)
        stripped = found is not None and context[max(said, 0) :].lstrip().startswith(text) and answer["text"] != text
        question.lost += found is None
        question.repaired += found is not None and found != said and not stripped
        question.answers.append(text)
        if found is not None and question.start is None:
            question.start, question.end = found, found + len(text)
    return question


# What is said of a person, what is asked for, and which kind of thing the answer is.
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
    """Made-up passages, half English and half Chinese, of six facts about a person, with four questions each.

    One question in four asks for a fact that the passage lacks. Names of persons, places and banks in the test split
    were never seen in training, and most facts have a rival of the same kind (two places, two years, two persons).

    Args:
        num_contexts: of all splits; 70 % are for training, 10 % for validation.
        seed: of the passages.

    Returns:
        The passages with their questions, and the positions of each split's contexts.
    """
    random = generator(seed)
    pools = pools_of_words(3 * num_contexts, random)

    def pick(options: Sequence[Any]) -> Any:
        return options[int(torch.randint(len(options), (), generator=random))]

    def value(kind: str, split: str, language: str) -> str:
        if kind == "year":
            return str(pick(range(1900, 2030)))
        if kind in ("job", "animal"):
            return str(pick((JOBS if kind == "job" else ANIMALS)[language]))
        word = str(pick(pools[split, language]))
        if language == "en":
            return word.capitalize()
        return pick(SURNAMES) + word if kind == "person" else word

    contexts: list[str] = []
    questions: list[Question] = []
    places: dict[str, list[int]] = {}
    for split, share in SHARES.items():
        size = round(share * num_contexts)
        places[split] = list(range(len(contexts), len(contexts) + size))
        for number in range(size):
            language = ("en", "zh")[number % 2]
            facts = EN_FACTS if language == "en" else ZH_FACTS
            order = [list(facts)[place] for place in torch.randperm(len(facts), generator=random).tolist()]
            subject = value("person", split, language)
            context, stands = "", {}
            for fact in order[:6]:
                statements, _, kind = facts[fact]
                answer = value(kind, split, language)
                before, after = pick(statements).replace("{s}", subject).split("{v}")
                context += " " if context and language == "en" else ""
                stands[fact] = (len(context) + len(before), answer)
                context += before + answer + after
            for fact in [order[0], order[2], order[4], order[7]]:
                name = f"{split} {len(contexts)} {fact}"
                question = Question(pick(facts[fact][1]).replace("{s}", subject), len(contexts), name)
                if fact in stands:
                    question.start, answer = stands[fact]
                    question.end, question.answers = question.start + len(answer), [answer]
                questions.append(question)
            contexts.append(context)
    return Book(contexts, questions), places

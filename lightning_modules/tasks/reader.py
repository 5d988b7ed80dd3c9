"""Extractive question answering: the answer is a span of the text, or the text contains none."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection

from datamodules.reading import UNKNOWN_PLACE, Passages
from lightning_modules.tasks.answers import exact_match, f1, is_chinese
from lightning_modules.tasks.boards import escape, mistakes, table
from lightning_modules.tasks.pictures.answers import NO_ANSWER, Asked, answered_texts
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.results.texts import AnswerResults
from lightning_modules.tasks.sentences import best_by_bm25, likeliest_sentence
from lightning_modules.tasks.task import Board, Step, Task

MAX_QUESTIONS = 8  # that are shown


class References(NamedTuple):
    """The true answers to a question.

    Args:
        texts: none where there is no answer.
        chinese: whether answers are compared by characters.
    """

    texts: list[str]
    chinese: bool


UNITS = 2**30  # of a score


class AnswerScore(Metric):
    """Mean of a score over questions; torchmetrics' SQuAD has neither unanswerable questions nor Chinese.

    Args:
        score: of an answer, its references and whether they are Chinese; from 0 to 1.
    """

    full_state_update = False
    higher_is_better = True
    total: Tensor
    count: Tensor

    def __init__(self, score: Callable[[str, Sequence[str], bool], float]) -> None:
        super().__init__()
        self.score = score
        for name in ("total", "count"):  # in integers, which are exact and, unlike float64, known to Apple GPUs
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Sequence[str], target: Sequence[References]) -> None:
        """Add the answers to a batch of questions, empty for "no answer"."""
        scores = (self.score(answer, *references) for answer, references in zip(preds, target, strict=True))
        self.total += round(UNITS * sum(scores))
        self.count += len(preds)

    def compute(self) -> Tensor:
        """The mean."""
        return torch.tensor(int(self.total) / UNITS / max(int(self.count), 1), device=self.device)


def best_spans(scores: Tensor, max_length: int) -> tuple[Tensor, Tensor]:
    """The best answer to each question: the maximum sum of a start's and an end's score.

    Args:
        scores: (B, 2, N + 1) of each token as the answer's start and as its end, those of "no answer" first;
            -inf where an answer is impossible.
        max_length: of an answer, in tokens.

    Returns:
        (B, 2) first and last token, -1 for "no answer"; and (B,) the sum.
    """
    start, end = scores[:, 0, 1:], scores[:, 1, 1:]  # (B, N)
    best, length = start + end, torch.zeros_like(start, dtype=torch.long)
    for more in range(1, min(max_length, start.shape[1])):
        longer = F.pad(start[:, :-more] + end[:, more:], (0, more), value=-torch.inf)
        length = torch.where(longer > best, more, length)
        best = torch.maximum(best, longer)
    score, first = best.max(dim=1)  # (B,)
    last = first + length.gather(1, first[:, None])[:, 0]
    none = scores[:, :, 0].sum(1)
    spans = torch.stack([first, last], dim=1)
    return torch.where((none >= score)[:, None], -1, spans), torch.maximum(none, score)


class Reader(Task):
    """Cross-entropy of the answer's first and last token; a batch is `(Passages, Answers)`.

    `forward(passages)` gives (B, 2, N + 1) scores of each token of the context as the answer's start and as its end,
    those of "no answer" first. They are normalised over all windows of a question together (Clark & Gardner 2018,
    https://arxiv.org/abs/1710.10723), so that windows can be compared.

    Metrics: exact_match and f1 by the official definitions, for Chinese by characters. The baselines answer with a
    sentence: that which has the most words (in Chinese, characters) in common with the question, and the best by BM25.

    Args:
        unanswerable: whether there are questions without an answer.
        max_answer: maximum length of an answer, in tokens.
        kwargs: as for Task.
    """

    default_monitor = "val/f1"

    def __init__(self, unanswerable: bool = True, max_answer: int = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unanswerable = unanswerable
        self.max_answer = max_answer

    def metrics(self) -> MetricCollection:
        """Exact match and F1."""
        return MetricCollection({"exact_match": AnswerScore(exact_match), "f1": AnswerScore(f1)}, compute_groups=False)

    def results(self) -> Results:
        """Answers."""
        return AnswerResults()

    def scores(self, passages: Passages) -> Tensor:
        """(B, 2, N + 1), -inf where an answer is impossible."""
        scores = self(passages).float()
        possible = F.pad(passages.token_mask, (1, 0), value=self.unanswerable)
        possible[:, 0] |= passages.num_tokens == 0
        return scores.masked_fill(~possible[:, None], -torch.inf)

    def step(self, batch: Any) -> Step:
        """Mean cross-entropy of start and end; questions whose answer's position is unknown are ignored."""
        passages, answers = batch
        scores = self.scores(passages)
        target = torch.where(answers.spans == UNKNOWN_PLACE, UNKNOWN_PLACE, answers.spans + 1)
        if not self.unanswerable:
            target = target.masked_fill(target == 0, UNKNOWN_PLACE)
        loss = F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=UNKNOWN_PLACE, reduction="sum")
        count = (target != UNKNOWN_PLACE).sum()
        return Step(loss / count.clamp(min=1), scores, answers.spans, count)

    def extract(self, passages: Passages, scores: Tensor) -> list[tuple[str, int, int]]:
        """Each question's answer with its start and end in the context; empty, -1 and -1 for "no answer"."""
        spans, _ = best_spans(scores, self.max_answer)
        found = []
        for context, offsets, (first, last) in zip(
            passages.contexts, passages.offsets.tolist(), spans.tolist(), strict=True
        ):
            start, end = (-1, -1) if first < 0 else (offsets[first][0], offsets[last][1])
            found.append((context[start:end] if first >= 0 else "", start, end))
        return found

    def references(self, batch: Any) -> list[References]:
        """The true answers to each question."""
        passages, answers = batch
        return [References(*row) for row in zip(answers.texts, map(is_chinese, passages.contexts), strict=True)]

    def answers(self, batch: Any, step: Step) -> tuple[list[str], list[References]]:
        """Predicted and true answers."""
        passages, _ = batch
        return [text for text, _, _ in self.extract(passages, step.prediction)], self.references(batch)

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Complete sentences: with the most words in common with the question, and the best by BM25."""
        choices = {"": likeliest_sentence, "bm25_": best_by_bm25}
        return {prefix: partial(self.likeliest_sentences, choose) for prefix, choose in choices.items()}

    def likeliest_sentences(self, choose: Callable[[str, str, bool], str], batch: Any) -> list[str]:
        """The sentences that are chosen for the questions."""
        passages, _ = batch
        pairs = zip(passages.questions, passages.contexts, strict=True)
        return [choose(question, context, is_chinese(context)) for question, context in pairs]

    def output_facts(self) -> dict[str, Any]:
        """Scores of an answer's start and end."""
        steps = "the maximum sum of a start's and an end's score; place 0 is no answer, place n the token n - 1"
        return {"kind": "spans", "max_answer": self.max_answer, "unanswerable": self.unanswerable, "steps": steps}

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each question's answer, its position in the context, and its probability."""
        scores = self.scores(batch)
        _, best = best_spans(scores, self.max_answer)
        probability = (best - scores.logsumexp(-1).sum(1)).exp().tolist()
        rows = zip(batch.questions, self.extract(batch, scores), probability, strict=True)
        return [
            {"question": question, "prediction": text, "start": start, "end": end, "probability": p}
            for question, (text, start, end), p in rows
        ]

    def show(self, batch: Any, board: Board) -> None:
        """The questions whose answer is mistaken, worst first, with both answers; right ones, if all are."""
        passages, answers = batch
        step = self.step(batch)
        outcomes = self.outcomes(batch, step)
        found = self.extract(passages, step.prediction)
        asked = []
        chosen, all_right = mistakes(outcomes.worst(), outcomes["exact_match"], MAX_QUESTIONS)
        for row in chosen:
            _, start, end = found[row]
            first, last = answers.spans[row].tolist()
            true = (
                (-1, -1) if first < 0 else (int(passages.offsets[row, first, 0]), int(passages.offsets[row, last, 1]))
            )
            origin = board.names[row] if board.names else ""
            texts = list(dict.fromkeys(answers.texts[row]))
            asked.append(Asked(passages.questions[row], passages.contexts[row], texts, true, (start, end), origin))
        board.figure("worst mistakes", answered_texts(asked, all_right))
        cells = [
            [escape(text) for text in (each.question, " | ".join(each.answers) or NO_ANSWER, each.answer, each.origin)]
            for each in asked
        ]
        board.text("answers", table(["question", "true", "predicted", "from"], cells))

"""Extractive question answering: the answer is a part of the text, or the text has none."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection

from datamodules.reading import UNKNOWN_PLACE, Passages
from lightning_modules.tasks.answers import exact_match, f1, is_chinese, likeliest_sentence
from lightning_modules.tasks.task import Board, Step, Task
from lightning_modules.tasks.texts import cell

SHOWN = 10  # questions on the dashboard
AROUND = 60  # characters shown on each side of an answer


class Given(NamedTuple):
    """An answer that was given.

    Args:
        text: empty for "no answer".
        right: the right answers, none where there is no answer.
        chinese: how they are compared.
    """

    text: str
    right: list[str]
    chinese: bool


class AnswerScore(Metric):
    """Mean of a score over questions, each against the right answer nearest to it."""

    full_state_update = False
    higher_is_better = True
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    @abstractmethod
    def score(self, given: Given) -> float:
        """The score of one answer."""

    def update(self, given: Sequence[Given]) -> None:
        """Score a batch."""
        self.total += sum(map(self.score, given))
        self.count += len(given)

    def compute(self) -> Tensor:
        """The mean, from 0 to 1."""
        return (self.total / self.count.clamp(min=1)).float()


class ExactMatch(AnswerScore):
    """Share of the questions whose answer is one of the right ones."""

    def score(self, given: Given) -> float:
        """1 or 0."""
        return exact_match(*given)


class AnswerF1(AnswerScore):
    """Mean over the questions of how far the answer agrees with a right one."""

    def score(self, given: Given) -> float:
        """From 0 to 1."""
        return f1(*given)


def best_spans(scores: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """The best answer to each question: the highest sum of a start's and an end's score.

    Args:
        scores: (B, 2, N + 1) of each token as the answer's start and as its end, those of "no answer" first;
            -inf where an answer cannot be.
        longest: tokens in the longest answer.

    Returns:
        (B, 2) first and last token, -1 for "no answer"; and (B,) the sum.
    """
    start, end = scores[:, 0, 1:], scores[:, 1, 1:]  # (B, N)
    best, length = start + end, torch.zeros_like(start, dtype=torch.long)
    for more in range(1, min(longest, start.shape[1])):
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

    Metrics: exact_match and f1 by the official definitions, for Chinese by characters. The baseline answers with the
    sentence that shares most words (in Chinese characters) with the question.

    Args:
        unanswerable: whether there are questions without an answer; otherwise there always is one.
        max_answer: tokens in the longest answer.
        kwargs: as for Task.
    """

    default_monitor = "val/f1"

    def __init__(self, unanswerable: bool = True, max_answer: int = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unanswerable = unanswerable
        self.max_answer = max_answer

    def metrics(self) -> MetricCollection:
        """Exact match and F1."""
        return MetricCollection({"exact_match": ExactMatch(), "f1": AnswerF1()}, compute_groups=False)

    def scores(self, passages: Passages) -> Tensor:
        """(B, 2, N + 1), -inf where an answer cannot be."""
        scores = self(passages).float()
        possible = F.pad(passages.token_mask, (1, 0), value=self.unanswerable)
        possible[:, 0] |= passages.num_tokens == 0
        return scores.masked_fill(~possible[:, None], -torch.inf)

    def step(self, batch: Any) -> Step:
        """Mean cross-entropy of start and end; questions whose answer's place is not known say nothing."""
        passages, answers = batch
        scores = self.scores(passages)
        target = torch.where(answers.spans == UNKNOWN_PLACE, UNKNOWN_PLACE, answers.spans + 1)
        if not self.unanswerable:
            target = target.masked_fill(target == 0, UNKNOWN_PLACE)
        loss = F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=UNKNOWN_PLACE, reduction="sum")
        count = (target != UNKNOWN_PLACE).sum()
        return Step(loss / count.clamp(min=1), scores, answers.spans, count)

    def answers(self, passages: Passages, scores: Tensor) -> list[tuple[str, int, int]]:
        """Each question's answer, and where it stands in its context; empty and -1 where there is none."""
        spans, _ = best_spans(scores, self.max_answer)
        found = []
        for context, offsets, (first, last) in zip(
            passages.contexts, passages.offsets.tolist(), spans.tolist(), strict=True
        ):
            start, end = (-1, -1) if first < 0 else (offsets[first][0], offsets[last][1])
            found.append((context[start:end] if first >= 0 else "", start, end))
        return found

    def given(self, batch: Any, texts: Sequence[str]) -> list[Given]:
        """Answers beside the right ones."""
        passages, answers = batch
        chinese = map(is_chinese, passages.contexts)
        return [Given(*row) for row in zip(texts, answers.texts, chinese, strict=True)]

    def judged(self, batch: Any, metrics: MetricCollection) -> None:
        """Answer a batch's questions and score the answers."""
        passages, _ = batch
        step = self.step(batch)
        self.mean_loss.update(step.loss, step.weight)
        metrics.update(self.given(batch, [text for text, _, _ in self.answers(passages, step.prediction)]))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Judge one batch by its answers."""
        self.judged(batch, self.val_metrics)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Judge one batch by its answers, and the sentences that share most words with the questions."""
        self.judged(batch, self.test_metrics)
        self.baseline_metrics[""].update(self.likeliest_sentences(batch))

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Whole sentences."""
        return {"": self.likeliest_sentences}

    def likeliest_sentences(self, batch: Any) -> list[Given]:
        """The sentences that share most words with the questions, as answers."""
        passages, _ = batch
        pairs = zip(passages.questions, passages.contexts, strict=True)
        return self.given(batch, [likeliest_sentence(*pair, is_chinese(pair[1])) for pair in pairs])

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each question's answer, its place in the context, and its probability."""
        scores = self.scores(batch)
        _, best = best_spans(scores, self.max_answer)
        probability = (best - scores.logsumexp(-1).sum(1)).exp().tolist()
        rows = zip(batch.questions, self.answers(batch, scores), probability, strict=True)
        return [
            {"question": question, "prediction": text, "start": start, "end": end, "probability": chance}
            for question, (text, start, end), chance in rows
        ]

    def show(self, batch: Any, board: Board) -> None:
        """The first questions with the answers that are right and those that the model gives, in bold type."""
        passages, answers = batch
        found = self.answers(passages, self.scores(passages))
        lines = ["| | question | right | in the text |", "| --- | --- | --- | --- |"]
        for row, (text, start, end) in enumerate(found[:SHOWN]):
            given = self.given(batch, [text for text, _, _ in found])[row]
            mark = "✔" if exact_match(*given) else "✘"
            right = cell(answers.texts[row][0]) if answers.texts[row] else "*no answer*"
            context = passages.contexts[row]
            before, after = context[max(start - AROUND, 0) : start], context[end : end + AROUND]
            shown = f"{cell(before)} **{cell(text)}** {cell(after)}" if text else "*no answer*"
            lines.append(f"| {mark} | {cell(passages.questions[row])} | {right} | {shown} |")
        board.text("answers", "\n".join(lines))

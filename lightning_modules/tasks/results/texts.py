"""What tests of entities, answers and translations keep: the texts, and each example's own scores."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from sacrebleu import BLEU, CHRF
from torch import Tensor

from lightning_modules.tasks.answers import exact_match, f1
from lightning_modules.tasks.results.intervals import Intervals, Scores, of_means, of_sums
from lightning_modules.tasks.results.outcomes import Column, Outcomes
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.scores import precision_recall_f1

COUNTS = ("correct", "predicted", "true")  # entities of a sentence


class EntityResults(Results):
    """Entities in sentences; the loss is the number of entities that are missing or too many.

    Args:
        found: the entities of each sentence of a batch, as texts, and how many are correct, predicted and true, (B, 3).
    """

    def __init__(self, found: Callable[[Any, Any, Any], tuple[list[str], list[str], Tensor]]) -> None:
        self.found = found

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """The entities, and their counts."""
        true, predicted, counts = self.found(batch, prediction, target)
        counts = counts.cpu()
        loss = (counts[:, 1] + counts[:, 2] - 2 * counts[:, 0]).float()
        return {"target": true, "prediction": predicted, "counts": counts, "loss": loss}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """The entities, and their counts."""
        counts = zip(COUNTS, outcomes["counts"].unbind(1), strict=True)
        return {
            "target": outcomes["target"],
            "prediction": outcomes["prediction"],
            **{f"{name}_entities": values.tolist() for name, values in counts},
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of precision, recall and F1; sentences are sampled."""

        def scores(sums: Tensor) -> Scores:
            return precision_recall_f1(*sums.unbind(1))._asdict()

        return of_sums(outcomes["counts"], scores)


class AnswerResults(Results):
    """Answers to questions; the loss is one minus F1."""

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """The answers, and both scores."""
        scores = {
            name: torch.tensor([score(text, *true) for text, true in zip(prediction, target, strict=True)])
            for name, score in (("exact_match", exact_match), ("f1", f1))
        }
        texts: list[Any] = [references.texts for references in target]
        return {"target": texts, "prediction": list(prediction), **scores, "loss": 1 - scores["f1"]}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """The answers, several separated by bars, and both scores; empty for "no answer"."""
        return {
            "target": [" | ".join(dict.fromkeys(texts)) for texts in outcomes["target"]],
            "prediction": outcomes["prediction"],
            "exact_match": outcomes["exact_match"].tolist(),
            "f1": outcomes["f1"].tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of both scores."""
        return of_means({name: outcomes[name] for name in ("exact_match", "f1")})


def corpus_statistics(
    name: str, metric: BLEU | CHRF, translations: list[str], references: list[str]
) -> tuple[Tensor, Callable[[Tensor], Scores]]:
    """A score of a corpus as a function of sums over its sentences.

    sacreBLEU's own bootstrap fails where a replicate's score is exactly 0; these are the parts that it is made of.

    Args:
        name: of the score.
        metric: that computes it.
        translations: of each sentence.
        references: of each sentence.

    Returns:
        (N, S) counts of the sentences, and the score (R,) of sums of them, (R, S).
    """
    statistics = torch.tensor(metric._extract_corpus_statistics(translations, [references]))

    def scores(sums: Tensor) -> Scores:
        rows = (metric._compute_score_from_stats([round(count) for count in row]).score for row in sums.tolist())
        return {name: torch.tensor([float(score) for score in rows])}

    return statistics, scores


class TranslationResults(Results):
    """Translations; the loss is 100 minus the sentence's chrF.

    Args:
        bleu: of the corpus.
        chrf: of the corpus and of a sentence.
    """

    def __init__(self, bleu: BLEU, chrf: CHRF) -> None:
        self.bleu = bleu
        self.chrf = chrf

    def kept(self, batch: Any, prediction: Any, target: Any) -> dict[str, Column]:
        """The translations, and each one's chrF."""
        scores = [self.chrf.sentence_score(text, [true]).score for text, true in zip(prediction, target, strict=True)]
        return {"target": list(target), "prediction": list(prediction), "loss": 100 - torch.tensor(scores)}

    def rows(self, outcomes: Outcomes) -> dict[str, list[Any]]:
        """The translations, and each one's scores."""
        return {
            "target": outcomes["target"],
            "prediction": outcomes["prediction"],
            "chrf": (100 - outcomes["loss"]).tolist(),
            "exact_match": self._matches(outcomes).int().tolist(),
            "loss": outcomes["loss"].tolist(),
        }

    def intervals(self, outcomes: Outcomes) -> Intervals:
        """Those of the corpus' scores, and of exact matches."""
        found = of_means({"exact_match": self._matches(outcomes).double()})
        for name, metric in (("bleu", self.bleu), ("chrf", self.chrf)):
            found |= of_sums(*corpus_statistics(name, metric, outcomes["prediction"], outcomes["target"]))
        return found

    @staticmethod
    def _matches(outcomes: Outcomes) -> Tensor:
        pairs: Sequence[tuple[str, str]] = list(zip(outcomes["prediction"], outcomes["target"], strict=True))
        return torch.tensor([predicted == true for predicted, true in pairs])

"""Named entity recognition: each word has a tag, and the tags form entities."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection

from datamodules.tagging import IGNORED, Sentences
from lightning_modules.tasks.boards import MAX_TEXTS, escape, mistakes, table
from lightning_modules.tasks.pictures.entities import Tagged, tagged_texts
from lightning_modules.tasks.results.outcomes import LOSS, Outcomes
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.results.texts import EntityResults
from lightning_modules.tasks.scores import Scores, log_mean_probabilities, precision_recall_f1
from lightning_modules.tasks.task import Board, Step, Task


class Spans(NamedTuple):
    """The entities in sequences of tags; at most one begins at a word.

    Args:
        begins: (B, W), true where an entity begins.
        types: (B, W), the index of its type.
        ends: (B, W), the index of the word after its last.
    """

    begins: Tensor
    types: Tensor
    ends: Tensor


def spans_of(tags: Tensor) -> Spans:
    """The entities of valid BIO tags: 0 is O, 1 + 2t begins an entity of type t, and 2 + 2t continues it.

    Args:
        tags: (B, W); negative where there is no word.
    """
    begins = (tags > 0) & (tags % 2 == 1)
    continues = (tags > 0) & (tags % 2 == 0)
    width = tags.shape[1]
    index = torch.arange(width, device=tags.device)
    stop = torch.where(continues, width, index)
    next_stop = stop.flip(1).cummin(dim=1).values.flip(1)  # (B, W), of the first word from here on that continues none
    ends = F.pad(next_stop[:, 1:], (0, 1), value=width)
    return Spans(begins, (tags - 1).div(2, rounding_mode="floor"), ends)


def valid_tags(scores: Tensor, mask: Tensor) -> Tensor:
    """The tags of the highest total score among those in which every I follows a B or I of its type.

    Viterbi 1967, https://doi.org/10.1109/TIT.1967.1054010, with hard constraints on the transitions.

    Args:
        scores: (B, W, K) of each tag.
        mask: (B, W), true where there is a word; the padding comes last.

    Returns:
        (B, W), 0 where there is no word.
    """
    scores = scores.float().log_softmax(-1)
    size = scores.shape[-1]
    forbidden = torch.zeros(size, size, device=scores.device)  # from each tag to each
    inside = torch.arange(2, size, 2, device=scores.device)
    forbidden[:, inside] = -torch.inf
    forbidden[inside - 1, inside] = 0
    forbidden[inside, inside] = 0
    best = scores[:, 0] + forbidden[0]  # (B, K), as if after an O
    origins = []
    for word in range(1, scores.shape[1]):
        through, origin = (best[:, :, None] + forbidden).max(dim=1)  # (B, K)
        inside_sentence = mask[:, word, None]
        best = torch.where(inside_sentence, through + scores[:, word], best)
        origins.append(torch.where(inside_sentence, origin, torch.arange(size, device=scores.device)))
    tags = [best.argmax(-1)]
    for origin in reversed(origins):
        tags.append(origin.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1], dim=1).masked_fill(~mask, 0)


class EntityCounts(Metric):
    """Correct, predicted and true entities of each type, (3, T); correct ones agree in words and type.

    As in the shared task of CoNLL-2003, Tjong Kim Sang & De Meulder 2003, https://aclanthology.org/W03-0419.

    Args:
        num_types: T
    """

    full_state_update = False
    higher_is_better = True
    counts: Tensor

    def __init__(self, num_types: int) -> None:
        super().__init__()
        self.num_types = num_types
        self.add_state("counts", torch.zeros(3, num_types, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the entities of a batch.

        Args:
            preds: (B, W, K) scores of the tags.
            target: (B, W) tags, negative where there is no word.
        """
        found, true = spans_of(valid_tags(preds, target >= 0)), spans_of(target)
        same = found.begins & true.begins & (found.types == true.types) & (found.ends == true.ends)
        types = (found.types[same], found.types[found.begins], true.types[true.begins])
        self.counts += torch.stack([torch.bincount(each, minlength=self.num_types) for each in types])

    def compute(self) -> Tensor:
        """The counts."""
        return self.counts


class EntityScore(EntityCounts):
    """Precision, recall or F1 over the entities of all types (micro average); 0 where it is undefined.

    Args:
        num_types: T
        score: the name of one of them.
    """

    def __init__(self, num_types: int, score: Literal["precision", "recall", "f1"]) -> None:
        super().__init__(num_types)
        self.score = score

    def compute(self) -> Tensor:
        """The score."""
        scores: Scores = precision_recall_f1(*self.counts.sum(1).float())  # not double, unknown to Apple GPUs
        return getattr(scores, self.score)


class Tagger(Task):
    """Cross-entropy over the words' tags; a batch is `(Sentences, target)`, `forward(sentences)` gives (B, W, K).

    Metrics: precision, recall and f1 of exactly matched entities, micro-averaged over the types; only valid sequences
    of tags are decoded. The baseline searches for the names of the training split, the longest first.

    Args:
        tag_names: O, then B and I of each type.
        known_entities: names in the training split with their most frequent type, for the baseline.
        kwargs: as for Task.
    """

    default_monitor = "val/f1"

    def __init__(
        self, tag_names: Sequence[str], known_entities: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        self.tag_names = list(tag_names)
        self.types = [name.partition("-")[2] for name in self.tag_names[1::2]]
        super().__init__(**kwargs)
        self.known_entities = known_entities

    @property
    def supports_ensembling(self) -> bool:
        """Yes."""
        return True

    def mean_of(self, answers: Tensor) -> Tensor:
        """The logarithms of the mean probabilities, from the logits of several models, (M, …, K)."""
        return log_mean_probabilities(answers)

    def metrics(self) -> MetricCollection:
        """Precision, recall and F1 of entities."""
        names: tuple[Literal["precision", "recall", "f1"], ...] = ("precision", "recall", "f1")
        return MetricCollection({name: EntityScore(len(self.types), name) for name in names})

    def breakdown(self) -> dict[str, Metric]:
        """The entities of each type."""
        return {"entities": EntityCounts(len(self.types))}

    def results(self) -> Results:
        """Entities."""
        return EntityResults(self.entities_of_test)

    def entities_of_test(self, batch: Any, prediction: Tensor, target: Tensor) -> tuple[list[str], list[str], Tensor]:
        """Each sentence's true and predicted entities as texts, and how many are correct, predicted and true."""
        sentences, _ = batch
        true = self.entities(sentences, target)
        predicted = self.entities(sentences, valid_tags(prediction, sentences.word_mask))
        keys = [[{(e["start"], e["end"], e["type"]) for e in row} for row in rows] for rows in (predicted, true)]
        counts = [[len(one & other), len(one), len(other)] for one, other in zip(*keys, strict=True)]
        return [listed(row) for row in true], [listed(row) for row in predicted], torch.tensor(counts)

    def step(self, batch: Any) -> Step:
        """Cross-entropy of one batch's words."""
        sentences, target = batch
        scores = self(sentences)
        loss = F.cross_entropy(scores.flatten(0, 1).float(), target.flatten(), ignore_index=IGNORED)
        return Step(loss, scores, target, target.ne(IGNORED).sum())

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The names of the training split, where they are given."""
        return {"": self.looked_up} if self.known_entities is not None else {}

    def looked_up(self, batch: Any) -> Tensor:
        """The names of the training split that are found, the longest at each word."""
        sentences, target = batch
        assert self.known_entities is not None
        tags = torch.zeros(*target.shape, dtype=torch.long)
        max_length = max(map(len, self.known_entities), default=0)
        index_of = {name: index for index, name in enumerate(self.tag_names)}
        for row, (text, offsets, num_words) in enumerate(_rows(sentences)):
            word = 0
            while word < num_words:
                start = offsets[word][0]
                lasts = [last for last in range(word, num_words) if offsets[last][1] - start <= max_length]
                found = [last for last in lasts if text[start : offsets[last][1]] in self.known_entities]
                if not found:
                    word += 1
                    continue
                entity_type = self.known_entities[text[start : offsets[found[-1]][1]]]
                tags[row, word : found[-1] + 1] = index_of[f"I-{entity_type}"]
                tags[row, word] = index_of[f"B-{entity_type}"]
                word = found[-1] + 1
        return F.one_hot(tags, len(self.tag_names)).float().to(self.device) * 100

    def show_results(self, board: Board, outcomes: Outcomes | None = None) -> None:
        """Precision, recall and F1 of each type."""
        counts = self.tables["entities"]
        columns = [*precision_recall_f1(*counts), counts[2]]
        rows = [*zip(map(escape, self.types), *(column.tolist() for column in columns), strict=True)]
        board.text("entities", table(["type", "precision", "recall", "F1", "entities"], rows))

    def entities(self, sentences: Sentences, tags: Tensor) -> list[list[dict[str, Any]]]:
        """The entities of each sentence, with their positions in its text.

        Args:
            sentences: B of them.
            tags: (B, W), valid.
        """
        begins, types, ends = spans_of(tags.cpu())
        rows: list[list[dict[str, Any]]] = []
        for row, (text, offsets, _) in enumerate(_rows(sentences)):
            found = []
            for word in begins[row].nonzero()[:, 0].tolist():
                start, end = offsets[word][0], offsets[int(ends[row, word]) - 1][1]
                entity_type = self.types[int(types[row, word])]
                found.append({"text": text[start:end], "type": entity_type, "start": start, "end": end})
            rows.append(found)
        return rows

    def output_facts(self) -> dict[str, Any]:
        """Scores of the words' tags."""
        steps = "the tags of the highest total log-softmax among those in which every I follows a B or I of its type"
        return {"kind": "tags", "tags": self.tag_names, "steps": steps}

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each sentence's entities: text, type, and start and end in the sentence."""
        found = self.entities(batch, valid_tags(self(batch), batch.word_mask))
        return [
            {
                "text": text,
                "prediction": listed(entities),
                "entities": entities,
            }
            for text, entities in zip(batch.texts, found, strict=True)
        ]

    def show(self, batch: Any, board: Board) -> None:
        """The sentences whose entities are mistaken, worst first, with both; right ones, if all are."""
        sentences, target = batch
        step = self.step(batch)
        outcomes = self.outcomes(batch, step)
        chosen, all_right = mistakes(outcomes.worst(), outcomes[LOSS] == 0, MAX_TEXTS)
        true = self.entities(sentences, target)
        predicted = self.entities(sentences, valid_tags(step.prediction, sentences.word_mask))
        rows = [
            Tagged(sentences.texts[row], true[row], predicted[row], board.names[row] if board.names else "")
            for row in chosen
        ]
        board.figure("worst mistakes", tagged_texts(rows, self.types, all_right))
        cells = [
            [escape(text) for text in (row.text, listed(row.true), listed(row.predicted), row.origin)] for row in rows
        ]
        board.text("sentences", table(["sentence", "true", "predicted", "from"], cells))


def listed(entities: Sequence[Mapping[str, Any]]) -> str:
    """Entities as a text: `Anna (person); Rome (place)`."""
    return "; ".join(f"{entity['text']} ({entity['type']})" for entity in entities)


def _rows(sentences: Sentences) -> list[tuple[str, list[list[int]], int]]:
    """Each sentence's text, its words' offsets and their number."""
    return list(zip(sentences.texts, sentences.offsets.tolist(), sentences.num_words.tolist(), strict=True))

"""Named entity recognition: each word carries a tag, and the tags make entities."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection

from datamodules.tagging import IGNORED, Sentences
from lightning_modules.tasks.task import Board, Step, Task
from lightning_modules.tasks.texts import cell

SHOWN = 12  # sentences on the dashboard
COLOURS = "🟥🟦🟩🟨🟪🟧🟫⬛"


class Spans(NamedTuple):
    """The entities that tags make; at most one begins at a word.

    Args:
        begins: (B, W), true where one begins.
        types: (B, W), its type's number.
        ends: (B, W), the word after its last.
    """

    begins: Tensor
    types: Tensor
    ends: Tensor


def spans_of(tags: Tensor) -> Spans:
    """The entities of valid BIO tags: 0 is O, 1 + 2t begins an entity of type t, and 2 + 2t goes on with it.

    Args:
        tags: (B, W); negative where there is no word.
    """
    begins = (tags > 0) & (tags % 2 == 1)
    stops = ~((tags > 0) & (tags % 2 == 0))  # words that go on with nothing
    width = tags.shape[1]
    places = torch.arange(width, device=tags.device)
    stop = torch.where(stops, places, width)  # its own place where an entity cannot go on
    nearest = stop.flip(1).cummin(dim=1).values.flip(1)  # (B, W), the first such place from here on
    ends = F.pad(nearest[:, 1:], (0, 1), value=width)
    return Spans(begins, (tags - 1).div(2, rounding_mode="floor"), ends)


def valid_tags(scores: Tensor, mask: Tensor) -> Tensor:
    """The tags of the highest total score among those in which every I goes on with a B or I of its type.

    Viterbi 1967, https://doi.org/10.1109/TIT.1967.1054010, with transitions that are allowed or not.

    Args:
        scores: (B, W, K) of each tag.
        mask: (B, W), true where there is a word; a sentence's words come first.

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
    best = scores[:, 0] + forbidden[0]  # (B, K), a sentence begins as after an O
    origins = []
    for place in range(1, scores.shape[1]):
        through, origin = (best[:, :, None] + forbidden).max(dim=1)  # (B, K)
        here = mask[:, place, None]
        best = torch.where(here, through + scores[:, place], best)
        origins.append(torch.where(here, origin, torch.arange(size, device=scores.device)))
    tags = [best.argmax(-1)]
    for origin in reversed(origins):
        tags.append(origin.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1], dim=1).masked_fill(~mask, 0)


class EntityScore(Metric):
    """Counts entities whose words and type are all right, as the shared task of CoNLL-2003 does.

    Tjong Kim Sang & De Meulder 2003, https://aclanthology.org/W03-0419.
    """

    full_state_update = False
    higher_is_better = True
    right: Tensor
    predicted: Tensor
    true: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("right", "predicted", "true"):
            self.add_state(name, torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            preds: (B, W, K) scores of the tags.
            target: (B, W) tags, negative where there is no word.
        """
        found = spans_of(valid_tags(preds, target >= 0))
        wanted = spans_of(target)
        self.right += agreement(found, wanted).sum()
        self.predicted += found.begins.sum()
        self.true += wanted.begins.sum()


def agreement(found: Spans, wanted: Spans) -> Tensor:
    """(B, W), true where an entity begins that is the same in both."""
    same = (found.types == wanted.types) & (found.ends == wanted.ends)
    return found.begins & wanted.begins & same


class Precision(EntityScore):
    """Share of the predicted entities that are right; 0 where none is predicted."""

    def compute(self) -> Tensor:
        """The share."""
        return (self.right / self.predicted.clamp(min=1)).float()


class Recall(EntityScore):
    """Share of the true entities that are found; 0 where there is none."""

    def compute(self) -> Tensor:
        """The share."""
        return (self.right / self.true.clamp(min=1)).float()


class F1(EntityScore):
    """Harmonic mean of precision and recall over all entities (micro)."""

    def compute(self) -> Tensor:
        """The mean."""
        return (2 * self.right / (self.predicted + self.true).clamp(min=1)).float()


class Tagger(Task):
    """Cross-entropy over the words' tags; a batch is `(Sentences, target)`, `forward(sentences)` gives (B, W, K).

    Metrics: precision, recall and f1 of entities, exact, over all entities alike; tags are decoded so that they are
    valid. The baseline looks for the names of the training split, the longest first.

    Args:
        tag_names: O, then B and I of each type.
        known_entities: names in the training split with their most frequent type, for the baseline.
        kwargs: as for Task.
    """

    default_monitor = "val/f1"

    def __init__(
        self, tag_names: Sequence[str], known_entities: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.tag_names = list(tag_names)
        self.types = [name.partition("-")[2] for name in self.tag_names[1::2]]
        self.known_entities = known_entities

    @property
    def supports_ensembling(self) -> bool:
        """Yes."""
        return True

    def mean_of(self, answers: Tensor) -> Tensor:
        """The logarithms of the mean probabilities, from the logits of several models, (M, …, K)."""
        return answers.log_softmax(-1).logsumexp(0) - math.log(len(answers))

    def metrics(self) -> MetricCollection:
        """Precision, recall and F1 of entities."""
        return MetricCollection({"precision": Precision(), "recall": Recall(), "f1": F1()})

    def step(self, batch: Any) -> Step:
        """Cross-entropy of one batch's words."""
        sentences, target = batch
        scores = self(sentences)
        loss = F.cross_entropy(scores.flatten(0, 1).float(), target.flatten(), ignore_index=IGNORED)
        return Step(loss, scores, target, target.ne(IGNORED).sum())

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The names of the training split, where they are known."""
        return {"": self.looked_up} if self.known_entities is not None else {}

    def looked_up(self, batch: Any) -> Tensor:
        """The names of the training split looked up, the longest at each word."""
        sentences, target = batch
        assert self.known_entities is not None
        tags = torch.zeros(*target.shape, dtype=torch.long)
        longest = max(map(len, self.known_entities), default=0)
        code = {name: number for number, name in enumerate(self.tag_names)}
        for row, (text, offsets, size) in enumerate(_plain(sentences)):
            word = 0
            while word < size:
                start = offsets[word][0]
                ends = [last for last in range(word, size) if offsets[last][1] - start <= longest]
                found = [last for last in ends if text[start : offsets[last][1]] in self.known_entities]
                if not found:
                    word += 1
                    continue
                kind = self.known_entities[text[start : offsets[found[-1]][1]]]
                tags[row, word : found[-1] + 1] = code[f"I-{kind}"]
                tags[row, word] = code[f"B-{kind}"]
                word = found[-1] + 1
        return F.one_hot(tags, len(self.tag_names)).float().to(self.device) * 100

    def on_test_epoch_start(self) -> None:
        """Count, besides, each type's entities."""
        super().on_test_epoch_start()
        self.counts = torch.zeros(3, len(self.types), dtype=torch.long, device=self.device)

    def test_judged(self, step: Step) -> None:
        """Count the batch's right, predicted and true entities of each type."""
        found = spans_of(valid_tags(step.prediction, step.target >= 0))
        wanted = spans_of(step.target)
        cases = ((agreement(found, wanted), found), (found.begins, found), (wanted.begins, wanted))
        for row, (chosen, spans) in enumerate(cases):
            self.counts[row] += torch.bincount(spans.types[chosen], minlength=len(self.types))

    def on_test_epoch_end(self) -> None:
        """Log the test metrics; add up the counts."""
        super().on_test_epoch_end()
        self.counts = self.sum_of_processes(self.counts)

    def show_results(self, board: Board) -> None:
        """Precision, recall and F1 of each type."""
        lines = ["| type | precision | recall | F1 | entities |", "| --- | ---: | ---: | ---: | ---: |"]
        for kind, (right, predicted, true) in zip(self.types, self.counts.T.tolist(), strict=True):
            shares = (right / max(predicted, 1), right / max(true, 1), 2 * right / max(predicted + true, 1))
            lines.append(f"| {kind} | {' | '.join(f'{share:.3f}' for share in shares)} | {true} |")
        board.text("entities", "\n".join(lines))

    def entities(self, sentences: Sentences, tags: Tensor) -> list[list[dict[str, Any]]]:
        """The entities of each sentence, with their places in its text.

        Args:
            sentences: B of them.
            tags: (B, W), valid.
        """
        begins, types, ends = spans_of(tags.cpu())
        rows: list[list[dict[str, Any]]] = []
        for row, (text, offsets, _) in enumerate(_plain(sentences)):
            found = []
            for word in begins[row].nonzero()[:, 0].tolist():
                start, end = offsets[word][0], offsets[int(ends[row, word]) - 1][1]
                kind = self.types[int(types[row, word])]
                found.append({"text": text[start:end], "type": kind, "start": start, "end": end})
            rows.append(found)
        return rows

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each sentence's entities: text, type, and start and end in the sentence."""
        found = self.entities(batch, valid_tags(self(batch), batch.word_mask))
        return [
            {
                "text": text,
                "prediction": "; ".join(f"{entity['text']} ({entity['type']})" for entity in entities),
                "entities": entities,
            }
            for text, entities in zip(batch.texts, found, strict=True)
        ]

    def show(self, batch: Any, board: Board) -> None:
        """The first sentences, with the true entities and with those that the model finds."""
        sentences, target = batch
        tags = valid_tags(self(sentences), sentences.word_mask)
        found = self.entities(sentences, tags)
        wanted = self.entities(sentences, target)
        lines = [
            ", ".join(f"{self.colour(kind)} {kind}" for kind in self.types),
            "",
            "| true | predicted |",
            "| --- | --- |",
        ]
        for text, truth, guess in list(zip(sentences.texts, wanted, found, strict=True))[:SHOWN]:
            lines.append(f"| {self.marked(text, truth)} | {self.marked(text, guess)} |")
        board.text("sentences", "\n".join(lines))

    def colour(self, kind: str) -> str:
        """The sign that stands before the entities of a type."""
        return COLOURS[self.types.index(kind) % len(COLOURS)]

    def marked(self, text: str, entities: Sequence[Mapping[str, Any]]) -> str:
        """A sentence in Markdown with its entities in bold type, each after its type's colour."""
        parts, done = [], 0
        for entity in entities:
            name = cell(entity["text"])
            parts += [cell(text[done : entity["start"]]), f" {self.colour(entity['type'])} **{name}** "]
            done = entity["end"]
        return "".join([*parts, cell(text[done:])]).strip()


def _plain(sentences: Sentences) -> list[tuple[str, list[list[int]], int]]:
    """Each sentence's text, its words' places and their number."""
    return list(zip(sentences.texts, sentences.offsets.tolist(), sentences.num_words.tolist(), strict=True))

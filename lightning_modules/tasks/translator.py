"""Translation: a sentence in one language, generated token by token in another."""

import json
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from sacrebleu import BLEU, CHRF
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from datamodules.tokenizing.tokens import BEGIN, END, PAD, UNKNOWN, Text, token_id, tokenizer_from_json
from datamodules.translation import Pair, Scoring
from lightning_modules.tasks.decoding import State, beam_search, greedy
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.results.texts import TranslationResults
from lightning_modules.tasks.shows.translations import show_translations
from lightning_modules.tasks.task import Board, Step, Task


class TranslationScores(Metric):
    """Scores of translations against one reference each, by sacreBLEU.

    Corpus bleu (Papineni et al. 2002, https://aclanthology.org/P02-1040) and chrf, of character n-grams (Popović 2015,
    https://aclanthology.org/W15-3049), from 0 to 100; exact_match, from 0 to 1. torchmetrics' own BLEU is not smoothed,
    and its chrF averages F-scores instead of precisions and recalls: neither gives the published figures.

    Args:
        scoring: sacreBLEU's name of the tokenizer.
    """

    translations: list[Tensor]
    references: list[Tensor]

    def __init__(self, scoring: Scoring) -> None:
        super().__init__()
        self.bleu = BLEU(tokenize=scoring)
        self.chrf = CHRF()
        self.add_state("translations", [], dist_reduce_fx="cat")  # as bytes, which processes can gather
        self.add_state("references", [], dist_reduce_fx="cat")

    def update(self, preds: list[str], target: list[str]) -> None:
        """Add a batch."""
        self.translations.append(_as_bytes(preds).to(self.device))
        self.references.append(_as_bytes(target).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The three scores."""
        translations, references = _as_texts(self.translations), _as_texts(self.references)
        matches = sum(map(str.__eq__, translations, references))
        scores = {
            "bleu": self.bleu.corpus_score(translations, [references]).score,
            "chrf": self.chrf.corpus_score(translations, [references]).score,
            "exact_match": matches / len(references),
        }
        return {name: torch.tensor(value, device=self.device) for name, value in scores.items()}


def _as_bytes(texts: list[str]) -> Tensor:
    lines = "".join(text.replace("\n", " ") + "\n" for text in texts)
    return torch.frombuffer(bytearray(lines.encode()), dtype=torch.uint8)


def _as_texts(state: list[Tensor] | Tensor) -> list[str]:
    joined = state if isinstance(state, Tensor) else torch.cat(state)
    return bytes(joined.cpu().numpy()).decode().split("\n")[:-1]


class Translator(Task):
    """Cross-entropy of each token given those before it; a batch is `(Pair, references)`.

    `forward(pair)` gives (B, T, V) logits of the tokens after each token of the translation. Decoding calls
    `start(source)` once and `advance(tokens, state)` for each token. A validation reports the loss and the accuracy of
    each token given the true ones before it (teacher forcing); a test decodes and reports bleu, chrf and exact_match.
    The baseline copies the source.

    Args:
        source_tokenizer: as JSON.
        target_tokenizer: as JSON; if it is the same, a model may share the embeddings.
        scoring: sacreBLEU's tokenizer.
        label_smoothing: fraction of each training target that is distributed evenly over all tokens
            (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
        beams: hypotheses kept while decoding; 1 is greedy search.
        length_penalty: exponent of the length normalisation in beam search.
        max_ratio: maximum length of a translation as a multiple of the source's number of tokens, plus ten.
        kwargs: as for Task.
    """

    attends: ClassVar[str] = ""  # what `attention_weights` are

    def __init__(
        self,
        source_tokenizer: str,
        target_tokenizer: str,
        scoring: Scoring = "13a",
        label_smoothing: float = 0.1,
        beams: int = 4,
        length_penalty: float = 0.6,
        max_ratio: float = 2.0,
        **kwargs: Any,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"--model.label_smoothing: expected a fraction from 0 to below 1, got {label_smoothing}")
        self.source_tokenizer = tokenizer_from_json(source_tokenizer)
        self.target_tokenizer = tokenizer_from_json(target_tokenizer)
        self.source_padding = token_id(self.source_tokenizer, PAD)
        self.padding, self.begin, self.end, unknown = (
            token_id(self.target_tokenizer, token) for token in (PAD, BEGIN, END, UNKNOWN)
        )
        self.never = [self.padding, self.begin, unknown]
        self.num_source_tokens = self.source_tokenizer.get_vocab_size()
        self.num_target_tokens = self.target_tokenizer.get_vocab_size()
        super().__init__(**kwargs)
        self.one_vocabulary = source_tokenizer == target_tokenizer
        self.scoring = scoring
        self.label_smoothing = label_smoothing
        self.beams = beams
        self.length_penalty = length_penalty
        self.max_ratio = max_ratio

    @abstractmethod
    def forward(self, pair: Pair) -> Tensor:
        """Logits (B, T - 1, V) of the translation's second to last token, each given those before it."""

    @abstractmethod
    def start(self, source: Text) -> State:
        """The initial state of decoding: tensors whose first dimension is B."""

    @abstractmethod
    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (N, V) of the next token, given the newest ones (N,) and the state; and the new state."""

    def metrics(self) -> MetricCollection:
        """Accuracy of the next token, padding ignored."""
        accuracy = MulticlassAccuracy(
            self.num_target_tokens, average="micro", ignore_index=self.padding, validate_args=False
        )
        return MetricCollection({"accuracy": accuracy})

    def metrics_of_test(self) -> MetricCollection:
        """Scores of decoded translations."""
        return MetricCollection({"scores": TranslationScores(self.scoring)})

    def results(self) -> Results:
        """Translations."""
        return TranslationResults(BLEU(tokenize=self.scoring), CHRF())

    def units(self, target: str) -> dict[str, str]:
        """Of what sacreBLEU counts in hundredths."""
        return {"bleu": "of 100", "chrf": "of 100"}

    def step(self, batch: Any) -> Step:
        """Cross-entropy of a batch; label smoothing in training only, so that val/loss is a log-likelihood."""
        pair, _ = batch
        logits, target = self(pair), pair.target.ids[:, 1:]
        smoothing = self.label_smoothing if self.training else 0.0
        loss = F.cross_entropy(
            logits.flatten(0, 1), target.flatten(), ignore_index=self.padding, label_smoothing=smoothing
        )
        return Step(loss, logits.transpose(1, 2), target, target.ne(self.padding).sum())

    def answers_of_test(self, batch: Any, step: Step) -> tuple[list[str], list[str]]:
        """Translations and references."""
        pair, references = batch
        return self.translate(pair.source), references

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The source as it is."""
        return {"": lambda batch: self.sources(batch[0].source)}

    def attention_weights(self, pair: Pair) -> Tensor | None:
        """How much each token of the translation but the first attends to each of the source.

        (B, T - 1, S), whose rows sum to 1; None of a model without such weights.
        """
        return None

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Those of the data."""
        return data.baselines()

    def translate(self, source: Text) -> list[str]:
        """The translations of a batch, by greedy or beam search."""
        return self.target_tokenizer.decode_batch(self.search(source))

    @torch.no_grad()
    def search(self, source: Text) -> list[list[int]]:
        """The tokens of a batch's translations, without begin and end, by greedy or beam search."""

        def advance(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            logits, state = self.advance(tokens, state)
            return logits.float().index_fill(-1, never, -torch.inf), state

        never = torch.tensor(self.never, device=self.device)
        max_lengths = (source.lengths * self.max_ratio).long() + 10
        state = self.start(source)
        if self.beams == 1:
            return greedy(advance, state, self.begin, self.end, max_lengths)
        return beam_search(advance, state, self.begin, self.end, max_lengths, self.beams, self.length_penalty)

    def sources(self, source: Text) -> list[str]:
        """The sources of a batch as texts."""
        rows = zip(source.ids.tolist(), source.lengths.tolist(), strict=True)
        return self.source_tokenizer.decode_batch([ids[:length] for ids, length in rows])

    def output_facts(self) -> dict[str, Any]:
        """Logits of the next token, and the settings of the beam search."""
        search = {"beams": self.beams, "length_penalty": self.length_penalty, "max_ratio": self.max_ratio}
        tokens = {"begin": self.begin, "end": self.end, "never": self.never}
        return {"kind": "tokens", "tokenizer": json.loads(self.target_tokenizer.to_str()), **search, **tokens}

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Each sentence's translation."""
        source = batch.source if isinstance(batch, Pair) else batch
        return [{"prediction": text} for text in self.translate(source)]

    def show(self, batch: Any, board: Board) -> None:
        """The worst translations first, and what the tokens of a few of them attend to."""
        show_translations(self, batch, board)

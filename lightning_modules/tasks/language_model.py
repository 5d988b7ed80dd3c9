"""Language models: the next token of a text, given those before it."""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from datamodules.loading.sampling import generator
from datamodules.synthetic.conversations import CHECKED, is_right_answer, judged_questions, right_answer
from datamodules.synthetic.grammars import GRAMMARS, Grammar
from datamodules.tokenizing.chat_template import ChatTemplate
from datamodules.tokenizing.coloured import first_answers
from datamodules.tokenizing.language import prompt_tokens
from datamodules.tokenizing.packed import IGNORED, Packed
from datamodules.tokenizing.tokens import Text, tokenizer_from_json
from lightning_modules.tasks.boards import FIRST_BATCH, escape, table
from lightning_modules.tasks.next_token import nats_of_tokens, summed_nats
from lightning_modules.tasks.pictures.learned import learned_texts
from lightning_modules.tasks.results.language import LanguageResults
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.sampling import GREEDY, Sampling, continued
from lightning_modules.tasks.task import Board, Step, Task

NATS, RIGHT = 0, 1  # columns of a prediction: of each row, the sum over its targets
BYTES, TARGETS = 0, 1  # columns of a target
SHOWN = Sampling(temperature=0.8, top_p=0.95)  # how these are chosen
SAMPLES = 4  # texts that are shown as training goes on
AT_ONCE = 64  # prompts that are continued together
JUDGED = 128  # texts, or answers, of embedded data


class Ratio(Metric):
    """The ratio of a prediction's column to a target's, summed over all rows.

    Args:
        over: the column of the prediction.
        under: the column of the target.
        of: makes the metric of the ratio.
    """

    over_sum: Tensor
    under_sum: Tensor

    def __init__(self, over: int, under: int, of: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.over, self.under, self.of = over, under, of
        for name in ("over_sum", "under_sum"):
            self.add_state(name, torch.zeros(2), dist_reduce_fx="sum")  # a sum, and what rounding has lost of it

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the rows of a batch, (B, 2) each."""
        for name, value in (("over_sum", preds[:, self.over]), ("under_sum", target[:, self.under])):
            setattr(self, name, _added(getattr(self, name), value.sum()))

    def compute(self) -> Tensor:
        """The metric of all rows."""
        return self.of(self.over_sum.sum() / self.under_sum.sum())


def _added(pair: Tensor, value: Tensor) -> Tensor:
    """A sum with a further value, in 32 bits, which Apple's GPUs have no more than (Kahan 1965)."""
    exact = value.float() + pair[1]
    total = pair[0] + exact
    return torch.stack([total, exact - (total - pair[0])])


def bits_per_byte(nats_per_byte: Tensor) -> Tensor:
    """From nats to bits."""
    return nats_per_byte / math.log(2)


class LanguageModel(Task):
    """Cross-entropy of each token given those before it in its document; a batch is Packed.

    `forward` gives features (B, T, D), and `head` the weights (V, D) that make logits of them. The loss is the mean
    over the targets of the whole optimizer step. `bits_per_byte` is the cross-entropy for each byte of the text: it
    compares models of different tokenizers and languages. The trivial baseline takes each byte for equally probable.

    Args:
        num_tokens: V, the size of the vocabulary.
        tokenizer_json: the tokenizer.
        end: the token after a document.
        begin: the token before a document; None where it has none.
        chat_template: of conversations, in jinja2; empty where there is none.
        window: T, maximum number of tokens of a row of the data.
        checked: the embedded data whose texts can be judged: a test reports how many of those that the model writes
            are valid, and how many are right; empty for other data.
        prompts: texts that are continued, or questions that are answered, as training goes on; without any, texts from
            their beginning, or questions of the validation split.
        new_tokens: maximum number of tokens that follow a prompt.
        temperature: of predictions; 0 for the most probable tokens.
        top_p: choose among the most probable tokens whose probabilities sum to this.
        kwargs: as for Task.
    """

    default_monitor = "val/bits_per_byte"
    lower_is_better = frozenset({"loss", "bits_per_byte", "perplexity"})
    head_names = ("lm_head",)
    has_new_weights: bool  # before training

    def __init__(
        self,
        num_tokens: int,
        tokenizer_json: str,
        end: int,
        begin: int | None = None,
        chat_template: str = "",
        window: int = 256,
        checked: str = "",
        prompts: Sequence[str] = (),
        new_tokens: int = 100,
        temperature: float = 0.0,
        top_p: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_tokens = num_tokens
        self.tokenizer_json = tokenizer_json
        self.begin = begin
        self.end = end
        self.chat_template = chat_template
        self.window = window
        self.checked = checked
        self.prompts = list(prompts)
        self.new_tokens = new_tokens
        self.sampling = Sampling(temperature, top_p=top_p).check("--model.")

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, to which the letters of special tokens are text."""
        tokenizer = tokenizer_from_json(self.tokenizer_json)
        tokenizer.encode_special_tokens = True
        return tokenizer

    @cached_property
    def template(self) -> ChatTemplate | None:
        """What makes tokens of a conversation; None of a model that continues texts."""
        if not self.chat_template:
            return None
        return ChatTemplate(self.chat_template, self.tokenizer_json, self.begin, self.end)

    @property
    def stop_tokens(self) -> list[int]:
        """The tokens that end a text, the usual one first."""
        return [self.end] if self.template is None else self.template.stop_ids

    @property
    @abstractmethod
    def max_positions(self) -> int:
        """Number of tokens that the model knows positions of."""

    @property
    @abstractmethod
    def head(self) -> Tensor:
        """The weights (V, D) that features of a token become logits of the next one by."""

    @abstractmethod
    def forward(self, batch: Packed) -> Tensor:
        """Features (B, T, D) of each token, given those before it in its document."""

    @abstractmethod
    def start(self, rows: int, size: int) -> Any:
        """Empty caches of so many rows, with room for so many tokens."""

    @abstractmethod
    def advance(self, ids: Tensor, places: Tensor, caches: Any) -> Tensor:
        """Logits (B, T, V) after new tokens at their places, (B, T); the caches are written."""

    def metrics(self) -> MetricCollection:
        """Bits per byte, perplexity and the accuracy of the next token."""
        return MetricCollection(
            {
                "bits_per_byte": Ratio(NATS, BYTES, bits_per_byte),
                "perplexity": Ratio(NATS, TARGETS, torch.exp),
                "accuracy": Ratio(RIGHT, TARGETS, torch.clone),
            },
            compute_groups=False,
        )

    def results(self) -> Results:
        """Each row's text, and how well it was predicted."""
        return LanguageResults(self.text_of)

    def step(self, batch: Any) -> Step:
        """The mean cross-entropy in nats; in evaluation also that of each row."""
        states, targets = self(batch).flatten(0, 1), batch.targets.flatten()
        counts = batch.targets.ne(IGNORED).sum(1)
        total = counts.sum()
        if torch.is_grad_enabled():
            loss = summed_nats(states, self.head, targets) / total.clamp(min=1)
            return Step(loss, batch.num_bytes, batch.num_bytes, total)
        nats, right = nats_of_tokens(states, self.head, targets)
        rows = [each.view_as(batch.targets).float().sum(1) for each in (nats, right)]
        target = torch.stack([batch.num_bytes, counts], dim=1).float()
        return Step(rows[0].sum() / total.clamp(min=1), torch.stack(rows, dim=1), target, total)

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Each byte equally probable: 8 bits per byte."""
        return {"": lambda batch: self.of_learned(batch.num_bytes * math.log(256), batch)}

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Those of the data."""
        return data.baselines()

    def of_learned(self, output: Any, batch: Packed) -> Any:
        """Nats of each row, (B,), as the metrics accept them; which tokens are right is not told."""
        nats = output.float().to(self.device)  # on the CPU: an Apple GPU knows no 64 bits
        return torch.stack([nats, torch.full_like(nats, torch.nan)], dim=1)

    def text_of(self, batch: Packed) -> list[str]:
        """The text of each row's targets, special tokens visible."""
        return self.with_special([row[row != IGNORED].tolist() for row in batch.targets])

    def prompt_of(self, text: str) -> list[int]:
        """The tokens that a continuation of a text begins with."""
        return prompt_tokens(self.tokenizer.encode(text, add_special_tokens=False).ids, self.begin, self.end)

    def continuations(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling = GREEDY, seed: int = 0
    ) -> list[list[int]]:
        """The tokens that follow prompts; the global random state is neither read nor changed."""
        found: list[list[int]] = []
        training = self.training
        self.eval()
        for place in range(0, len(prompts), AT_ONCE):
            part = prompts[place : place + AT_ONCE]
            random = generator(seed, place)
            found += continued(self, part, self.new_tokens, self.stop_tokens, sampling, random, self.device)
        self.train(training)
        return found

    def on_test_epoch_end(self) -> None:
        """Log the metrics, and of embedded data how much of what the model writes is as it should be."""
        super().on_test_epoch_end()
        if self.checked in GRAMMARS:
            self.log_dict(self.judged_texts(GRAMMARS[self.checked]))
        elif self.checked in CHECKED:
            self.log_dict(self.judged_answers())

    def judged_texts(self, grammar: Grammar) -> dict[str, float]:
        """How many of the texts that the model writes are valid, and how many that it completes are right.

        The baseline of the first are bytes at random, and of the second the most frequent of all ends.
        """
        free = self.continuations([self.prompt_of("")] * JUDGED, Sampling(temperature=1.0))
        texts = self.tokenizer.decode_batch(free)
        prompts = grammar.prompts("test", JUDGED, 0)
        ends = self.tokenizer.decode_batch(self.continuations([self.prompt_of(text) for text, _ in prompts]))
        right = sum(grammar.is_right(text + end) for (text, _), end in zip(prompts, ends, strict=True))
        usual = Counter(end for _, end in grammar.prompts("train", 10 * JUDGED, 0)).most_common(1)[0][0]
        return {
            "test/valid_texts": sum(map(grammar.is_valid, texts)) / len(texts),
            "test/right_texts": right / len(prompts),
            "baseline/valid_texts": 0.0,
            "baseline/right_texts": sum(grammar.is_right(text + usual) for text, _ in prompts) / len(prompts),
        }

    def judged_answers(self) -> dict[str, float]:
        """How many of the model's answers are right; the baseline is the most frequent of all right ones."""
        assert self.template is not None
        asked = judged_questions(JUDGED, 0)
        prompts = [self.template.render(messages) for messages in asked]
        answers = self.tokenizer.decode_batch(self.continuations(prompts))
        usual = Counter(map(right_answer, judged_questions(JUDGED, 1))).most_common(1)[0][0] or ""
        return {
            "test/right_answers": sum(map(is_right_answer, asked, answers)) / len(asked),
            "baseline/right_answers": sum(is_right_answer(messages, usual) for messages in asked) / len(asked),
        }

    def predict_step(self, batch: Text, batch_idx: int = 0) -> list[dict[str, Any]]:
        """What follows each prompt."""
        prompts = [ids[:length] for ids, length in zip(batch.ids.tolist(), batch.lengths.tolist(), strict=True)]
        return [
            {"prediction": text} for text in self.tokenizer.decode_batch(self.continuations(prompts, self.sampling))
        ]

    def show_first(self, batch: Packed, board: Board) -> None:
        """The texts, those tokens coloured that are to be learned."""
        board.figure(FIRST_BATCH, learned_texts({"": batch}, self.tokenizer))

    def show(self, batch: Any, board: Board) -> None:
        """Texts that the model writes: from the prompts that are given, from questions of the batch, or from nothing.

        A model with a chat template answers; beside its answers to questions of the batch stand the right ones.
        """
        expected: list[str] = []
        if self.prompts:
            asked = [self.prompt_of(text) if self.template is None else self.question_of(text) for text in self.prompts]
        elif self.template is None:
            asked = [self.prompt_of("")] * SAMPLES
        else:
            found = first_answers(batch, SAMPLES)
            asked, expected = [prompt for prompt, _ in found], self.with_special([answer for _, answer in found])
        columns = [self.with_special(asked), self.with_special(self.continuations(asked, SHOWN))]
        header = ["prompt", "continuation"]
        if expected:
            columns, header = [*columns, expected], [*header, "right"]
        board.text("samples", table(header, [[*map(escape, cells)] for cells in zip(*columns, strict=True)]))

    def question_of(self, text: str) -> list[int]:
        """The tokens that an answer to a question follows."""
        assert self.template is not None
        return self.template.render([{"role": "user", "content": text}], add_generation_prompt=True)

    def with_special(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Texts of tokens, special ones visible."""
        return self.tokenizer.decode_batch([[*each] for each in tokens], skip_special_tokens=False)

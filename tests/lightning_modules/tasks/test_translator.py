"""Decoding, scores and loss of translators, against the definitions."""

import itertools
import math
from typing import Any

import pytest
import sacrebleu
import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair, Scoring, Translation
from lightning_modules.seq2seq import Seq2Seq
from lightning_modules.tasks.decoding import State, beam_search, greedy
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.translator import TranslationScores, Translator
from lightning_modules.torch_transformer import TorchTransformer
from lightning_modules.transformer import Transformer
from tests.helpers.recorded_board import RecordedBoard

BEGIN, END, SIZE = 0, 1, 5
MODELS: dict[type[Translator], dict[str, Any]] = {
    Seq2Seq: {},
    Transformer: {"num_layers": 1},
    TorchTransformer: {"num_layers": 1},
}


class Chain:
    """A language in which the next token depends on the last two: what is probable at first may end badly.

    Args:
        seed: of the probabilities; each sentence has its own.
    """

    def __init__(self, seed: int, sentences: int = 6) -> None:
        random = torch.Generator().manual_seed(seed)
        self.logits = 2 * torch.randn(sentences, SIZE, SIZE, SIZE, generator=random)
        self.logits[..., BEGIN] = -torch.inf

    def start(self) -> tuple[Tensor, Tensor]:
        return torch.arange(len(self.logits)), torch.full((len(self.logits),), BEGIN)

    def advance(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        sentence, before = state
        return self.logits[sentence, before, tokens], (sentence, tokens)

    def score(self, sentence: int, tokens: list[int], length_penalty: float) -> float:
        total, before, last = 0.0, BEGIN, BEGIN
        for token in [*tokens, END]:
            total += float(self.logits[sentence, before, last].log_softmax(-1)[token])
            before, last = last, token
        return total / ((5 + len(tokens) + 1) / 6) ** length_penalty


@pytest.mark.parametrize("seed", range(10))
def test_one_beam_equals_greedy_search(seed: int) -> None:
    chain = Chain(seed)
    max_lengths = torch.tensor([1, 3, 8, 8, 20, 20])
    found = greedy(chain.advance, chain.start(), BEGIN, END, max_lengths)
    assert beam_search(chain.advance, chain.start(), BEGIN, END, max_lengths, 1, 0.6) == found
    assert all(len(tokens) <= limit for tokens, limit in zip(found, max_lengths.tolist(), strict=True))
    assert len({tuple(tokens) for tokens in found}) > 1


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_with_enough_beams_the_best_of_all_sentences_is_found(length_penalty: float) -> None:
    chain = Chain(7)
    everything = [list(t) for n in range(4) for t in itertools.product(range(2, SIZE), repeat=n)]
    chain.logits[:, 2:, 2:, 2:] -= 20  # more than two tokens are next to impossible
    found = beam_search(chain.advance, chain.start(), BEGIN, END, torch.full((6,), 10), 81, length_penalty)
    for sentence, tokens in enumerate(found):
        best = max(everything, key=lambda tokens: chain.score(sentence, tokens, length_penalty))
        assert tokens == best
    assert len({tuple(tokens) for tokens in found}) > 2
    assert found != greedy(chain.advance, chain.start(), BEGIN, END, torch.full((6,), 10))  # which is not so easy


@pytest.mark.parametrize("seed", range(5))
def test_more_beams_find_more_probable_sentences(seed: int) -> None:
    chain, max_lengths = Chain(seed), torch.full((6,), 30)
    narrow, wide = (beam_search(chain.advance, chain.start(), BEGIN, END, max_lengths, beams, 0.0) for beams in (1, 20))
    scores = [[chain.score(n, tokens, 0.0) for n, tokens in enumerate(found)] for found in (narrow, wide)]
    assert sum(scores[1]) >= sum(scores[0])


def test_a_sentence_is_decoded_independently_of_others() -> None:
    chain, max_lengths = Chain(3), torch.tensor([2, 9, 9, 4, 9, 9])
    together = beam_search(chain.advance, chain.start(), BEGIN, END, max_lengths, 3, 0.6)
    for row in range(6):
        state = tuple(part[row : row + 1] for part in chain.start())
        assert beam_search(chain.advance, state, BEGIN, END, max_lengths[row : row + 1], 3, 0.6) == [together[row]]


ENGLISH = (
    ["A man sits on a bench .", "Two dogs, running in the snow!", "It costs 3.50 dollars.", ""],
    ["A man is sitting on a bench.", "Two dogs, running in the snow!", "It costs 3.50 euros.", "Nothing was found."],
)
CHINESE = (["我有三本书。", "今天天气很好", "iPhone手机"], ["我有三本书。", "今天的天气好", "iPhone 手机"])


@pytest.mark.parametrize(("scoring", "texts"), [("13a", ENGLISH), ("zh", CHINESE), ("char", CHINESE)])
def test_scores_are_sacrebleus(scoring: Scoring, texts: tuple[list[str], list[str]]) -> None:
    ours, theirs = texts
    metric = TranslationScores(scoring)
    for first in range(0, len(ours), 2):  # in two batches
        metric.update(ours[first : first + 2], theirs[first : first + 2])
    scores = metric.compute()
    assert float(scores["bleu"]) == pytest.approx(sacrebleu.corpus_bleu(ours, [theirs], tokenize=scoring).score)
    assert float(scores["chrf"]) == pytest.approx(sacrebleu.corpus_chrf(ours, [theirs]).score)
    assert float(scores["exact_match"]) == pytest.approx(1 / len(ours))


def test_bleu_of_a_case_computed_by_hand() -> None:
    metric = TranslationScores("13a")
    metric.update(["the cat sat on the mat"], ["the cat sat on the red mat"])
    # Of its words, pairs, threes and fours 6 of 6, 4 of 5, 3 of 4 and 2 of 3 are in the reference; it is a word short.
    precision = (6 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25
    assert float(metric.compute()["bleu"]) == pytest.approx(100 * precision * math.exp(1 - 7 / 6), rel=1e-5)


def test_chinese_cut_as_english_would_score_nothing() -> None:
    right, wrong = TranslationScores("zh"), TranslationScores("13a")
    for metric in (right, wrong):
        metric.update(*CHINESE)
    assert right.compute()["bleu"] > 60 > 40 > wrong.compute()["bleu"]


@pytest.fixture(scope="module")
def data() -> Translation:
    data = Translation(num_phrases=300, batch_size=6)
    data.setup()
    return data


def model(data: Translation, cls: type[Translator], **options: Any) -> Translator:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {name: getattr(data, name) for name in data.provides}
    return cls(**sizes, hidden_size=16, **MODELS[cls], **options).eval()


def batch_of(data: Translation, size: int) -> tuple[Pair, list[str]]:
    assert data.splits is not None
    return data.examples(data.splits.test)[torch.arange(size)]


@pytest.mark.parametrize("cls", MODELS)
def test_beam_search_of_models_with_one_beam_is_greedy_search(data: Translation, cls: type[Translator]) -> None:
    pair, _ = batch_of(data, 8)
    network = model(data, cls, beams=1)
    never, max_lengths = torch.tensor(network.never), (2 * pair.source.lengths).long() + 10

    def advance(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        logits, state = network.advance(tokens, state)
        return logits.index_fill(-1, never, -torch.inf), state

    with torch.no_grad():
        found = beam_search(advance, network.start(pair.source), network.begin, network.end, max_lengths, 1, 0.6)
    assert network.target_tokenizer.decode_batch(found) == network.translate(pair.source)
    network.beams = 4
    assert len(network.translate(pair.source)) == 8


@pytest.mark.parametrize("cls", MODELS)
def test_a_translation_does_not_depend_on_the_batch(data: Translation, cls: type[Translator]) -> None:
    pair, _ = batch_of(data, 5)
    network = model(data, cls)
    together = network.translate(pair.source)
    for row, length in enumerate(pair.source.lengths):
        alone = Text(pair.source.ids[row : row + 1, :length], length[None])
        assert network.translate(alone) == [together[row]]


@pytest.mark.parametrize("cls", MODELS)
def test_the_loss_ignores_padding_and_is_smoothed_in_training_only(data: Translation, cls: type[Translator]) -> None:
    pair, references = batch_of(data, 4)
    network = model(data, cls, dropout=0.0, label_smoothing=0.2)
    logits, target = network(pair).log_softmax(-1), pair.target.ids[:, 1:]
    right = torch.cat([logits[row, : n - 1].gather(1, target[row, : n - 1, None]) for row, n in
                       enumerate(pair.target.lengths.tolist())])  # fmt: skip
    uniform = torch.cat([logits[row, : n - 1].mean(-1) for row, n in enumerate(pair.target.lengths.tolist())])
    torch.testing.assert_close(network.step((pair, references)).loss, -right.mean())
    smoothed = -(0.8 * right.mean() + 0.2 * uniform.mean())
    torch.testing.assert_close(network.train().step((pair, references)).loss, smoothed)
    longer = Pair(pair.source, Text(F.pad(pair.target.ids, (0, 3)), pair.target.lengths))
    torch.testing.assert_close(network.step((longer, references)).loss, smoothed)


def test_the_accuracy_ignores_padding(data: Translation) -> None:
    network = model(data, Seq2Seq)
    metrics = network.metrics()
    target = torch.tensor([[5, 6, 6], [5, 0, 0]])  # 0 is padding
    predicted = torch.tensor([[5, 6, 7], [5, 5, 5]])
    metrics.update(F.one_hot(predicted, network.num_target_tokens).float().transpose(1, 2), target)
    assert float(metrics.compute()["accuracy"]) == 3 / 4


@pytest.mark.parametrize("cls", MODELS)
def test_shows_translations_worst_first_and_what_their_tokens_attend_to(data: Translation, cls: Any) -> None:
    batch = pair, references = batch_of(data, 5)
    network, board = model(data, cls), RecordedBoard()
    board.names = [f"pairs.tsv:{row}" for row in range(5)]
    random = torch.get_rng_state()
    with style():
        network.show(batch, board)
    assert torch.equal(torch.get_rng_state(), random)
    header, _, *rows = board.texts["translations"].splitlines()
    assert header == "| chrF | source | translation | reference | from |"
    shown = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    scores = [float(row[0]) for row in shown]
    assert scores == sorted(scores)
    for score, source, translation, reference, origin in shown:
        row = int(origin.removeprefix("pairs.tsv:"))
        assert (source, reference) == (network.sources(pair.source)[row], references[row])
        assert float(score) == pytest.approx(sacrebleu.sentence_chrf(translation, [reference]).score, abs=0.06)
    texts = [text.get_text() for text in board.figures["worst translations"].axes[0].texts]
    assert [text for text in texts if "chrF" in text] == [f"chrF {row[0]} · {row[4]}" for row in shown]
    maps = board.figures["attention"].axes
    assert len(maps) == 3
    assert [label.get_text() for label in maps[0].get_xticklabels()][-1] == "[EOS]"
    for axes in maps:
        weights = torch.as_tensor(axes.images[0].get_array())
        assert weights.shape == (len(axes.get_yticks()), len(axes.get_xticks()))


@pytest.mark.parametrize("cls", MODELS)
def test_attention_to_the_source_sums_to_one_and_is_zero_on_padding(data: Translation, cls: Any) -> None:
    pair, _ = batch_of(data, 6)
    network = model(data, cls)
    weights: Any = network.attention_weights(pair)
    assert weights.shape == (6, pair.target.ids.shape[1] - 1, pair.source.ids.shape[1])
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    assert (weights.transpose(1, 2)[~pair.source.mask] == 0).all()
    assert (~pair.source.mask).any()
    assert network(pair).isfinite().all()
    assert not any(module._forward_hooks for module in network.modules())


def test_a_translator_without_attention_shows_its_translations_alone(data: Translation) -> None:
    network, board = model(data, Seq2Seq), RecordedBoard()
    network.attention_weights = lambda pair: None  # type: ignore[method-assign]
    network.show(batch_of(data, 3), board)
    assert board.figures.keys() == {"worst translations"}


def test_refuses_a_smoothing_out_of_range(data: Translation) -> None:
    with pytest.raises(ValueError, match=r"--model.label_smoothing: expected a fraction from 0 to below 1, got 1"):
        model(data, Seq2Seq, label_smoothing=1.0)

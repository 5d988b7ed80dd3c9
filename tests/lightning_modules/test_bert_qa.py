import random
import re
import string
from collections import Counter
from typing import Any

import pytest
import torch

from datamodules.reading import Answers, Reading
from lightning_modules.bert_qa import BertQA
from lightning_modules.tasks.answers import exact_match, f1, is_chinese, longest_run, parts
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.reader import AnswerScore, References, best_spans
from lightning_modules.tasks.sentences import likeliest_sentence
from tests.helpers.recorded_board import RecordedBoard
from tests.helpers.splits import take


@pytest.mark.parametrize(
    ("answer", "right", "em", "score"),
    [
        ("Denver Broncos", ["Denver Broncos"], 1, 1),
        ("the Denver Broncos!", ["denver broncos"], 1, 1),  # case, articles and punctuation do not matter
        ("Broncos", ["Denver Broncos"], 0, 2 / 3),
        ("Denver Broncos of 2015", ["Denver Broncos", "Broncos"], 0, 2 / 3),  # the nearest of several
        ("Broncos Denver", ["Denver Broncos"], 0, 1),  # the words' order does not count
        ("a a a b", ["a b b"], 0, 2 / 3),  # articles go: b against b b
        ("x x y", ["x y y"], 0, 2 / 3),  # as often as in both
        ("Berlin", ["Rome"], 0, 0),
        ("", ["Rome"], 0, 0),
        ("", [], 1, 1),  # rightly no answer
        ("Rome", [], 0, 0),
        ("U.S.", ["US"], 1, 1),
        ("theatre", ["re at"], 0, 0),  # an article within a word stays
    ],
)
def test_english_answers(answer: str, right: list[str], em: float, score: float) -> None:
    assert exact_match(answer, right) == em
    assert f1(answer, right) == pytest.approx(score)


@pytest.mark.parametrize(
    ("answer", "right", "em", "score"),
    [
        ("北京市", ["北京市"], 1, 1),
        ("《北京》。", ["北京"], 1, 1),  # punctuation does not matter
        ("北京", ["北京市"], 0, 0.8),
        ("在北京市", ["北京市", "上海"], 0, 6 / 7),
        ("北市京", ["北京市"], 0, 1 / 3),  # the longest run counts, not single characters
        ("iPhone 手机", ["iphone手机"], 1, 1),  # words of Latin letters are compared whole
        ("iPhone手机", ["iPad手机"], 0, 2 / 3),
        ("上海", ["北京"], 0, 0),
        ("", ["北京"], 0, 0),
        ("", [], 1, 1),
        ("1,000元", ["1000元"], 1, 0.4),
    ],
)
def test_chinese_answers(answer: str, right: list[str], em: float, score: float) -> None:
    assert exact_match(answer, right, chinese=True) == em
    assert f1(answer, right, chinese=True) == pytest.approx(score)


def squad_scores(answer: str, right: list[str]) -> tuple[float, float]:
    """SQuAD's definition, written down once more in its own order of steps."""

    def words(text: str) -> list[str]:
        text = "".join(" " if sign == "\0" else sign for sign in text.lower() if sign not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    scores = []
    for text in right:
        mine, theirs = words(answer), words(text)
        same = sum((Counter(mine) & Counter(theirs)).values())
        if not mine or not theirs:
            score = float(mine == theirs)
        elif same == 0:
            score = 0.0
        else:
            precision, recall = same / len(mine), same / len(theirs)
            score = 2 * precision * recall / (precision + recall)
        scores.append((float(" ".join(mine) == " ".join(theirs)), score))
    return max(em for em, _ in scores), max(score for _, score in scores)


def cmrc_scores(answer: str, right: list[str]) -> tuple[float, float]:
    """CMRC 2018's definition for texts of Chinese characters and signs: the longest common substring."""
    signs = set("，。：？！“”；’《》……·、「」（）－～『』")

    def clean(text: str) -> str:
        return "".join(sign for sign in text.lower().strip() if sign not in signs)

    scores = []
    for text in right:
        mine, theirs = clean(answer), clean(text)
        pieces = [mine[a:b] for a in range(len(mine)) for b in range(a, len(mine) + 1)]
        same = max((len(piece) for piece in pieces if piece in theirs), default=0)
        score = 0.0
        if same:
            precision, recall = same / len(mine), same / len(theirs)
            score = 2 * precision * recall / (precision + recall)
        scores.append((float(mine == theirs), score))
    return max(em for em, _ in scores), max(score for _, score in scores)


def test_scores_equal_the_official_definitions_on_random_answers() -> None:
    draw = random.Random(0)
    for _ in range(500):
        english = [
            " ".join(draw.choices(["the", "A", "cat,", "Cat", "dog", "an", "x-y", "B."], k=draw.randint(1, 5)))
            for _ in range(3)
        ]
        assert (exact_match(english[0], english[1:]), f1(english[0], english[1:])) == pytest.approx(
            squad_scores(english[0], english[1:])
        )
        chinese = ["甲" + "".join(draw.choices("甲乙丙丁，。《》", k=draw.randint(0, 6))) for _ in range(3)]
        assert (exact_match(chinese[0], chinese[1:], True), f1(chinese[0], chinese[1:], True)) == pytest.approx(
            cmrc_scores(chinese[0], chinese[1:])
        )


def test_parts_and_runs() -> None:
    assert parts("《Tom的猫》 v2.0!", chinese=True) == ["tom", "的", "猫", "v2", "0"]
    assert longest_run("abcde", "xbcdy") == 3
    assert longest_run("", "abc") == 0
    assert is_chinese("他用iPhone打电话给我")
    assert not is_chinese("The sign 北 means north")


def test_the_likeliest_sentence() -> None:
    text = "Ulm is old. The cat of Mr. Berg is black! Where is it?"
    assert likeliest_sentence("Is the cat black?", text, chinese=False) == "Berg is black!"
    assert likeliest_sentence("Ulm old?", text, chinese=False) == "Ulm is old."
    assert (
        likeliest_sentence("谁住在上海？", "他住在北京。她住在上海！他们不住在一起。", chinese=True) == "她住在上海！"
    )
    assert likeliest_sentence("x", "", chinese=False) == ""


def test_scores_are_means_over_questions() -> None:
    answers = ["a x", "北京", "", "y"]
    references = [References(["x"], False), References(["北京市"], True), References([], False), References([], False)]
    metrics = (AnswerScore(exact_match), AnswerScore(f1))
    for metric in metrics:
        metric.update(answers[:1], references[:1])
        metric.update(answers[1:], references[1:])
    assert [float(metric.compute()) for metric in metrics] == pytest.approx([0.5, (1 + 0.8 + 1 + 0) / 4])


def test_the_best_span_is_that_of_all_pairs() -> None:
    torch.manual_seed(0)
    scores = torch.randn(40, 2, 9)
    scores[:, :, 7:] = -torch.inf  # padding
    scores[::2, :, 0] = -torch.inf  # there is an answer
    for longest in (1, 3, 30):
        spans, best = best_spans(scores, longest)
        for row in range(40):
            pairs = {(-1, -1): float(scores[row, :, 0].sum())}
            for first in range(6):
                for last in range(first, min(first + longest, 6)):
                    pairs[first, last] = float(scores[row, 0, first + 1] + scores[row, 1, last + 1])
            expected = max(pairs, key=pairs.__getitem__)
            assert tuple(spans[row].tolist()) == expected
            assert float(best[row]) == pytest.approx(pairs[expected], abs=1e-5)


@pytest.fixture(scope="module")
def data() -> Reading:
    data = Reading(num_contexts=20, batch_size=4, max_length=40, stride=8)
    data.setup()
    return data


@pytest.fixture(scope="module")
def model(data: Reading) -> BertQA:
    torch.manual_seed(0)
    sizes = {name: getattr(data, name) for name in data.provides}
    return BertQA(**sizes, hidden_size=16, num_layers=1, num_heads=2).eval()


def test_padding_and_other_questions_change_nothing(data: Reading, model: BertQA) -> None:
    index = torch.arange(12)
    passages, answers = take(data, "train", index)
    assert len(passages.ids) > len(index), "contexts take several windows"
    with torch.no_grad():
        together = model.scores(passages)
        losses = []
        for row in index.tolist():
            alone, right = take(data, "train", [row])
            size = int(alone.num_tokens[0]) + 1
            torch.testing.assert_close(model.scores(alone)[0], together[row, :, :size], atol=1e-5, rtol=1e-4)
            losses.append(model.step((alone, right)).loss)
        torch.testing.assert_close(model.step((passages, answers)).loss, torch.stack(losses).mean())


def test_the_loss_is_the_cross_entropy_of_start_and_end(data: Reading, model: BertQA) -> None:
    passages, answers = take(data, "train", torch.arange(8))
    with torch.no_grad():
        loss, scores, spans, _ = model.step((passages, answers))
    log = scores.log_softmax(-1)
    expected = [
        -(log[row, 0, first + 1] + log[row, 1, last + 1]) / 2 for row, (first, last) in enumerate(spans.tolist())
    ]
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    torch.testing.assert_close(log.exp().sum(-1), torch.ones(8, 2))


def test_a_question_with_an_answer_at_an_unknown_position_has_no_loss(data: Reading, model: BertQA) -> None:
    passages, answers = take(data, "train", torch.arange(4))
    spans = answers.spans.clone()
    spans[1] = -100
    rest, right = take(data, "train", torch.tensor([0, 2, 3]))
    with torch.no_grad():
        some = model.step((passages, Answers(spans, answers.texts))).loss
        torch.testing.assert_close(some, model.step((rest, right)).loss)
        assert float(model.step((passages, Answers(torch.full_like(spans, -100), answers.texts))).loss) == 0


def test_where_every_question_has_an_answer_one_is_always_given(data: Reading) -> None:
    sizes = {name: getattr(data, name) for name in data.provides} | {"unanswerable": False}
    model = BertQA(**sizes, hidden_size=16, num_layers=1, num_heads=2).eval()
    with torch.no_grad():
        model.head.bias.fill_(0)
        batch = take(data, "train", torch.arange(12))
        rows = model.predict_step(batch[0])
        assert model.step(batch).loss.isfinite()
    assert all(row["prediction"] for row in rows)


def test_predictions_are_places_in_the_context(data: Reading, model: BertQA) -> None:
    passages, _ = take(data, "train", torch.arange(12))
    with torch.no_grad():
        rows = model.predict_step(passages)
    for row, question, context in zip(rows, passages.questions, passages.contexts, strict=True):
        assert row["question"] == question
        assert 0 <= row["probability"] <= 1
        if row["start"] >= 0:
            assert context[row["start"] : row["end"]] == row["prediction"] != ""
        else:
            assert row["prediction"] == ""


def test_the_right_scores_give_the_right_answers(data: Reading, model: BertQA) -> None:
    passages, answers = take(data, "train", torch.arange(12))
    scores = torch.full((12, 2, passages.first.shape[1] + 1), -50.0)
    for row, (first, last) in enumerate(answers.spans.tolist()):
        scores[row, 0, first + 1] = scores[row, 1, last + 1] = 50.0
    texts = [text for text, _, _ in model.extract(passages, scores)]
    assert texts == [right[0] if right else "" for right in answers.texts]
    references = model.references((passages, answers))
    assert all(exact_match(text, *each) for text, each in zip(texts, references, strict=True))


def test_shows_wrong_answers_alone_worst_first(data: Reading, model: BertQA, monkeypatch: pytest.MonkeyPatch) -> None:
    board = RecordedBoard()
    batch = passages, answers = take(data, "train", torch.arange(12))
    board.names = [f"q.json:{row}" for row in range(12)]
    scores = torch.full((12, 2, passages.first.shape[1] + 1), -50.0)
    for row, (first, last) in enumerate(answers.spans.tolist()):
        scores[row, 0, first + 1] = scores[row, 1, last + 1] = 50.0
    known = [row for row in range(12) if answers.texts[row]]
    wrong = known[-2:]
    scores[wrong[1]] = -50.0
    scores[wrong[1], :, 0] = 50.0  # no answer
    scores[wrong[0], 0] = -50.0
    scores[wrong[0], 0, int(answers.spans[wrong[0], 0]) - 1] = 50.0  # two tokens too many
    monkeypatch.setattr(model, "forward", lambda _: scores)
    with style():
        model.show(batch, board)
    header, _, *lines = board.texts["answers"].splitlines()
    assert header == "| question | true | predicted | from |"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    order = [wrong[1], wrong[0]]
    assert [row[3] for row in cells] == [f"q.json:{row}" for row in order]
    assert [row[0] for row in cells] == [passages.questions[row] for row in order]
    assert cells[0][2] == "no answer"
    assert cells[1][2].endswith(answers.texts[wrong[0]][0])
    texts = [text.get_text() for text in board.figures["worst mistakes"].axes[0].texts]
    assert texts[0] == "2 wrong answers, worst first"
    assert "no answer" in texts


def test_a_checkpoint_needs_no_pretrained_folder(data: Reading, model: BertQA) -> None:
    checkpoint: dict[str, Any] = {}
    model.on_save_checkpoint(checkpoint)
    sizes = {name: getattr(data, name) for name in data.provides}
    again = BertQA(**sizes, **checkpoint["rebuild"]).eval()
    again.load_state_dict(model.state_dict())
    passages, _ = take(data, "train", torch.arange(3))
    torch.testing.assert_close(again(passages), model(passages))


def test_the_overlap_changes_nothing_at_first_and_is_learned(data: Reading, model: BertQA) -> None:
    passages, _ = batch = take(data, "train", torch.arange(4))
    with torch.no_grad():
        before = model(passages)
        model.near.weight += 1
        assert not torch.allclose(model(passages), before)
        model.near.weight.zero_()
    fresh = BertQA(**{name: getattr(data, name) for name in data.provides}, hidden_size=16, num_layers=1, num_heads=2)
    assert not fresh.near.weight.any(), "a pretrained encoder first reads the embeddings that it knows"
    fresh.step(batch).loss.backward()
    assert fresh.near.weight.grad is not None
    assert fresh.near.weight.grad.any()


def test_attention_weights_are_never_dropped(data: Reading) -> None:
    model = BertQA(**{name: getattr(data, name) for name in data.provides}, hidden_size=16, num_heads=2, dropout=0.5)
    assert {layer.attention_dropout for layer in model.encoder.modules() if hasattr(layer, "attention_dropout")} == {0}

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from datamodules.files.entities import entities_of
from datamodules.tagging import Sentences, Tagging
from lightning_modules.bert_ner import BertNER
from lightning_modules.tasks.pictures.figure import style
from lightning_modules.tasks.pictures.texts import ALL_RIGHT
from lightning_modules.tasks.tagger import EntityCounts, EntityScore, spans_of, valid_tags
from tests.helpers.recorded_board import RecordedBoard
from tests.helpers.splits import take

TAGS = ["O", "B-a", "I-a", "B-b", "I-b"]


def tagged(*sentences: str) -> torch.Tensor:
    width = max(len(sentence.split()) for sentence in sentences)
    rows = [[TAGS.index(tag) for tag in sentence.split()] for sentence in sentences]
    return torch.tensor([row + [-100] * (width - len(row)) for row in rows])


def certain(tags: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(tags.clamp(min=0), len(TAGS)).float() * 50


def scores(predicted: torch.Tensor, true: torch.Tensor) -> tuple[float, float, float]:
    metrics = (EntityScore(2, "precision"), EntityScore(2, "recall"), EntityScore(2, "f1"))
    for metric in metrics:
        metric.update(certain(predicted), true)
    return tuple(float(metric.compute()) for metric in metrics)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("predicted", "true", "expected"),
    [
        (["O B-a I-a O"], ["O B-a I-a O"], (1, 1, 1)),
        (["O B-a I-a O"], ["O B-a O O"], (0, 0, 0)),  # too long
        (["O B-a O O"], ["O B-a I-a O"], (0, 0, 0)),  # too short
        (["O B-b I-b O"], ["O B-a I-a O"], (0, 0, 0)),  # another type
        (["B-a I-a O O"], ["B-a B-a O O"], (0, 0, 0)),  # one instead of two
        (["B-a B-a O O"], ["B-a I-a O B-b"], (0, 0, 0)),
        (["B-a O O O", "B-b I-b O O"], ["B-a O O B-b", "B-b I-b"], (1, 2 / 3, 0.8)),
        (["O O O O"], ["B-a O B-b O"], (0, 0, 0)),
        (["B-a O B-b O"], ["O O B-b O"], (0.5, 1, 2 / 3)),
        (["O O O"], ["O O O"], (0, 0, 0)),  # there is nothing to find: by convention 0, never a division by zero
        (["B-a I-a B-a I-a"], ["B-a I-a B-a I-a"], (1, 1, 1)),
        (["B-a I-a I-a B-b"], ["B-a I-a I-a"], (1, 1, 1)),  # what is found in the padding does not count
    ],
)
def test_scores_of_hand_made_cases(predicted: list[str], true: list[str], expected: tuple[float, float, float]) -> None:
    width = max(len(sentence.split()) for sentence in predicted + true)
    pad = torch.full((len(true), width), -100)
    target = tagged(*true)
    pad[:, : target.shape[1]] = target
    assert scores(tagged(*predicted), pad) == pytest.approx(expected)


def test_scores_equal_the_definition_on_sets_of_entities() -> None:
    draw = random.Random(0)
    found: set[Any] = set()
    expected_entities: set[Any] = set()
    predicted, true = [], []
    for row in range(300):
        size = draw.randint(1, 9)
        pair = []
        for entities in (found, expected_entities):
            tags = ["O"]
            for _ in range(size):
                inside = [f"I-{tags[-1][2:]}"] * 3 if tags[-1] != "O" else []
                tags.append(draw.choice(["O", "O", "B-a", "B-b", *inside]))
            words = [(n, n + 1) for n in range(size)]
            entities |= {(row, *entity) for entity in entities_of(tags[1:], words)}
            pair.append([TAGS.index(tag) for tag in tags[1:]] + [-100] * (9 - size))
        predicted.append(pair[0])
        true.append(pair[1])
    right = len(found & expected_entities)
    precision, recall = right / len(found), right / len(expected_entities)
    expected = (precision, recall, 2 * precision * recall / (precision + recall))
    assert scores(torch.tensor(predicted), torch.tensor(true)) == pytest.approx(expected)


def test_scores_add_up_over_batches() -> None:
    metric = EntityScore(2, "f1")
    metric.update(certain(tagged("B-a O")), tagged("B-a O"))
    metric.update(certain(tagged("O O O")), tagged("B-a B-a B-b"))
    assert float(metric.compute()) == pytest.approx(2 * 1 / (1 + 4))


def test_spans_are_those_of_the_tags() -> None:
    spans = spans_of(tagged("B-a I-a B-a O B-b I-b", "O O B-b"))
    found = [
        (row, word, int(spans.types[row, word]), int(spans.ends[row, word]))
        for row, word in spans.begins.nonzero().tolist()
    ]
    assert found == [(0, 0, 0, 2), (0, 2, 0, 3), (0, 4, 1, 6), (1, 2, 1, 3)]


def test_decoded_tags_are_the_best_valid_ones() -> None:
    torch.manual_seed(0)
    size, width = len(TAGS), 5

    def valid(tags: list[int]) -> bool:
        before = [0, *tags]
        return all(
            not (tag and tag % 2 == 0) or previous in (tag - 1, tag)
            for previous, tag in zip(before, tags, strict=False)
        )

    everything = torch.cartesian_prod(*[torch.arange(size)] * width)
    allowed = [tags for tags in everything.tolist() if valid(tags)]
    assert len(allowed) < len(everything)
    logits = 2 * torch.randn(20, width, size)
    lengths = torch.arange(20) % width + 1
    mask = torch.arange(width) < lengths[:, None]
    decoded = valid_tags(logits, mask)
    for row in range(20):
        length = int(lengths[row])
        log = logits[row].log_softmax(-1)
        best = max(allowed, key=lambda tags: sum(float(log[n, tags[n]]) for n in range(length)))
        assert decoded[row, :length].tolist() == best[:length]
        assert not decoded[row, length:].any()


@pytest.fixture(scope="module")
def data() -> Tagging:
    data = Tagging(num_sentences=60, batch_size=8, max_length=16)
    data.setup()
    return data


@pytest.fixture(scope="module")
def model(data: Tagging) -> BertNER:
    torch.manual_seed(0)
    sizes = {name: getattr(data, name) for name in data.provides}
    return BertNER(**sizes, hidden_size=16, num_layers=1, num_heads=2).eval()


def alone(data: Tagging, index: int) -> tuple[Any, Tensor]:
    return take(data, "train", [index])


def training_rows(data: Tagging, count: int) -> list[int]:
    assert data.splits is not None
    return data.splits.train[:count].tolist()


def test_padding_and_other_sentences_change_nothing(data: Tagging, model: BertNER) -> None:
    index = torch.arange(12)
    sentences, target = take(data, "train", index)
    assert len(sentences.ids) > len(index), "some sentences take several pieces"
    with torch.no_grad():
        together = model(sentences)
        for row in index.tolist():
            single, _ = alone(data, row)
            size = int(single.num_words[0])
            torch.testing.assert_close(model(single)[0], together[row, :size], atol=1e-5, rtol=1e-4)
    assert (target[~sentences.word_mask] == -100).all()


def test_the_loss_is_that_of_the_words_alone(data: Tagging, model: BertNER) -> None:
    batch = take(data, "train", torch.arange(6))
    with torch.no_grad():
        loss, logits, target, _ = model.step(batch)
    words = target >= 0
    expected = torch.nn.functional.cross_entropy(logits[words], target[words])
    torch.testing.assert_close(loss, expected)


def test_predictions_are_places_in_the_text(data: Tagging, model: BertNER) -> None:
    sentences, target = take(data, "train", torch.arange(10))
    rows = model.predict_step(sentences)
    assert len(rows) == 10
    found = model.entities(sentences, target)
    for row, entities, index in zip(rows, found, training_rows(data, 10), strict=True):
        sentence = data.sentences[index]
        assert row["text"] == sentence.text
        assert [(e["start"], e["end"], e["type"]) for e in entities] == sentence.entities
        for entity in [*row["entities"], *entities]:
            assert sentence.text[entity["start"] : entity["end"]] == entity["text"]


def test_the_baseline_looks_up_the_names_of_the_training_split(data: Tagging, model: BertNER) -> None:
    sentences, target = take(data, "train", torch.arange(20))
    metric = EntityScore(len(data.entity_types), "recall")
    metric.update(model.looked_up((sentences, target)), target)
    assert float(metric.compute()) > 0.8  # some names are of two types
    sentences, target = take(data, "test", torch.arange(12))
    metric = EntityScore(len(data.entity_types), "recall")
    metric.update(model.looked_up((sentences, target)), target)
    assert float(metric.compute()) == 0  # none was ever seen


def test_the_baseline_takes_the_longest_name() -> None:
    model = BertNER(10, TAGS, {"New York": "a", "New York Times": "b", "北京": "a"}, hidden_size=8, num_heads=2)
    text = "The New York Times 北京"
    offsets = [[0, 3], [4, 7], [8, 12], [13, 18], [19, 20], [20, 21]]
    none = torch.zeros(1, 1, dtype=torch.long)
    sentences = Sentences(none, none[0], none, torch.tensor([6]), torch.tensor([offsets]), [text])
    tags = model.looked_up((sentences, torch.zeros(1, 6)))
    assert tags.argmax(-1)[0].tolist() == [0, 3, 4, 4, 1, 2]


def test_shows_sentences_with_mistakes_alone_worst_first(
    data: Tagging, model: BertNER, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = RecordedBoard()
    batch = sentences, target = take(data, "train", torch.arange(8))
    board.names = [f"names.bio:{row}" for row in range(8)]
    scores = torch.nn.functional.one_hot(target.clamp(min=0), len(data.tag_names)).float() * 50
    scores[2] = scores[5] = 0
    scores[2, :, 0] = scores[5, :, 0] = 50.0  # without an entity
    monkeypatch.setattr(model, "forward", lambda _: scores)
    with style():
        model.show(batch, board)
    names = {row: [e["text"] for e in model.entities(sentences, target)[row]] for row in (2, 5)}
    order = sorted(names, key=lambda row: -len(names[row]))
    header, _, *lines = board.texts["sentences"].splitlines()
    assert header == "| sentence | true | predicted | from |"
    assert [line.split("|")[-2].strip() for line in lines] == [f"names.bio:{row}" for row in order]
    for line, row in zip(lines, order, strict=True):
        assert all(name in line.split("|")[2] for name in names[row])
        assert not line.split("|")[3].strip()
    captions = [
        text.get_text() for text in board.figures["worst mistakes"].axes[0].texts if "names.bio" in text.get_text()
    ]
    assert captions == [f"{len(names[row])} missing · names.bio:{row}" for row in order]


def test_says_that_there_is_no_mistake(data: Tagging, model: BertNER, monkeypatch: pytest.MonkeyPatch) -> None:
    board = RecordedBoard()
    batch = _, target = take(data, "train", torch.arange(3))
    scores = torch.nn.functional.one_hot(target.clamp(min=0), len(data.tag_names)) * 50.0
    monkeypatch.setattr(model, "forward", lambda _: scores)
    with style():
        model.show(batch, board)
    assert board.figures["worst mistakes"].axes[0].texts[0].get_text() == ALL_RIGHT
    assert len(board.texts["sentences"].splitlines()) == 2 + 3


def test_shows_the_scores_of_each_type(data: Tagging, model: BertNER) -> None:
    board = RecordedBoard()
    names = [data.sentences[n].text[s:e] for n in training_rows(data, 8) for s, e, _ in data.sentences[n].entities]
    counts = EntityCounts(len(data.entity_types))
    step = model.step(take(data, "train", torch.arange(8)))
    counts.update(step.prediction, step.target)
    model.tables = {"entities": counts.compute()}
    model.show_results(board)
    assert int(model.tables["entities"][2].sum()) == len(names)
    assert all(kind in board.texts["entities"] for kind in data.entity_types)


def test_a_pretrained_model_is_loaded_and_needs_no_folder_once_saved(data: Tagging, tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=data.num_tokens, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    pretrained = BertModel(config)
    pretrained.save_pretrained(tmp_path / "模型")
    sizes = {name: getattr(data, name) for name in data.provides}
    model = BertNER(**sizes, pretrained=str(tmp_path / "模型")).eval()
    torch.testing.assert_close(model.encoder.get_input_embeddings().weight, pretrained.get_input_embeddings().weight)
    checkpoint: dict[str, Any] = {}
    model.on_save_checkpoint(checkpoint)
    again = BertNER(**sizes, **checkpoint["rebuild"]).eval()
    again.load_state_dict(model.state_dict())
    sentences, _ = alone(data, 0)
    torch.testing.assert_close(again(sentences), model(sentences))


def test_a_pretrained_model_that_does_not_fit_is_refused_in_one_line(data: Tagging, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--model.pretrained .*nothing: no model there") as caught:
        BertNER(10, TAGS, pretrained=str(tmp_path / "nothing"))
    assert "\n" not in str(caught.value)
    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=32
    )
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"reads at most 32 tokens"):
        BertNER(10, TAGS, pretrained=str(tmp_path), max_length=64)
    with pytest.raises(ValueError, match=r"its vocabulary has 20 tokens, the data's 30"):
        BertNER(30, TAGS, pretrained=str(tmp_path), max_length=16)
    with pytest.raises(ValueError, match=r"--model.hidden_size 10 and --model.num_heads 4"):
        BertNER(30, TAGS, hidden_size=10)

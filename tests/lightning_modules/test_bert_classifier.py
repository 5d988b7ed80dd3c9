from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, ModernBertModel

from datamodules.text import TextClassification
from datamodules.tokenizing.tokens import Ragged, Text
from lightning_modules.bert_classifier import BertClassifier
from lightning_modules.layers.calls import calls_of

LENGTHS = [5, 2, 9, 3]


@pytest.fixture
def text() -> Text:
    torch.manual_seed(0)
    return Ragged([torch.randint(1, 30, (length,)).tolist() for length in LENGTHS]).padded(torch.arange(4), 0)


def small(**options: Any) -> BertClassifier:
    torch.manual_seed(1)
    return BertClassifier(30, 3, hidden_size=8, num_heads=2, max_length=16, **options)


def test_padding_changes_nothing(text: Text) -> None:
    model = small().eval()
    together = model(text)
    for row, length in enumerate(LENGTHS):
        alone = Text(text.ids[row : row + 1, :length], text.lengths[row : row + 1])
        torch.testing.assert_close(model(alone)[0], together[row], atol=1e-6, rtol=1e-5)


def test_equals_transformers_own_classifier_of_the_same_weights(text: Text, tmp_path: Path) -> None:
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    config.num_labels = 3
    theirs: Any = BertForSequenceClassification(config).eval()
    theirs.bert.save_pretrained(tmp_path)
    ours = small(pretrained=str(tmp_path)).eval()
    ours.head[0].load_state_dict(theirs.bert.pooler.dense.state_dict())
    ours.head[3].load_state_dict(theirs.classifier.state_dict())
    expected = theirs(input_ids=text.ids, attention_mask=text.mask.long()).logits
    torch.testing.assert_close(ours(text), expected, atol=1e-6, rtol=1e-5)


def test_a_model_with_fresh_weights_says_that_it_is_a_small_modernbert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small(num_layers=3)
    assert type(model.encoder) is ModernBertModel
    assert capsys.readouterr().err == (
        "note: without --model.pretrained a small ModernBERT of 3 layers and 8 features is trained from fresh weights "
        "(https://arxiv.org/abs/2412.13663)\n"
    )
    checkpoint: dict[str, Any] = {}
    model.on_save_checkpoint(checkpoint)
    small(**checkpoint["rebuild"])
    model.encoder.save_pretrained(tmp_path)
    small(pretrained=str(tmp_path))
    assert "note:" not in capsys.readouterr().err


def test_every_weight_gets_a_gradient(text: Text) -> None:
    model = small()
    model.step((text, torch.tensor([0, 1, 2, 0]))).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_a_checkpoint_builds_the_encoder_without_its_folder(text: Text) -> None:
    model = small(num_layers=3).eval()
    checkpoint: dict[str, Any] = {}
    model.on_save_checkpoint(checkpoint)
    again = small(**checkpoint["rebuild"]).eval()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(text), model(text))


def test_a_pretrained_encoder_has_its_dropout_in_training(text: Text, tmp_path: Path) -> None:
    BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    ).save_pretrained(tmp_path)
    BertModel(BertConfig.from_pretrained(tmp_path)).save_pretrained(tmp_path)
    model = small(pretrained=str(tmp_path))
    assert all(module.training for module in model.modules())
    assert not torch.equal(model(text), model(text))


def test_a_pretrained_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no model there"):
        small(pretrained="no/such model")


def test_a_pretrained_model_reads_its_own_tokens(minilm: str) -> None:
    data = TextClassification(num_reviews=40, tokenizer=minilm, batch_size=4)
    data.setup()
    assert data.num_tokens == 30522
    text, target = next(iter(data.val_dataloader()))
    names = data.token_names
    assert {names[index] for index in text.ids[:, 0].tolist()} == {"[CLS]"}
    assert {names[index] for index in text.ids[torch.arange(len(target)), text.lengths - 1].tolist()} == {"[SEP]"}
    model = BertClassifier(data.num_tokens, 2, pretrained=minilm, padding=data.padding).eval()
    assert model.encoder.config.num_hidden_layers == 6
    with torch.no_grad():
        assert model(text).shape == (len(target), 2)
    with pytest.raises(ValueError, match=r"--data\.max_length 4000.*at most 512"):
        BertClassifier(data.num_tokens, 2, pretrained=minilm, max_length=4000)


@pytest.mark.parametrize("pretrained", [False, True])
def test_attention_of_the_first_token_sums_to_one_and_changes_nothing(
    text: Text, pretrained: bool, tmp_path: Path
) -> None:
    if pretrained:
        config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2)
        BertModel(config).save_pretrained(tmp_path)
    model = small(pretrained=str(tmp_path) if pretrained else None).eval()
    with torch.inference_mode():
        before = model(text)
        weights = model.attention_weights(text)
        assert torch.equal(model(text), before)
    assert weights is not None
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert (weights[~text.mask] == 0).all()
    assert (weights[text.mask] > 0).all()


def test_attention_of_the_first_token_is_the_mean_of_the_last_layers_heads(text: Text, tmp_path: Path) -> None:
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2)
    BertModel(config).save_pretrained(tmp_path)
    model = small(pretrained=str(tmp_path)).eval()
    encoder: Any = model.encoder
    last = encoder.encoder.layer[-1].attention.self
    with calls_of(last) as calls:
        model(text)
    states = calls[0].args[0] if calls[0].args else calls[0].kwargs["hidden_states"]
    query, key = (part(states).unflatten(-1, (2, 4)).transpose(1, 2) for part in (last.query, last.key))
    scores = (query[:, :, :1] @ key.mT / 2).squeeze(2).masked_fill(~text.mask[:, None], -torch.inf)
    torch.testing.assert_close(model.attention_weights(text), scores.softmax(-1).mean(1))

import pytest
import torch

from datamodules.tokenizing.tokens import Ragged, Text
from lightning_modules.attention_rnn import AttentionPooling, AttentionRNN, BidirectionalLSTM

LENGTHS = [5, 1, 9, 3]


@pytest.fixture
def text() -> Text:
    torch.manual_seed(0)
    return Ragged([torch.randint(1, 30, (length,)).tolist() for length in LENGTHS]).padded(torch.arange(4), 0)


@pytest.fixture
def model() -> AttentionRNN:
    torch.manual_seed(1)
    return AttentionRNN(30, 3, embedding_size=8, hidden_size=6, num_layers=2, dropout=0.5, token_dropout=0.5).eval()


def test_padded_and_packed_sequences_give_the_same_states_and_gradients() -> None:
    torch.manual_seed(0)
    lstm = BidirectionalLSTM(4, 3, num_layers=2)
    x, lengths = torch.randn(5, 7, 4), torch.tensor([7, 1, 3, 6, 2])
    mask = (torch.arange(7) < lengths[:, None]).unsqueeze(-1)
    x = x.masked_fill(~mask, 100.0)  # what is in the padding must not matter
    padded, packed = lstm.padded(x, lengths) * mask, lstm.packed(x, lengths) * mask
    torch.testing.assert_close(padded, packed)
    gradients = [torch.autograd.grad(states.square().sum(), list(lstm.parameters())) for states in (padded, packed)]
    torch.testing.assert_close(*gradients)


def test_attention_weights_sum_to_one_and_are_zero_on_padding(text: Text, model: AttentionRNN) -> None:
    weights = model.attention_weights(text)
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    assert (weights[~text.mask] == 0).all()
    assert (weights[text.mask] > 0).all()


def test_the_pooled_state_is_the_mean_with_these_weights() -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(4)
    states, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [True, True, True]])
    pooled, weights = pooling(states, mask)
    for row in range(2):
        scores = [pooling.score(torch.tanh(pooling.project(h))).exp() for h in states[row][mask[row]]]
        expected = torch.cat([score / sum(scores) for score in scores])
        torch.testing.assert_close(weights[row][mask[row]], expected)
        torch.testing.assert_close(pooled[row], expected @ states[row][mask[row]])


def test_padding_changes_nothing(text: Text, model: AttentionRNN) -> None:
    together = model(text)
    for row, length in enumerate(LENGTHS):
        alone = Text(text.ids[row : row + 1, :length], text.lengths[row : row + 1])
        torch.testing.assert_close(model(alone)[0], together[row])


def test_the_order_of_words_matters(text: Text, model: AttentionRNN) -> None:
    rotated = text._replace(ids=torch.where(text.mask, text.ids.roll(1, dims=1), 0))
    rotated.ids[:, 0] = text.ids[torch.arange(4), text.lengths - 1]
    logits, rotated_logits = model(text), model(rotated)
    torch.testing.assert_close(logits[1], rotated_logits[1])  # a single word
    assert not torch.allclose(logits[2], rotated_logits[2])


def test_dropping_tokens_happens_in_training_alone(text: Text, model: AttentionRNN) -> None:
    torch.testing.assert_close(model(text), model(text))
    model.dropout.p = 0.0
    model.lstm.lstm.dropout = 0.0
    model.train()
    assert not torch.allclose(model(text), model(text))


def test_predictions_name_the_tokens_with_the_highest_weights(text: Text, model: AttentionRNN) -> None:
    model.token_names = [f"字{index}" for index in range(30)]
    with torch.no_grad():
        rows = model.predict_step(text)
        _, weights = model.attend(text)
    for row, length in enumerate(LENGTHS):
        heavy = rows[row]["attention"]
        assert len(heavy) == min(5, length)
        assert heavy[0]["weight"] == pytest.approx(float(weights[row].max()), abs=1e-4)
        assert heavy[0]["place"] == int(weights[row].argmax())
        assert heavy[0]["token"] == f"字{int(text.ids[row, heavy[0]['place']])}"

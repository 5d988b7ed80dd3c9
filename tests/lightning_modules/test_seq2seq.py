from typing import Any

import pytest
import torch
from torch import nn

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair, Translation
from lightning_modules.seq2seq import AdditiveAttention, Encoder, Seq2Seq
from tests.helpers.splits import take


@pytest.fixture(scope="module")
def data() -> Translation:
    data = Translation(num_phrases=200, batch_size=6)
    data.setup()
    return data


@pytest.fixture(scope="module")
def pair(data: Translation) -> Pair:
    pair, _ = take(data, "test", torch.arange(7))
    assert len(pair.source.lengths.unique()) > 1
    return pair


def model(data: Translation, **options: Any) -> Seq2Seq:
    torch.manual_seed(0)
    return Seq2Seq(**{name: getattr(data, name) for name in data.provides}, hidden_size=12, **options)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_packed_and_unpacked_agree(pair: Pair, num_layers: int) -> None:
    torch.manual_seed(0)
    encoder = Encoder(nn.Embedding(int(pair.source.ids.max()) + 1, 12), num_layers, 0.3).eval()
    features, last = encoder(pair.source)
    for row, length in enumerate(pair.source.lengths.tolist()):
        alone, ends = encoder.gru(encoder.embedding(pair.source.ids[row : row + 1, :length]))
        torch.testing.assert_close(features[row, :length], alone[0])
        torch.testing.assert_close(last[row], torch.cat([ends[-2, 0], ends[-1, 0]]))
        assert features[row, length:].abs().sum() == 0
        torch.testing.assert_close(last[row, :6], alone[0, -1, :6])  # forwards the last, backwards the first
        torch.testing.assert_close(last[row, 6:], alone[0, 0, 6:])


def test_attention_equals_the_formula_and_ignores_padding() -> None:
    attention = AdditiveAttention(6)
    h, memory = torch.randn(2, 6), torch.randn(2, 5, 6)
    mask = torch.arange(5) < torch.tensor([5, 3])[:, None]
    context, weights = attention(h, attention.key(memory), memory, mask)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2))
    assert weights[1, 3:].tolist() == [0, 0]
    for row, length in ((0, 5), (1, 3)):
        scores = [attention.score(torch.tanh(attention.query(h[row]) + attention.key(m))) for m in memory[row, :length]]
        expected = torch.cat(scores).softmax(0)
        torch.testing.assert_close(weights[row, :length], expected)
        torch.testing.assert_close(context[row], expected @ memory[row, :length])


def test_padding_changes_nothing(data: Translation, pair: Pair) -> None:
    network = model(data).eval()
    together = network(pair)
    for row in range(len(pair.source.ids)):
        source, target = pair.source.lengths[row], pair.target.lengths[row]
        alone = Pair(
            Text(pair.source.ids[row : row + 1, :source], source[None]),
            Text(pair.target.ids[row : row + 1, :target], target[None]),
        )
        torch.testing.assert_close(network(alone)[0], together[row, : target - 1], atol=1e-5, rtol=1e-4)


def test_the_future_is_hidden(data: Translation, pair: Pair) -> None:
    network = model(data).eval()
    before = network(pair)
    ids = pair.target.ids.clone()
    ids[:, 4] = (ids[:, 4] + 1) % 20
    after = network(pair._replace(target=pair.target._replace(ids=ids)))
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.isclose(after[:, 4], before[:, 4]).all()


def test_decoding_one_token_at_a_time_gives_the_same_logits(data: Translation, pair: Pair) -> None:
    network = model(data).eval()
    expected = network(pair)
    state = network.start(pair.source)
    for step in range(expected.shape[1]):
        logits, state = network.advance(pair.target.ids[:, step], state)
        torch.testing.assert_close(logits, expected[:, step], atol=1e-5, rtol=1e-4)


def test_without_teacher_forcing_only_its_own_tokens_count(data: Translation, pair: Pair) -> None:
    network = model(data, teacher_forcing=0.0, dropout=0.0)
    other = pair.target.ids.clone()
    other[:, 1:] = (other[:, 1:] + 3) % 20  # the first token is given in any case
    changed = pair._replace(target=pair.target._replace(ids=other))
    torch.testing.assert_close(network.train()(pair), network(changed))
    network.teacher_forcing = 1.0
    assert not torch.isclose(network(pair), network(changed)).all()
    network.teacher_forcing = 0.0
    network.eval()  # where it is always judged by the right ones before
    assert not torch.isclose(network(pair), network(changed)).all()


def test_refuses_impossible_sizes(data: Translation) -> None:
    with pytest.raises(ValueError, match=r"--model.teacher_forcing: expected a probability from 0 to 1, got 2"):
        model(data, teacher_forcing=2.0)
    with pytest.raises(ValueError, match=r"--model.hidden_size: expected an even number"):
        Seq2Seq(**{name: getattr(data, name) for name in data.provides}, hidden_size=13)

import math
from typing import Any

import pytest
import torch
from torch import nn

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair, Translation
from lightning_modules.layers.decoder_cache import ROOM
from lightning_modules.layers.keys_values import KeysValues
from lightning_modules.layers.sequence import PositionalEmbedding
from lightning_modules.layers.transformer import DecoderLayer, EncoderLayer, MultiHeadAttention, causal_mask
from lightning_modules.tasks.decoding import State, select
from lightning_modules.torch_transformer import TorchTransformer
from lightning_modules.transformer import Transformer
from tests.helpers.splits import take

D, H = 16, 4
Network = type[Transformer] | type[TorchTransformer]


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


def model(data: Translation, cls: Network = Transformer, **options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {name: getattr(data, name) for name in data.provides}
    options = {"hidden_size": D, "num_heads": H, "num_layers": 2, "feedforward_size": 24, **options}
    return cls(**sizes, **options).eval()


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    parts = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


def copy_layer(ours: EncoderLayer | DecoderLayer, theirs: Any) -> None:
    copy_attention(ours.attention, theirs.self_attn)
    if isinstance(ours, DecoderLayer):
        copy_attention(ours.attention_to_source, theirs.multihead_attn)
    layers: Any = ours.feedforward
    theirs.linear1.load_state_dict(layers[0].state_dict())
    theirs.linear2.load_state_dict(layers[3].state_dict())
    residuals: Any = ours.residuals
    for index, residual in enumerate(residuals, 1):
        getattr(theirs, f"norm{index}").load_state_dict(residual.norm.state_dict())


def test_attention_equals_the_formula_written_out() -> None:
    layer = MultiHeadAttention(D, H).eval()
    x, memory = torch.randn(3, 5, D), torch.randn(3, 7, D)
    mask = torch.rand(3, 1, 5, 7) < 0.7
    mask[..., 0] = True
    q, (k, v) = layer.split_heads(layer.query(x)), layer.keys_values(memory)
    scores = q @ k.transpose(-2, -1) / math.sqrt(D / H)  # (B, H, T, S)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, H, 5))
    expected = layer.output((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x, KeysValues(k, v), mask), expected, atol=1e-5, rtol=1e-5)


def test_the_weights_are_those_with_which_attention_averages() -> None:
    torch.manual_seed(0)
    layer = MultiHeadAttention(D, H).eval()
    x, memory = torch.randn(2, 3, D), layer.keys_values(torch.randn(2, 5, D))
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    mask[0, ..., 3:] = False
    weights = layer.weights(x, memory, mask)  # (B, H, T, S)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, H, 3))
    heads = (weights @ memory.values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer.output(heads), layer(x, memory, mask))


def test_attention_equals_torchs_after_copying_the_weights() -> None:
    ours, theirs = MultiHeadAttention(D, H).eval(), nn.MultiheadAttention(D, H, batch_first=True).eval()
    x, memory = torch.randn(3, 5, D), torch.randn(3, 7, D)
    padding = torch.arange(7) >= torch.tensor([7, 4, 1])[:, None]
    with torch.no_grad():
        nn.init.normal_(ours.query.bias)
        copy_attention(ours, theirs)
        expected, _ = theirs(x, memory, memory, key_padding_mask=padding)
        found = ours(x, ours.keys_values(memory), ~padding[:, None, None])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_equals_torchs_transformer_after_copying_the_weights(data: Translation, pair: Pair, norm_first: bool) -> None:
    ours, theirs = (model(data, cls, norm_first=norm_first) for cls in (Transformer, TorchTransformer))
    with torch.no_grad():
        for stack, other in ((ours.encoder, theirs.network.encoder), (ours.decoder, theirs.network.decoder)):
            for layer, reference in zip(stack, other.layers, strict=True):
                copy_layer(layer, reference)
        if norm_first:
            theirs.network.encoder.norm.load_state_dict(ours.encoder_norm.state_dict())
            theirs.network.decoder.norm.load_state_dict(ours.decoder_norm.state_dict())
        for name in ("embed_source", "embed_target", "output"):
            getattr(theirs, name).load_state_dict(getattr(ours, name).state_dict())
        places = pair.target.mask[:, 1:]
        torch.testing.assert_close(ours(pair)[places], theirs(pair)[places], atol=1e-5, rtol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    for beams in (1, 3):
        ours.beams = theirs.beams = beams
        assert ours.translate(pair.source) == theirs.translate(pair.source)


@pytest.mark.parametrize("cls", [Transformer, TorchTransformer])
def test_the_future_is_hidden_and_the_past_is_not(data: Translation, pair: Pair, cls: Network) -> None:
    network = model(data, cls)
    before = network(pair)
    ids = pair.target.ids.clone()
    ids[:, 4] = (ids[:, 4] + 1) % 20
    after = network(pair._replace(target=pair.target._replace(ids=ids)))
    torch.testing.assert_close(after[:, :4], before[:, :4], atol=1e-6, rtol=1e-5)
    assert not torch.isclose(after[:, 4:6], before[:, 4:6]).all()


def test_the_causal_mask_is_a_triangle() -> None:
    assert causal_mask(3, torch.device("cpu")).tolist() == [[True, False, False], [True, True, False], [True] * 3]


@pytest.mark.parametrize("cls", [Transformer, TorchTransformer])
def test_padding_changes_nothing(data: Translation, pair: Pair, cls: Network) -> None:
    network = model(data, cls)
    together = network(pair)
    for row in range(len(pair.source.ids)):
        source, target = pair.source.lengths[row], pair.target.lengths[row]
        alone = Pair(
            Text(pair.source.ids[row : row + 1, :source], source[None]),
            Text(pair.target.ids[row : row + 1, :target], target[None]),
        )
        torch.testing.assert_close(network(alone)[0], together[row, : target - 1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cls", [Transformer, TorchTransformer])
@pytest.mark.parametrize("norm_first", [True, False])
def test_decoding_one_token_at_a_time_gives_the_same_logits(
    data: Translation, pair: Pair, cls: Network, norm_first: bool
) -> None:
    network = model(data, cls, norm_first=norm_first)
    expected = network(pair)
    state = network.start(pair.source)
    for step in range(expected.shape[1]):
        logits, state = network.advance(pair.target.ids[:, step], state)
        torch.testing.assert_close(logits, expected[:, step], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cls", [Transformer, TorchTransformer])
@pytest.mark.parametrize("norm_first", [True, False])
def test_hypotheses_that_are_selected_anew_at_each_step_have_the_logits_of_their_own_tokens(
    data: Translation, pair: Pair, cls: Network, norm_first: bool
) -> None:
    """Over more tokens than there is room for at first, while sentences end."""
    network, beams, random = model(data, cls, norm_first=norm_first), 3, torch.Generator().manual_seed(0)
    state = tuple(part.repeat_interleave(beams, 0) for part in network.start(pair.source))
    sentences = torch.arange(7)
    ids = torch.full((7 * beams, 1), network.begin)
    for step in range(ROOM):
        with torch.no_grad():
            logits, state = network.advance(ids[:, -1], state)
            source = Text(*(part[sentences.repeat_interleave(beams)] for part in pair.source))
            ended = torch.cat([ids, ids[:, :1]], dim=1)  # whose last token forward does not read
            expected = network(Pair(source, Text(ended, torch.full((len(ids),), step + 2))))[:, -1]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        stay = torch.arange(len(sentences)) != (0 if step % 8 == 7 else -1)
        origin = torch.randint(beams, (len(sentences), beams), generator=random)
        rows = (torch.arange(len(sentences))[:, None] * beams + origin)[stay].flatten()
        state, sentences = select(state, rows), sentences[stay]
        newest = torch.randint(4, 20, (len(rows), 1), generator=random)
        ids = torch.cat([ids[rows], newest], dim=1)
    assert len(sentences) == 3


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("cls", [Transformer, TorchTransformer])
def test_translations_are_those_of_full_recomputation(
    data: Translation, pair: Pair, cls: Network, beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = model(data, cls, beams=beams, max_ratio=5.0)
    found = network.search(pair.source)

    def start(source: Text) -> State:
        return (*source, source.ids[:, :0])

    def advance(tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        ids = torch.cat([state[2], tokens[:, None]], dim=1)
        target = Text(torch.cat([ids, tokens[:, None]], dim=1), torch.full((len(ids),), ids.shape[1] + 1))
        return network(Pair(Text(*state[:2]), target))[:, -1], (*state[:2], ids)

    monkeypatch.setattr(network, "start", start)
    monkeypatch.setattr(network, "advance", advance)
    assert network.search(pair.source) == found
    assert len({len(tokens) for tokens in found}) > 1


def test_positions_are_the_papers() -> None:
    embedding = PositionalEmbedding(5, 8, padding=0)
    positions = embedding.positions(3, 2)
    for row, t in enumerate((3, 4)):
        for i in range(4):
            angle = t / 10000 ** (2 * i / 8)
            assert positions[row, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert positions[row, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)
    ids = torch.tensor([[1, 2, 3, 4]])
    torch.testing.assert_close(embedding(ids)[:, 2:], embedding(ids[:, 2:], first=2))


@pytest.mark.parametrize("cls", [Transformer, TorchTransformer])
def test_tied_embeddings_are_one_matrix(cls: Network) -> None:
    data = Translation(num_phrases=100, shared_vocabulary=True)
    data.setup()
    tied, loose = model(data, cls), model(data, cls, tie_embeddings=False)
    assert tied.output.weight is tied.embed_target.tokens.weight is tied.embed_source.tokens.weight
    assert loose.output.weight is not loose.embed_target.tokens.weight
    assert sum(p.numel() for p in loose.parameters()) - sum(p.numel() for p in tied.parameters()) == (
        2 * loose.output.weight.numel()
    )


@pytest.mark.parametrize("cls", [Transformer, TorchTransformer])
def test_refuses_heads_that_do_not_fit(data: Translation, cls: Network) -> None:
    with pytest.raises(ValueError, match=r"--model.hidden_size 18 and --model.num_heads 4"):
        model(data, cls, hidden_size=18)

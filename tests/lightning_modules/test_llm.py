"""The language model: its mathematics, and its equality with transformers' models."""

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from datamodules.tokenizing.language import new_language_tokenizer, token_bytes
from datamodules.tokenizing.packed import IGNORED, Packed
from lightning_modules.layers import pretrained_llama
from lightning_modules.layers.causal_attention import Rotation, apart, attend, frequencies, same_document
from lightning_modules.layers.llama_config import Architecture
from lightning_modules.llm import LLM
from lightning_modules.tasks.next_token import nats_of_tokens
from lightning_modules.tasks.sampling import GREEDY, Sampling, continued

TOKENIZER = new_language_tokenizer("bytes", [], 0)
JSON, V = TOKENIZER.to_str(), TOKENIZER.get_vocab_size()
SMALL: dict[str, Any] = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "window": 32}


def model_of(**options: Any) -> LLM:
    torch.manual_seed(0)
    model = LLM(num_tokens=V, tokenizer_json=JSON, begin=0, end=0, **{**SMALL, **options}).eval()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model


def tokens(*shape: int, seed: int = 0, most: int = V) -> Tensor:
    return torch.randint(3, most, shape, generator=torch.Generator().manual_seed(seed))


def packed(ids: Tensor, documents: Tensor | None = None, targets: Tensor | None = None) -> Packed:
    shifted = torch.cat([ids[:, 1:], torch.full_like(ids[:, :1], IGNORED)], dim=1) if targets is None else targets
    if documents is not None:
        shifted[:, :-1][documents[:, 1:] != documents[:, :-1]] = IGNORED
    sizes = torch.tensor([*token_bytes(TOKENIZER), 0])
    return Packed(ids, shifted, documents, sizes[shifted].sum(1))


@torch.no_grad()
def logits_of(model: LLM, batch: Packed) -> Tensor:
    return model(batch) @ model.head.T


def test_a_token_changes_nothing_before_it() -> None:
    model, ids = model_of(), tokens(1, 20)
    changed = ids.clone()
    changed[0, 12] += 1
    before, after = logits_of(model, packed(ids)), logits_of(model, packed(changed))
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])


def test_rotary_positions_are_relative() -> None:
    random = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(1, 1, 5, 8, generator=random, dtype=torch.double) for _ in range(2))
    speeds = frequencies(8, 100.0)
    for shift in (1, 17):
        near, far = (Rotation.at(torch.arange(5)[None] + first, speeds) for first in (0, shift))
        scores = [turn(queries).double() @ turn(keys).double().mT for turn in (near, far)]
        torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(near(queries) @ near(keys).mT, queries @ keys.mT)


def test_grouped_heads_are_repeated_heads() -> None:
    random = torch.Generator().manual_seed(0)
    queries = torch.randn(2, 6, 5, 8, generator=random)
    keys, values = (torch.randn(2, 2, 5, 8, generator=random) for _ in range(2))
    repeated = (keys.repeat_interleave(3, dim=1), values.repeat_interleave(3, dim=1))
    torch.testing.assert_close(attend(queries, keys, values, None), attend(queries, *repeated, None))


def test_a_neighbour_in_the_row_changes_nothing() -> None:
    model, one, two, three = model_of(), tokens(1, 7, seed=1), tokens(1, 9, seed=2), tokens(1, 4, seed=3)
    row = torch.cat([one, two, three], dim=1)
    documents = torch.tensor([[0] * 7 + [1] * 9 + [2] * 4])
    together = packed(row, documents)
    alone = logits_of(model, packed(two))
    torch.testing.assert_close(logits_of(model, together)[:, 7:16], alone)
    other = torch.cat([tokens(1, 7, seed=8), two, tokens(1, 4, seed=9)], dim=1)
    assert torch.equal(logits_of(model, together)[:, 7:16], logits_of(model, packed(other, documents))[:, 7:16])


def test_the_loss_and_gradients_of_packed_documents_are_those_of_padded_ones() -> None:
    parts = [tokens(1, size, seed=size) for size in (7, 9, 4)]
    row = torch.cat(parts, dim=1)
    documents = torch.tensor([[0] * 7 + [1] * 9 + [2] * 4])
    padded = torch.zeros(3, 9, dtype=torch.long)
    targets = torch.full((3, 9), IGNORED)
    for index, part in enumerate(parts):
        padded[index, : part.shape[1]] = part
        targets[index, : part.shape[1] - 1] = part[0, 1:]
    gradients = []
    for batch in (packed(row, documents), packed(padded, targets=targets)):
        model = model_of()
        step = model.step(batch)
        step.loss.backward()
        gradients.append([step.loss.detach(), *(weight.grad for weight in model.parameters())])
        assert step.num_targets == 7 + 9 + 4 - 3
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", [4, 2])
def test_documents_by_themselves_attend_as_with_a_mask(heads: int, kind: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    sizes = ([200, 1, 300, 99], [600], [1] * 599 + [1], [599, 1])
    documents = torch.stack([torch.arange(len(row)).repeat_interleave(torch.tensor(row)) for row in sizes])
    lengths = apart(documents)
    assert lengths == [size for row in sizes for size in row]
    states = [torch.randn(4, count, 600, 8, generator=random).to(kind) for count in (4, heads, heads)]
    grown = torch.randn(4, 4, 600, 8, generator=random)
    found = []
    for mask in (lengths, same_document(documents)):
        inputs = queries, keys, values = (*(state.clone().requires_grad_() for state in states),)
        heads_of = attend(queries, keys, values, mask)
        found.append((heads_of.detach(), *torch.autograd.grad((heads_of.float() * grown).sum(), inputs)))
    rtol, atol = (1e-4, 1e-5) if kind == torch.float32 else (0.02, 0.06)
    torch.testing.assert_close(*found, rtol=rtol, atol=atol)


def test_short_rows_and_compiled_ones_have_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = torch.tensor([[0, 0, 1] * 200]).cumsum(1)
    assert isinstance(apart(documents), list)
    assert isinstance(apart(documents[:, :500]), Tensor)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert isinstance(apart(documents), Tensor)


def test_positions_begin_anew_in_each_document() -> None:
    documents = torch.tensor([[0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 1]])
    batch = Packed(documents, documents, documents, documents[:, 0])
    assert batch.positions is not None
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 1, 2, 3, 4]]
    mask = same_document(documents)[0, 0]
    assert mask[4].tolist() == [False, False, False, True, True, False]


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"qk_norm": True}, {"attention_bias": "all"}])
def test_the_cache_changes_nothing(options: dict[str, Any]) -> None:
    model, ids = model_of(**options), tokens(2, 20)
    whole = logits_of(model, packed(ids))
    caches = model.start(2, 20)
    parts = [ids[:, :11], *ids[:, 11:].split(1, dim=1)]
    first, found = 0, []
    for part in parts:
        places = torch.arange(first, first + part.shape[1]).expand_as(part)
        found.append(model.advance(part, places, caches))
        first += part.shape[1]
    torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_decoding_gives_the_tokens_of_computing_everything_anew() -> None:
    model, prompts = model_of(), [[5, 6, 7], [9], [100, 101]]
    found = continued(model, prompts, 12, {0})
    for prompt, text in zip(prompts, found, strict=True):
        ids = list(prompt)
        for token in text:
            assert int(logits_of(model, packed(torch.tensor([ids])))[0, -1].argmax()) == token
            ids.append(token)


@pytest.mark.long
@torch.no_grad()
def test_decoding_with_the_cache_is_ten_times_as_fast_and_gives_the_same_tokens() -> None:
    model = model_of(hidden_size=320, num_layers=8, num_heads=8, num_kv_heads=8, window=1024)
    assert 10e6 < sum(weight.numel() for weight in model.parameters()) < 11e6
    began = time.process_time()
    ids = [5, *continued(model, [[5]], 1000, {V})[0]]  # a token that there is not ends none
    cached = time.process_time() - began
    lengths = range(25, 1000, 50)
    began = time.process_time()
    for length in lengths:
        newest = logits_of(model, packed(torch.tensor([ids[:length]])))[0, -1]
        assert float(newest.max() - newest[ids[length]]) < 1e-4  # of two equally probable ones either
    anew = (time.process_time() - began) / len(lengths) * 1000
    assert anew > 10 * cached, (anew, cached)


def test_bits_per_byte_do_not_depend_on_the_batches_of_rows() -> None:
    model, ids = model_of(), tokens(6, 20)
    batch = packed(ids)
    values = []
    for size in (1, 4, 6):
        metric = model.metrics()
        for rows in torch.arange(6).split(size):
            part = Packed(ids[rows], batch.targets[rows], None, batch.num_bytes[rows])
            with torch.no_grad():
                step = model.step(part)
            metric.update(step.prediction, step.target)
        values.append(metric.compute())
    nats = nats_of_tokens(model(batch).flatten(0, 1).detach(), model.head, batch.targets.flatten())[0].sum()
    for value in values:
        assert float(value["bits_per_byte"]) == pytest.approx(float(nats / math.log(2) / batch.num_bytes.sum()))
        assert float(value["perplexity"]) == pytest.approx(float((nats / batch.targets.ne(IGNORED).sum()).exp()))


def test_the_trivial_baseline_has_eight_bits_per_byte() -> None:
    model, batch = model_of(), packed(tokens(3, 10))
    with torch.no_grad():
        target = model.step(batch).target
    metric = model.metrics()
    metric.update(model.baselines()[""](batch), target)
    assert float(metric.compute()["bits_per_byte"]) == pytest.approx(8)


def test_bytes_without_a_model_cost_what_their_tokens_do_however_they_are_cut() -> None:
    """Of a model that sees nothing before a token, so that windows cannot matter."""
    model = model_of()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
    text = tokens(1, 61)
    found = []
    for window in (6, 10, 60):
        ids = torch.cat([text[:, i : i + window] for i in range(0, 60, window)])
        targets = torch.cat([text[:, i + 1 : i + window + 1] for i in range(0, 60, window)])
        batch = packed(ids, targets=targets)
        metric = model.metrics()
        with torch.no_grad():
            step = model.step(batch)
        metric.update(step.prediction, step.target)
        found.append(float(metric.compute()["bits_per_byte"]))
    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


def test_samples_are_seeded_and_leave_the_random_state() -> None:
    model = model_of(new_tokens=8)
    before = torch.get_rng_state()
    texts = model.continuations([[0]] * 3, Sampling(temperature=1.0))
    assert texts == model.continuations([[0]] * 3, Sampling(temperature=1.0))
    assert len({tuple(text) for text in texts}) > 1
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training


FAMILY: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama 3": {
        "model_type": "llama",
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "llama with biases": {"model_type": "llama", "attention_bias": True},
    "linear": {"model_type": "llama", "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    "mistral": {"sliding_window": None, "head_dim": 16},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 16},
    "qwen3 with biases": {"model_type": "qwen3", "attention_bias": True},
}


def of_transformers(name: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    options = {"model_type": name, **FAMILY[name]}
    sizes: dict[str, Any] = {
        "vocab_size": V,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    }
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**{**sizes, **options})).eval()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model


@pytest.mark.parametrize("name", FAMILY)
def test_a_model_of_transformers_has_the_same_logits(name: str, tmp_path: Path) -> None:
    theirs, ids = of_transformers(name), tokens(3, 32)
    theirs.save_pretrained(tmp_path)
    ours = model_of_folder(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(logits_of(ours, packed(ids)), theirs(input_ids=ids).logits, rtol=0, atol=1e-5)
    assert ours.sizes.num_weights() == sum(weight.numel() for weight in theirs.parameters())
    config = json.loads((tmp_path / "config.json").read_text())
    assert Architecture.of_config(ours.sizes.config(), "") == Architecture.of_config(config, "")


def model_of_folder(folder: Path, **options: Any) -> LLM:
    sizes = {"num_tokens": V, "tokenizer_json": JSON, "begin": 0, "end": 0, "window": 32, **options}
    return LLM(pretrained=str(folder), **sizes).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = model_of()
    (tmp_path / "config.json").write_text(json.dumps(model.sizes.config()))
    weights = {name: weight for name, weight in model.state_dict().items() if name != "lm_head.weight"}
    save_file({name: weight.clone() for name, weight in weights.items()}, tmp_path / "model.safetensors")
    return tmp_path


def change_config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_folder_that_is_whole_is_read(folder: Path) -> None:
    ids = tokens(2, 10)
    assert torch.equal(logits_of(model_of_folder(folder), packed(ids)), logits_of(model_of(), packed(ids)))


def test_shards_are_read_as_one(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, folder / file)
    index = {"weight_map": {name: file for file, part in shards.items() for name in part}}
    (folder / pretrained_llama.INDEX).write_text(json.dumps(index))
    ids = tokens(2, 10)
    assert torch.equal(logits_of(model_of_folder(folder), packed(ids)), logits_of(model_of(), packed(ids)))
    (folder / "b.safetensors").unlink()
    with pytest.raises(ValueError, match=r"b.safetensors is missing, which model.safetensors.index.json names"):
        model_of_folder(folder)


REFUSED = {
    "another architecture": (
        lambda folder: change_config(folder, model_type="gpt2"),
        "architecture gpt2: expected one of llama, mistral, qwen2, qwen3",
    ),
    "another activation": (lambda folder: change_config(folder, hidden_act="gelu"), "hidden_act gelu: expected silu"),
    "another rotation": (
        lambda folder: change_config(folder, rope_scaling={"rope_type": "yarn", "factor": 2.0}),
        "rotary positions of type yarn: expected one of default, linear, llama3",
    ),
    "no size": (lambda folder: (folder / "config.json").write_text('{"model_type": "llama"}'), "has no num_attention_"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json: not readable as JSON"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
    "pickled weights": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "pytorch_model.bin is a pickle, which can run code; expected model.safetensors",
    ),
    "damaged weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "damaged"),
    "fewer layers": (lambda folder: change_config(folder, num_hidden_layers=3), "its weights lack model.layers.2"),
    "other shapes": (lambda folder: change_config(folder, intermediate_size=64), " that its config.json gives, got ("),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(case: str, folder: Path) -> None:
    change, message = REFUSED[case]
    change(folder)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        model_of_folder(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_or_window_that_is_too_large_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=f"its vocabulary has {V} tokens, the tokenizer's {V + 1}"):
        model_of_folder(folder, num_tokens=V + 1)
    with pytest.raises(ValueError, match=r"--data.window 64: --model.pretrained .* reads at most 32 tokens"):
        model_of_folder(folder, window=64)
    change_config(folder, sliding_window=16)
    with pytest.raises(ValueError, match="reads at most 16 tokens"):
        model_of_folder(folder)


def test_sizes_that_contradict_each_other_are_refused() -> None:
    for options, message in (
        ({"num_heads": 5, "num_kv_heads": 1}, "--model.hidden_size 32 and --model.num_heads 5"),
        ({"num_kv_heads": 3}, "--model.num_heads 4 and --model.num_kv_heads 3: expected a multiple"),
        ({"qk_norm": True, "attention_bias": "qkv"}, "--model.qk_norm: expected --model.attention_bias none or all"),
    ):
        with pytest.raises(ValueError, match=message):
            model_of(**options)


def test_fresh_weights_predict_nothing_yet() -> None:
    torch.manual_seed(0)
    model = LLM(num_tokens=V, tokenizer_json=JSON, begin=0, end=0, **SMALL)
    loss = model.step(packed(tokens(8, 30))).loss
    assert float(loss.detach()) == pytest.approx(math.log(V), rel=0.02)


def test_a_greedy_text_is_the_same_alone_and_among_others() -> None:
    model = model_of(new_tokens=10)
    prompts = [[0, 65, 66], [0], [0, 90, 91, 92]]
    assert model.continuations(prompts, GREEDY) == [model.continuations([each], GREEDY)[0] for each in prompts]

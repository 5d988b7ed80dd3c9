"""A run that is stopped and resumed ends as if it had not been stopped, to the last bit."""

import json
import signal
from pathlib import Path

import pytest
import torch

from callbacks.run.checkpoint_file import read_checkpoint
from scripts.cli.command_line.recipes import recipe_names
from tests.helpers import pair, two_processes
from tests.helpers.kinds import one_of_each_kind
from tests.helpers.stopping import (
    GRAPHS,
    IMAGES,
    NARROW,
    SHORT,
    TECHNIQUES,
    TWICE,
    WORDS,
    compare,
    in_pieces,
    train,
)

MIDDLE, END = 2, 4  # of an epoch of four steps

SHARDED = ["ema of a Transformer", "activation_checkpointing", "lora", "several"]
CLUSTERED = ["--data.num_clusters", "4"]
SAMPLED = ["--data.num_neighbors", "2", "1"]


@pytest.mark.long
@pytest.mark.parametrize("name", recipe_names())
def test_every_model_resumes_exactly(name: str, tmp_path: Path) -> None:
    """From the middle of an epoch; from its end some do with augmented data, below."""
    whole, pieces = in_pieces(name, tmp_path, [MIDDLE], [])
    assert compare(whole, pieces) == []


@pytest.mark.parametrize(
    "further",
    [
        ["--data.num_workers", "2", "--data.shift", "2", "--data.flip", "true", "--model.dropout", "0.5"],
        pytest.param(["--trainer.accumulate_grad_batches", "2"], marks=pytest.mark.long),
        ["--trainer.accumulate_grad_batches", "2", "--trainer.limit_train_batches", "3"],
        pytest.param(["--trainer.val_check_interval", "2"], marks=pytest.mark.long),  # also in TWICE
    ],
)
def test_resumes_exactly_with(further: list[str], tmp_path: Path) -> None:
    whole, pieces = (
        in_pieces("cnn", tmp_path, [MIDDLE, END], further)
        if "accumulate" not in further[0]
        else in_pieces("cnn", tmp_path, [1, 2], further)
    )
    assert compare(whole, pieces) == []


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("mlp", ["--data.balance", "under", "--data.num_workers", "2"]),
        ("mlp", ["--data.balance", "weights", "--model.loss", "focal", "--model.label_smoothing", "0.1"]),
        ("attention_rnn", ["--data.balance", "over"]),  # texts of similar length share a batch
    ],
)
def test_resumes_exactly_where_classes_are_balanced(name: str, further: list[str], tmp_path: Path) -> None:
    whole, pieces = in_pieces(name, tmp_path, [MIDDLE, END], further)
    assert compare(whole, pieces) == []


@pytest.mark.parametrize(
    ("name", "further"), [("cnn", IMAGES), ("attention_rnn", WORDS), ("gat", GRAPHS), ("gcn", GRAPHS)]
)
def test_resumes_exactly_with_augmented_training_data(name: str, further: list[str], tmp_path: Path) -> None:
    whole, pieces = in_pieces(name, tmp_path, [MIDDLE, END], further)
    assert compare(whole, pieces) == []


QUICK = ("plateau", "ema", "lora", "swa", "several")


@pytest.mark.parametrize(
    "technique", [pytest.param(each, marks=[] if each in QUICK else [pytest.mark.long]) for each in TECHNIQUES]
)
def test_every_technique_resumes_exactly(technique: str, tmp_path: Path) -> None:
    name, further = TECHNIQUES[technique]
    stops = [3, 6] if technique in QUICK else [3]
    whole, pieces = in_pieces(name, tmp_path, stops, [*further, *TWICE])
    assert compare(whole, pieces) == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "further"),
    [
        *((name, IMAGES) for name in ("capsnet", "inception", "resnet")),
        *((name, WORDS) for name in ("bert_classifier", "bert_ner", "bert_qa", "transformer")),
        ("cnn", ["--data.auto_augment", "randaugment", "--data.crop", "0.5"]),
        ("cnn", [*IMAGES, "--data.balance", "weights", "--model.loss", "focal", "--model.label_smoothing", "0.1"]),
        ("gat_nodes", GRAPHS),
        ("gcn", SAMPLED),
        ("gat_nodes", CLUSTERED),
    ],
)
def test_further_models_resume_exactly_with_augmented_training_data(
    name: str, further: list[str], tmp_path: Path
) -> None:
    whole, pieces = in_pieces(name, tmp_path, [END], further)
    assert compare(whole, pieces) == []


def on_two_processes(folder: Path, *words: str) -> dict[str, list[str]]:
    """What differs, by recipe, between runs on two processes that were stopped and those that were not."""
    pair.on_two_processes(folder, two_processes.main, folder, list(words), seconds=1800)
    found: dict[str, list[str]] = json.loads((folder / "found.json").read_text())
    return found


@pytest.mark.long
def test_every_kind_of_data_and_every_technique_resumes_exactly_on_two_processes(tmp_path: Path) -> None:
    """A recipe of each kind of data: what each process has is what differs; networks of one kind share the rest.

    Those of the techniques that sharded weights, below, are resumed with are not tried here.
    """
    others = [name for name in TECHNIQUES if name not in SHARDED and "compile" not in name]
    names = [*one_of_each_kind(), *others]
    assert on_two_processes(tmp_path, *names) == {name: [] for name in names}


@pytest.mark.long
def test_resumes_exactly_on_two_processes_where_an_epoch_is_limited(tmp_path: Path) -> None:
    limit = ["--trainer.limit_train_batches", "5", "--data.num_workers", "1"]
    assert on_two_processes(tmp_path, "mlp", *limit) == {"mlp": []}


@pytest.mark.long
@pytest.mark.parametrize("balance", ["weights", "over"])
def test_resumes_exactly_on_two_processes_where_classes_are_balanced(balance: str, tmp_path: Path) -> None:
    assert on_two_processes(tmp_path, "mlp", "--data.balance", balance, "--data.num_workers", "2") == {"mlp": []}


@pytest.mark.long
@pytest.mark.parametrize(
    ("names", "further"),
    [(["cnn"], IMAGES), (["attention_rnn"], WORDS), (["gat", "gcn"], GRAPHS), (["gcn", "gat_nodes"], SAMPLED)],
)
def test_resumes_exactly_on_two_processes_with_augmented_training_data(
    names: list[str], further: list[str], tmp_path: Path
) -> None:
    assert on_two_processes(tmp_path, *names, *further) == {name: [] for name in names}


@pytest.mark.long
@pytest.mark.parametrize(
    ("names", "further"),
    [
        (
            SHARDED,
            [],
        ),
        (["llm"], ["--lora.rank", "2", "--averaging.kind", "ema"]),
        (["bert_classifier"], ["--finetuning.freeze_epochs", "1", *NARROW]),
    ],
)
def test_resumes_exactly_on_two_processes_that_shard_the_weights(
    names: list[str], further: list[str], tmp_path: Path
) -> None:
    fsdp = ["--trainer.strategy", "fsdp", "--trainer.devices", "2"]
    assert on_two_processes(tmp_path, *names, *fsdp, *further) == {name: [] for name in names}


@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1", "SIGUSR2"])
def test_resumes_exactly_after_every_signal(name: str, tmp_path: Path) -> None:
    whole, pieces = in_pieces("mlp", tmp_path, [MIDDLE, END], [], signal.Signals[name])
    assert compare(whole, pieces) == []


@pytest.mark.parametrize(
    ("model", "further"),
    [
        ("mlp", []),
        ("mlp", ["--data.balance", "weights"]),  # losses are means over classes of unequal weights
        ("llm_chat", ["--data.packing", "false"]),  # answers are of unequal lengths
    ],
)
def test_gradients_of_two_batches_make_the_step_of_one_of_both(model: str, further: list[str], tmp_path: Path) -> None:
    """In the same order."""
    words = ["--model", model, *SHORT, "--model.dropout", "0", "--model.optimizer", "torch.optim.SGD"]
    words += ["--model.optimizer.lr", "0.1", "--model.optimizer.momentum", "0.9", *further]
    halves = ["--data.batch_size", "16", "--trainer.accumulate_grad_batches", "2", "--trainer.limit_train_batches", "8"]
    found = []
    for name, batches in (("halves", halves), ("wholes", ["--data.batch_size", "32"])):
        assert train([*words, *batches, "--logs", str(tmp_path / name)]) == 0
        found.append(read_checkpoint(tmp_path / name / model / "version_0" / "checkpoints" / "last.ckpt"))
    assert found[0]["global_step"] == found[1]["global_step"] == 8
    torch.testing.assert_close(found[0]["state_dict"], found[1]["state_dict"], rtol=1e-5, atol=1e-6)

"""N processes train as one does, test as one does, and predict in the order of the input."""

import csv
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from callbacks.run.checkpoint_file import read_checkpoint
from scripts import predict
from scripts import test as testing
from scripts.cli.command_line.recipes import ROOT
from tests.helpers import command_lines, sharded_memory, shared_statistics, shared_weights, unlike_data
from tests.helpers.pair import on_two_processes
from tests.helpers.stopping import LITTLE, NARROW, data_of, train

pytestmark = pytest.mark.long

# Without dropout, which each process draws for itself, and with batch statistics that are shared. Losses are means
# over examples, tokens, words and answers, or weighted by their classes; the last batch of a test is odd, so that one
# process has more of it.
TABLE = ["--data.batch_size", "31", "--model.dropout", "0"]
WHOLE = ["--trainer.limit_test_batches", "1.0", "--trainer.max_steps", "2"]
CASES = {
    "mlp": ("mlp", TABLE),
    "class weights": ("mlp", [*TABLE, "--data.balance", "weights", "--model.loss", "focal"]),
    "over-sampling": ("mlp", [*TABLE, "--data.balance", "over"]),
    "linear_regression": ("linear_regression", []),
    "fine-tuning": ("mlp", [*TABLE, "--trainer.limit_train_batches", "3", "--finetuning.freeze_epochs", "1"]),
    "transformer": (
        "transformer",
        ["--data.batch_size", "7", "--model.dropout", "0", "--trainer.gradient_clip_val", "null"],
    ),
    "bert_ner": ("bert_ner", ["--data.batch_size", "9", "--model.dropout", "0"]),
    "accumulated bert_ner": (
        "bert_ner",
        ["--data.batch_size", "9", "--model.dropout", "0", "--trainer.accumulate_grad_batches", "2"],
    ),
    "bert_qa": ("bert_qa", ["--data.batch_size", "5"]),
    "llm of rows in which texts lie end to end": ("llm", ["--data.batch_size", "7"]),
    "accumulated answers of llm_chat": (
        "llm_chat",
        ["--data.batch_size", "9", "--data.packing", "false", "--trainer.accumulate_grad_batches", "2"],
    ),
    "llm_preference": ("llm_preference", ["--data.batch_size", "7"]),
    "shared batch statistics": ("cnn", [*TABLE, "--trainer.sync_batchnorm", "true"]),
    "a batch size that is found": ("mlp", ["--data.batch_size", "auto", "--model.dropout", "0"]),
    "clipped gradients": ("mlp", [*TABLE, "--trainer.gradient_clip_val", "0.01"]),
    # Whose last batch is of one example, which one process alone has.
    "the whole test": ("mlp", ["--data.batch_size", "28", "--model.dropout", "0", *WHOLE]),
    "the whole test of bert_ner": (
        "bert_ner",
        ["--data.num_sentences", "205", "--data.batch_size", "8", "--model.dropout", "0", *WHOLE],
    ),
    "the whole test of a transformer": (
        "transformer",
        [
            *("--data.num_phrases", "285", "--data.batch_size", "8", "--model.dropout", "0"),
            *("--trainer.gradient_clip_val", "null", *WHOLE),
        ],
    ),
}
# Clipped, and with a state of the optimizer's own, whose parts have to be put together.
MOMENTUM = ["--model.optimizer.momentum", "0.9", "--trainer.gradient_clip_val", "0.5"]
# Of few steps, and nearly so: Muon may multiply in bf16, so that roundings grow.
MUON = [
    *("--model.optimizer", "lightning_modules.optim.muon.MuonAdamW", "--model.optimizer.lr", "0.005"),
    *("--trainer.max_steps", "2"),
]
SHARDED = {
    "fsdp transformer": ("transformer", ["--data.batch_size", "7", "--model.dropout", "0", *MOMENTUM]),
    "fsdp bert_classifier": ("bert_classifier", ["--data.batch_size", "9", "--model.dropout", "0", *MOMENTUM]),
    "fsdp bert_ner with an average": (
        "bert_ner",
        ["--data.batch_size", "9", "--model.dropout", "0", *MOMENTUM, "--averaging.kind", "ema"],
    ),
    "fsdp bert_classifier with adapters": (
        "bert_classifier",
        ["--data.batch_size", "9", "--model.dropout", "0", *MOMENTUM, "--lora.rank", "2"],
    ),
    "fsdp llm by Muon": ("llm", ["--data.batch_size", "7", *MUON]),
    "fsdp llm_chat with adapters": ("llm_chat", ["--data.batch_size", "9", *MOMENTUM, "--lora.rank", "2"]),
    "fsdp llm_preference": ("llm_preference", ["--data.batch_size", "7", *MOMENTUM]),
    "fsdp bert_classifier compiled": (
        "bert_classifier",
        ["--data.batch_size", "9", "--model.dropout", "0", *MOMENTUM, "--compile.mode", "default", *NARROW],
    ),
    "fsdp bert_classifier that thaws": (
        "bert_classifier",
        [
            *("--data.batch_size", "9", "--model.dropout", "0", *MOMENTUM, "--trainer.limit_train_batches", "2"),
            *("--finetuning.freeze_epochs", "1", "--finetuning.unfreeze_epochs", "2"),
        ],
    ),
    "fsdp bert_classifier that accumulates, balances and averages": (
        "bert_classifier",
        [
            *("--data.batch_size", "9", "--model.dropout", "0", *MOMENTUM, "--trainer.accumulate_grad_batches", "2"),
            *("--data.balance", "over", "--model.label_smoothing", "0.1", "--averaging.kind", "swa"),
            *("--averaging.start", "0.5", "--model.schedule", "plateau", "--early_stopping.patience", "9"),
        ],
    ),
    "fsdp bert_classifier of a batch size that is found": (
        "bert_classifier",
        ["--data.batch_size", "auto", "--data.num_reviews", "60", "--model.dropout", "0", *MOMENTUM],
    ),
}
FSDP = ["--trainer.strategy", "fsdp", "--trainer.devices", "2"]
ACROSS = "fsdp bert_classifier"
SHORT = [
    *("--trainer.max_steps", "6", "--trainer.accelerator", "cpu", "--trainer.precision", "32"),
    *(
        "--trainer.limit_val_batches",
        "3",
        "--trainer.limit_test_batches",
        "3",
        "--trainer.enable_progress_bar",
        "false",
    ),
    *("--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.05", "--model.schedule", "constant"),
    *("--model.warmup", "0"),
]


def run(script: str, *words: str) -> None:
    """Run a script, which has to succeed, and starts its further processes itself."""
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "scripts" / script), *words]
    ended = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs on two processes, all one after the other in the same two, which are slow to start.

    Of several processes that test, the first makes them.
    """
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    with FileLock(folder / "runs.lock"):
        if not (folder / "runs").exists():
            make_runs(request, folder / "runs")
    return folder / "runs"


def make_runs(request: pytest.FixtureRequest, folder: Path) -> None:
    """Train the requested cases on two processes."""
    folder.mkdir()
    requested = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    cases = {params["case"] for params in requested if params.get("case") in CASES | SHARDED}
    lines: list[tuple[list[str], int | None]] = [
        ([*words_of(case), *(FSDP if case in SHARDED else []), "--logs", str(folder / "two" / case)], None)
        for case in sorted(cases)
    ]
    for first in sorted({params["first"] for params in requested if "first" in params}):
        words = [*words_of(ACROSS), "--logs", str(folder / "first" / first)]
        if first == "fsdp":
            lines.append(([*words, *FSDP], 3))
        else:
            assert train(words, 3) == 128 + signal.SIGTERM
            run = folder / "first" / first / words[1] / "version_0"
            lines.append((["--resume", str(run), "--inexact", *FSDP], None))
    on_two_processes(folder, command_lines.main, lines)


def words_of(case: str) -> list[str]:
    name, words = (CASES | SHARDED)[case]
    return ["--model", name, *LITTLE.get(data_of(name), []), *SHORT, *words]


def one_and_two(case: str, runs: Path) -> tuple[Path, Path]:
    """The folders of a case's run on one process, which is this one, and on two."""
    assert train([*words_of(case), "--logs", str(runs / "one" / case)]) == 0
    name = words_of(case)[1]
    return runs / "one" / case / name / "version_0", runs / "two" / case / name / "version_0"


def gradient_norms(folder: Path) -> list[float]:
    """The norm of each step's gradient that a run has logged."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["train/gradient_norm"]) for row in csv.DictReader(file) if row["train/gradient_norm"]]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_and_test_as_one(case: str, runs: Path) -> None:
    one, two = one_and_two(case, runs)
    weights = [read_checkpoint(folder / "checkpoints" / "last.ckpt")["state_dict"] for folder in (one, two)]
    for key, weight in weights[0].items():
        torch.testing.assert_close(weights[1][key], weight, rtol=1e-4, atol=1e-5, msg=partial("{}: {}".format, key))
    scores = [json.loads((folder / "results.json").read_text()) for folder in (one, two)]
    for part in ("test", "baseline"):
        assert scores[0][part] == pytest.approx(scores[1][part], rel=1e-3, abs=1e-4)
    assert scores[0].get("per_class") == scores[1].get("per_class")
    predictions = [folder / "test_predictions.csv" for folder in (one, two)]
    assert predictions[0].exists() == predictions[1].exists()
    if predictions[0].exists():
        tested = [
            sorted(line.split(",")[:2] for line in file.read_text(encoding="utf-8").splitlines()[1:])
            for file in predictions
        ]
        assert tested[0] == tested[1], "each example once, whatever process has tested it"
    assert gradient_norms(one) == pytest.approx(gradient_norms(two), rel=1e-3)
    if case == "the whole test":
        assert sum(each["examples"] for each in scores[1]["per_class"].values()) == 113  # no patient twice


def compare_with_sharded(one: Path, fsdp: Path) -> None:
    """Sharded weights have to train as others do."""
    saved = [read_checkpoint(path / "checkpoints" / "last.ckpt") for path in (one, fsdp)]
    (expected,), (found,) = (checkpoint["optimizer_states"] for checkpoint in saved)
    for groups in (found["param_groups"], expected["param_groups"]):
        for group in groups:
            group.pop("fused", None)  # which shards are not
    assert found["param_groups"] == expected["param_groups"]
    assert found["state"].keys() == expected["state"].keys()
    for index, state in expected["state"].items():
        torch.testing.assert_close(found["state"][index], state, rtol=1e-4, atol=1e-5)
    for weights in ("state_dict", "newest_weights"):  # the latter where an average is kept
        found, expected = (dict(checkpoint.get(weights, {})) for checkpoint in reversed(saved))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    scores = [json.loads((path / "results.json").read_text())["test"] for path in (one, fsdp)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-3, abs=1e-4)
    assert gradient_norms(one) == pytest.approx(gradient_norms(fsdp), rel=1e-3)


def compare_matrices(one: Path, fsdp: Path) -> None:
    """Sharded matrices have to train as others do, but for Muon's products in bf16: a step changes weights by 0.001.

    Of embeddings whose gradient is nearly 0 AdamW sees the signs of roundings.
    """
    saved = [read_checkpoint(path / "checkpoints" / "last.ckpt")["state_dict"] for path in (one, fsdp)]
    expected, found = ({name: each[name] for name in each if "_proj." in name} for each in saved)
    assert len(expected) == 3 * 7
    differences = torch.cat([(found[name] - weight).abs().flatten() for name, weight in expected.items()])
    assert float(differences.mean()) < 1e-4


@pytest.mark.parametrize("case", SHARDED)
def test_two_processes_that_shard_the_weights_train_as_one(case: str, runs: Path) -> None:
    one, fsdp = one_and_two(case, runs)
    if "Muon" in case:
        compare_matrices(one, fsdp)
        return
    compare_with_sharded(one, fsdp)
    averaged = "newest_weights" in read_checkpoint(one / "checkpoints" / "last.ckpt")
    assert averaged == ("average" in case)
    if "adapters" in case:
        for name in ("adapter_model", "head"):
            expected, found = (load_file(path / "adapter" / f"{name}.safetensors") for path in (one, fsdp))
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    if "transformer" in case:  # what is saved needs neither the strategy nor two processes
        testing.main(["--checkpoint", str(fsdp), "--trainer.devices", "1", "--trainer.limit_test_batches", "1"])


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_that_shard_the_weights_train_as_with_ddp(tmp_path: Path) -> None:
    words = [*words_of("fsdp transformer"), "--trainer.accelerator", "gpu", "--trainer.devices", "2"]
    for strategy in ("ddp", "fsdp"):
        run("fit.py", *words, "--trainer.strategy", strategy, "--logs", str(tmp_path / strategy))
    ddp, fsdp = (tmp_path / strategy / "transformer" / "version_0" for strategy in ("ddp", "fsdp"))
    compare_with_sharded(ddp, fsdp)


def test_each_of_two_processes_keeps_half_of_every_weight(tmp_path: Path) -> None:
    on_two_processes(tmp_path, shared_weights.main)


@pytest.mark.skipif(sys.platform != "linux", reason="how much memory a process has is read as Linux tells it")
def test_no_process_has_all_weights_when_they_are_built_saved_or_read(tmp_path: Path) -> None:
    on_two_processes(tmp_path, sharded_memory.main, tmp_path / "last.ckpt")


def test_a_resnet_whose_batch_norms_share_their_statistics_trains_on_two_processes_as_on_one(tmp_path: Path) -> None:
    on_two_processes(tmp_path, shared_statistics.main, tmp_path / "differences.json")
    differences = json.loads((tmp_path / "differences.json").read_text())
    assert "bn1.running_var" in differences
    assert max(differences.values()) < 1e-9  # in 64 bits; in 32, so deep a network makes 1 % of it in two steps


def test_two_processes_predict_in_the_order_of_the_input(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    words = ["--trainer.max_steps", "2", "--data.batch_size", "32", "--trainer.accelerator", "cpu"]
    assert train(["--model", "attention_rnn", "--data.num_reviews", "200", *words, "--logs", str(logs)]) == 0
    checkpoint = str(logs / "attention_rnn" / "version_0")
    for rows in (5, 65):  # fewer than a batch, and of the last batch but one
        file = tmp_path / f"{rows}.txt"
        file.write_text("\n".join(f"it is number {row} and {'good ' * (row % 7)}" for row in range(rows)))
        outputs = [tmp_path / f"{rows} {devices}.csv" for devices in (1, 2)]
        one, two = (["--checkpoint", checkpoint, "--input", str(file), "--output", str(path)] for path in outputs)
        predict.main(one)
        if rows == 5:
            on_two_processes(tmp_path, predict.main, two)
        else:
            run("predict.py", *two, "--trainer.devices", "2")
        found = []
        for output in outputs:
            with output.open() as rows_of:
                found.append(list(csv.DictReader(rows_of)))
        assert [row["input"] for row in found[1]] == [row["input"] for row in found[0]]
        assert [row["prediction"] for row in found[1]] == [row["prediction"] for row in found[0]]
        for alone, together in zip(*found, strict=True):
            assert float(together["p_positive"]) == pytest.approx(float(alone["p_positive"]), abs=1e-5)


def test_processes_that_read_other_data_stop_before_they_train(tmp_path: Path) -> None:
    on_two_processes(tmp_path, unlike_data.main, tmp_path)
    first, second = (json.loads((tmp_path / f"found {rank}.json").read_text()) for rank in (0, 1))
    expected = {
        "a feature": "column height",
        "a label": "target",
        "a class": "target",
        "a row": "89 examples (process 0 has 90)",
        "a row, in testing": "89 examples (process 0 has 90)",
    }
    assert first.pop("nothing")["status"] == second.pop("nothing")["status"] == 0
    assert first.keys() == second.keys() == expected.keys()
    for name, part in expected.items():
        assert first[name]["status"] == second[name]["status"] == 2, (name, first[name], second[name])
        said = first[name]["said"]
        line = f"table.csv: process 1 has other data than process 0: {part}; expected the same files on every machine\n"
        assert said.startswith("error: "), said
        assert said.endswith(line), said
        assert said.count("\n") == 1, said
        assert second[name]["said"] == ""


@pytest.mark.parametrize("first", ["fsdp", "one process"])
def test_what_one_strategy_has_saved_another_resumes(first: str, runs: Path, tmp_path: Path) -> None:
    name = words_of(ACROSS)[1]
    run = runs / "first" / first / name / "version_0"
    if first == "fsdp":
        one = ["--resume", str(run), "--trainer.strategy", "auto", "--trainer.devices", "1"]
        assert train(one) == 2  # another number of processes
        assert train([*one, "--inexact"]) == 0
    assert train([*words_of(ACROSS), "--logs", str(tmp_path)]) == 0
    compare_with_sharded(tmp_path / name / "version_0", run)


def test_a_checkpoint_has_the_same_scores_when_two_processes_test_it(tmp_path: Path, capsys: Any) -> None:
    assert train([*words_of("the whole test"), "--logs", str(tmp_path)]) == 0
    capsys.readouterr()
    words = ["--checkpoint", str(tmp_path / "mlp" / "version_0")]
    testing.main(words)
    one, two = capsys.readouterr().out.split(), on_two_processes(tmp_path, testing.main, words).split()
    assert [word for word in two if not is_number(word)] == [word for word in one if not is_number(word)]
    numbers = [[float(word) for word in said if is_number(word)] for said in (one, two)]
    assert numbers[0]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-3)


def is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdecimal()

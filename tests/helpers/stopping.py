"""Runs a recipe to its end at once, and in pieces: what the exactness tests compare."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray
from torch import Tensor

from callbacks.loggers.run_table import FILE
from callbacks.run.checkpoint_file import read_checkpoint
from callbacks.run.checkpoints import Checkpoints
from scripts.cli.command_line.recipes import read_recipe, recipe_names
from scripts.fit import main as fit

SHORT = [
    *("--trainer.max_epochs", "2", "--trainer.limit_train_batches", "4", "--trainer.limit_val_batches", "2"),
    *("--trainer.limit_test_batches", "2", "--trainer.check_val_every_n_epoch", "1", "--trainer.precision", "32"),
    *("--trainer.log_every_n_steps", "1", "--trainer.num_sanity_val_steps", "1", "--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false", "--timeout", "5"),  # whose watchdog says where a run hangs
]
LITTLE = {  # data, and batches of which an epoch has at least four
    "datamodules.chat.Chat": ["--data.num_conversations", "600", "--model.new_tokens", "8"],
    "datamodules.corpus.Corpus": ["--data.num_texts", "400", "--model.new_tokens", "8"],
    "datamodules.graphs.GraphClasses": ["--data.num_graphs", "100"],
    "datamodules.nodes.Nodes": ["--data.batch_size", "1"],  # the club has four labelled nodes
    "datamodules.preferences.Preferences": ["--data.num_pairs", "300"],
    "datamodules.reading.Reading": ["--data.num_contexts", "60", "--data.batch_size", "4"],
    "datamodules.tagging.Tagging": ["--data.num_sentences", "200"],
    "datamodules.text.TextClassification": ["--data.num_reviews", "200"],
    "datamodules.translation.Translation": ["--data.num_phrases", "300"],
}
NARROW = ["--model.hidden_size", "32", "--model.num_layers", "1", "--model.num_heads", "2"]  # for the compiler
USAGE = "» machine/"
SMALLER = {"gan": ["--model.judge_steps", "5", "--model.hidden_size", "8"]}


def data_of(name: str) -> str:
    """The class path of a recipe's datamodule."""
    return str(read_recipe(name)["data"]["class_path"])


def shortened(name: str) -> list[str]:
    """What makes a recipe's run short besides."""
    return ["--data.batch_size", "8", *LITTLE.get(data_of(name), []), *SMALLER.get(name, [])]


FURTHER = {name: shortened(name) for name in recipe_names()}
PLATEAU = [  # which no small rate leaves, so that it gets smaller with every validation
    *("--model.schedule", "plateau", "--model.plateau_patience", "1", "--model.plateau_factor", "0.5"),
    *("--model.warmup", "0.25", "--model.monitor", "val/accuracy", "--model.optimizer.lr", "1e-6"),
]
SEVERAL = [  # at once, of those that go together
    *("--data.word_dropout", "0.2", "--data.balance", "over", "--averaging.kind", "swa"),
    *("--trainer.accumulate_grad_batches", "2", "--trainer.max_epochs", "4", "--trainer.precision", "bf16-mixed"),
    *("--averaging.start", "0.3", "--model.schedule", "plateau", "--model.plateau_patience", "1"),
    *("--model.label_smoothing", "0.1", "--early_stopping.patience", "9"),
]
TECHNIQUES = {  # a recipe, and what is more than it has
    "plateau": ("mlp", PLATEAU),
    "ema": ("cnn", ["--averaging.kind", "ema"]),
    "ema of a Transformer": ("torch_transformer", ["--averaging.kind", "ema"]),
    "activation_checkpointing": ("transformer", ["--activation_checkpointing.every", "1"]),
    "lora": ("bert_classifier", ["--lora.rank", "2", "--lora.dropout", "0.1"]),
    "fp16": ("cnn", ["--trainer.precision", "16-mixed", "--trainer.gradient_clip_val", "1"]),
    "swa of what thaws": (
        "cnn",
        ["--finetuning.freeze_epochs", "1", "--averaging.kind", "swa", "--averaging.start", "0"],
    ),
    "compile": ("mlp", ["--compile.mode", "default"]),
    "compile for all shapes": ("attention_rnn", ["--compile.mode", "default", "--data.word_dropout", "0.1"]),
    "swa": ("cnn", ["--averaging.kind", "swa", "--averaging.start", "0.5"]),
    "bf16": ("cnn", ["--trainer.precision", "bf16-mixed"]),
    "several": ("bert_classifier", SEVERAL),
}
TWICE = ["--trainer.val_check_interval", "2"]  # an epoch
# Augmentation of training data.
IMAGES = ["--data.auto_augment", "trivial", "--data.erase", "0.5", "--data.mixup", "0.4", "--data.cutmix", "1"]
GRAPHS = ["--data.edge_dropout", "0.3", "--data.feature_masking", "0.2"]
WORDS = ["--data.word_dropout", "0.2"]


@contextmanager
def signalled(step: int | None, signum: int = signal.SIGTERM, rank: int = 0) -> Iterator[None]:
    """Within this, a run is sent a real signal when so many steps are done."""
    original = Checkpoints.on_train_batch_start

    def signalling(self: Checkpoints, trainer: Any, *args: Any) -> None:
        if trainer.global_step == step and trainer.global_rank == rank:
            os.kill(os.getpid(), signum)
        original(self, trainer, *args)

    with patch.object(Checkpoints, "on_train_batch_start", signalling):
        yield


def train(words: list[str], stop: int | None = None, **options: Any) -> int:
    """Run a command line in this process, stopped after so many steps; its exit status."""
    try:
        with signalled(stop, **options):
            fit(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def in_pieces(
    name: str, folder: Path, stops: list[int], further: list[str], signum: int = signal.SIGTERM
) -> tuple[Path, Path]:
    """The folders of two runs of a recipe: one that nobody stopped, and one stopped after each of so many steps.

    Args:
        name: of the recipe.
        folder: of both runs' logs.
        stops: steps after which it is stopped.
        further: words of the command line.
        signum: the signal that stops it.
    """
    words = ["--model", name, *SHORT, *shortened(name), *further]
    assert train([*words, "--logs", str(folder / "whole")]) == 0
    pieces = folder / "pieces" / name / "version_0"
    first = [*words, "--logs", str(folder / "pieces")]
    for index, stop in enumerate(stops):
        status = train(["--resume", str(pieces)] if index else first, stop, signum=signum)
        assert status == 128 + signum, status
        assert read_checkpoint(pieces / "checkpoints" / "last.ckpt")["global_step"] == stop
    assert train(["--resume", str(pieces)]) == 0
    return folder / "whole" / name / "version_0", pieces


def unlike(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two checkpoints differ, in any bit."""
    if type(one) is not type(other):
        return [where]
    if isinstance(one, Tensor):
        same = one.dtype == other.dtype and torch.equal(one, other)
        return [] if same or (one.is_floating_point() and torch.allclose(one, other, 0, 0, equal_nan=True)) else [where]
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [f"{where}: {sorted(map(str, one.keys() ^ other.keys()))}"]
        return [found for key in one for found in unlike(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [where]
        pairs = enumerate(zip(one, other, strict=True))
        return [found for place, pair in pairs for found in unlike(*pair, f"{where}/{place}")]
    return [] if one == other or (one != one and other != other) else [f"{where}: {one} {other}"]


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that TensorBoard shows of a run, by name: what a resumed run logs again replaces what was there.

    Speed and memory, which no two runs have alike, are left out.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    files = [[*EventFileLoader(str(file)).Load()] for file in run.glob("events.out.tfevents.*")]
    for event in (event for events in sorted(files, key=lambda events: events[0].wall_time) for event in events):
        if event.session_log.status == SessionLog.START:
            curves = {name: [point for point in curve if point[0] < event.step] for name, curve in curves.items()}
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars" and not value.tag.startswith(USAGE):
                curves.setdefault(value.tag, []).append((event.step, float(make_ndarray(value.tensor))))
    return curves


def row(run: Path) -> dict[str, Any]:
    """What TensorBoard's table of runs has of a run."""
    summaries = [value for event in EventFileLoader(str(run / FILE)).Load() for value in event.summary.value]
    (start,) = [value.metadata.plugin_data for value in summaries if value.tag == metadata.SESSION_START_INFO_TAG]
    values = metadata.parse_session_start_info_plugin_data(start.content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def compare(whole: Path, pieces: Path) -> list[str]:
    """Where two runs differ in weights, optimizers, progress or logs; times are left out."""
    found = []
    for file in ("last.ckpt", "best.ckpt"):
        one, other = (read_checkpoint(run / "checkpoints" / file) for run in (whole, pieces))
        for checkpoint in (one, other):
            del checkpoint["callbacks"]["Throughput"], checkpoint["metrics_file"]  # which is compared whole, below
        found += unlike(one, other, file)
    logs = [(run / "metrics.csv").read_bytes() for run in (whole, pieces)]
    found += [] if logs[0] == logs[1] else ["metrics.csv"]
    curves = scalars(whole)
    assert curves
    found += unlike(row(whole), row(pieces), "the table of runs")
    return found + unlike(curves, scalars(pieces), "TensorBoard")

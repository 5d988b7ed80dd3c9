"""What every recipe promises. A new recipe is tested without being listed anywhere."""

import csv
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from callbacks.run.checkpoint_file import write_checkpoint
from datamodules.tokenizing.packed import Packed
from lightning_modules.tasks.preference import Preference
from scripts.cli.command_line.classes import class_at, constructor_arguments
from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import read_recipe, recipe_names, resolve
from scripts.cli.command_line.techniques import TECHNIQUES
from scripts.cli.evaluate import prediction, testing
from scripts.cli.run.experiment import Experiment
from scripts.cli.spreadsheet import cell
from tests.helpers.example_inputs import example_input
from tests.helpers.in_minutes import ALL, IN_MINUTES
from tests.helpers.offline import without_a_network
from tests.helpers.stopping import shortened

Trained = tuple[str, dict[str, Any], Path]  # the name of a recipe, and the results and the folder of its run


def built(name: str) -> Experiment:
    """Little data and the recipe's network."""
    request = resolve(["--model", name, *shortened(name)])
    return Experiment(request).build()


def lower_is_better(name: str, metric: str) -> bool:
    """Whether a `min` of the metric, named with or without its split, is best for the recipe's model."""
    cls = class_at(read_recipe(name)["model"]["class_path"])
    return metric.split("/")[-1] in cls.lower_is_better


BRIEFLY = {
    "max_epochs": 1,
    "check_val_every_n_epoch": 1,
    "limit_train_batches": 4,
    "limit_val_batches": 2,
    "limit_test_batches": 2,
}


DEEP = ("efficientnet", "inception")  # what is tried of each recipe takes more than a few seconds of these
DOCUMENTED = [name for name in recipe_names() if "data" in read_recipe(name).get("about", {})]  # one's own may be less
SLOW = (*DEEP, "torch_transformer", "llm_chat")  # to train; others try such networks
# Those that train for more than a minute and a half have to be better than every baseline (0.17 of BM25, 19.7 of
# components, 0.58 of n-grams) after fewer epochs; with SCORES=all they train to the end.
BRIEF: dict[str, tuple[int, dict[str, float]]] = (
    {} if ALL else {"bert_qa": (1, {"f1": 0.4}), "gan": (30, {"frechet": 19}), "llm": (1, {"bits_per_byte": 0.5})}
)
GATES = [pytest.param(name, marks=[IN_MINUTES] if name in SLOW else []) for name in DOCUMENTED]
RECIPES = [pytest.param(name, marks=[pytest.mark.long] if name in DEEP else []) for name in recipe_names()]


@pytest.fixture(scope="session", params=RECIPES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of the recipe over a few batches: its name, results and folder."""
    logs = tmp_path_factory.mktemp("logs")
    words = [word for key, value in BRIEFLY.items() for word in (f"--trainer.{key}", str(value))]
    words += ["--model", request.param, "--logs", str(logs), *shortened(request.param)]
    with without_a_network():
        results = Experiment(resolve(words)).fit().results
    return request.param, results, logs / request.param / "version_0"


@pytest.mark.long
@pytest.mark.parametrize("name", GATES)
def test_beats_its_baseline_and_reaches_the_score_that_the_list_states(name: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    epochs, least = BRIEF.get(name, (None, None))
    words = [] if epochs is None else ["--trainer.max_epochs", str(epochs)]
    results = Experiment(resolve(["--model", name, "--logs", str(tmp_path), *words])).fit().results
    assert name != "gat" or time.perf_counter() - began < 45, "a minute, less what it takes to start"
    expected = dict(read_recipe(name)["about"]["data"][results["data"]])
    del expected["seconds"]
    expected.pop("with", None)
    assert expected
    for metric, score in (least or expected).items():
        sign = -1 if lower_is_better(name, metric) else 1
        assert sign * results["test"][metric] >= sign * score
        assert sign * results["test"][metric] > sign * results["baseline"][metric]


def test_the_folder_holds_what_is_promised(trained: Trained) -> None:
    name, results, folder = trained
    assert json.loads((folder / "results.json").read_text()) == results
    of_texts = [key for key in ("tokens_per_second", "flops_per_second") if key in results]
    assert [key for key in results if key != "per_class"] == [
        "model", "data", "seed", "test", "baseline", "baselines", "units", "modes", "monitor", "mode", "best",
        "best_epoch", "best_step", "end", "train_seconds", "examples_per_second", *of_texts, "best_checkpoint",
        "partial", "commit", "versions", "machine", "parameters", "sizes", "notes", "fingerprint",
        *(["dependent_examples", "intervals"] if name != "gan" else []),
    ]  # fmt: skip
    assert ("per_class" in results) == ("balanced_accuracy" in results["test"])  # where there are classes
    assert results["model"] == name
    assert Path(results["best_checkpoint"]) == folder / "checkpoints" / "best.ckpt"
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row for row in rows if row["train/loss"]]
    best = (min if lower_is_better(name, results["monitor"]) else max)(
        float(row[results["monitor"]]) for row in rows if row[results["monitor"]]
    )
    assert results["best"] == pytest.approx(best)
    for metric, value in results["test"].items():
        assert float(rows[-1][f"test/{metric}"]) == pytest.approx(value)


def test_a_run_without_a_technique_has_no_section_of_it(trained: Trained) -> None:
    _, _, folder = trained
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert not TECHNIQUES.keys() & config.keys()
    arguments = constructor_arguments(class_at(config["model"]["class_path"]))
    assert ("pretrained" in config["model"]["init_args"]) == ("pretrained" in arguments)


def test_tensorboard_has_the_settings_and_the_best_metric(trained: Trained) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, results, folder = trained
    events = EventAccumulator(str(folder))
    events.Reload()
    monitor = results["monitor"]
    tags = events.Tags()["scalars"]
    assert {"train/loss", "val/loss", f"{monitor}_best", "» optimizer/learning_rate"} <= {*tags}
    assert {tag.split("/")[0] for tag in tags} == {"train", "val", "» optimizer", "» machine"}
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert events.Scalars(f"{monitor}_best")[-1].value == pytest.approx(results["best"], rel=1e-6)
    norms = [event.value for event in events.Scalars("» optimizer/gradient_norm")]
    assert all(0 < norm < float("inf") for norm in norms)


def test_the_checkpoint_alone_tests_and_repeats_the_score(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    _, results, folder = trained
    assert testing.test([], [str(folder)], None, None) == pytest.approx(results["test"], rel=1e-5)
    assert "trivial" in capsys.readouterr().out


def test_a_checkpoint_holds_plain_types_and_describes_itself(trained: Trained) -> None:
    _, _, folder = trained
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["config"] == yaml.safe_load((folder / "config.yaml").read_text())


def test_predicts_the_same_before_and_after_it_is_saved(trained: Trained) -> None:
    name, _, folder = trained
    first = Experiment.load(str(folder))
    path = folder / "checkpoints" / "again.ckpt"
    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint["state_dict"] = first.model.state_dict()
    write_checkpoint(checkpoint, path)
    second = Experiment.load(str(path))
    path.unlink()
    data = first.data
    data.set_input(example_input(name))
    inputs = data.on_after_batch_transfer(next(iter(data.predict_dataloader())), 0)
    with torch.no_grad():
        assert first.model.eval().predict_step(inputs) == second.model.eval().predict_step(inputs)


def test_predicts_for_files_in_their_order(trained: Trained, tmp_path: Path) -> None:
    name, _, folder = trained
    source = example_input(name)
    outputs = [tmp_path / "rows.csv", tmp_path / "rows.jsonl"]
    for output in outputs:
        prediction.predict([], [str(folder)], [str(source)], None, str(output))
    with outputs[0].open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    rows = [json.loads(line) for line in outputs[1].read_text(encoding="utf-8").splitlines()]
    assert [row["input"] for row in rows] == [row["input"] for row in table]
    assert len(rows) >= 2
    for row, cells in zip(rows, table, strict=True):
        assert str(cell(row["prediction"])) == cells["prediction"]
        if "probabilities" in row:
            assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)
            assert float(cells[f"p_{row['prediction']}"]) == pytest.approx(max(row["probabilities"].values()))


def test_repeated_from_its_configuration_a_run_gives_the_same_result(trained: Trained, tmp_path: Path) -> None:
    _, results, folder = trained
    again = Experiment(resolve(["--config", str(folder / "config.yaml"), "--logs", str(tmp_path)])).fit().results
    assert again is not None
    for key in ("model", "data", "seed", "test", "baseline", "monitor", "best"):
        assert again[key] == results[key]


class UntilMemorised(Callback):
    """Stops as soon as the batch's loss, without dropout, is less than half of what it was.

    Batch norms take the batch's own statistics: how soon the running ones follow is not asked here.
    """

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def loss(self, model: Any) -> float:
        with torch.no_grad():
            model.eval()
            for module in model.modules():
                module.train(isinstance(module, torch.nn.modules.batchnorm._BatchNorm))
            loss = float(model.step(self.batch).loss)
        model.train()
        return loss

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.before = self.after = self.loss(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_step % 10 == 0:
            self.after = self.loss(pl_module)
            trainer.should_stop = self.after < 0.5 * self.before


@pytest.mark.parametrize("name", RECIPES)
def test_memorises_one_batch(name: str) -> None:
    run = built(name)
    if run.data.batch_size != 1:
        run.data.batch_size = 16
    batch = run.data.on_after_batch_transfer(next(iter(run.data.train_dataloader())), 0)
    model: Any = run.model
    if not model.automatic_optimization:
        pytest.skip("two networks against each other have no loss that falls: see their model's own tests")
    model.schedule, model.warmup = "constant", 0.0
    if isinstance(model, Preference):
        model.refer(batch, len(batch.index) + int(batch.index.max()))
    memorised = UntilMemorised(batch)
    trainer = Trainer(
        max_steps=300,
        callbacks=[memorised],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches: Any = [batch] * 300
    trainer.fit(model, DataLoader(batches, batch_size=None), DataLoader(batches[:1], batch_size=None))
    assert memorised.after < 0.5 * memorised.before


def row_of(inputs: Any, row: int) -> Any:
    """One example of a batch, as a batch."""
    if isinstance(inputs, Packed):
        parts: list[Any] = [None if part is None else part[row : row + 1] for part in inputs]
        return Packed(*parts)
    return inputs[row : row + 1]


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_does_not_leak(name: str) -> None:
    """The loss of one example depends on no other example of its batch."""
    run = built(name)
    model = run.model.eval()
    if not model.automatic_optimization:
        pytest.skip("takes noise, not the data's inputs: see the model's own tests")
    batch = run.data.on_after_batch_transfer(next(iter(run.data.val_dataloader())), 0)
    inputs = batch if isinstance(batch, Packed) else batch[0]
    if not isinstance(inputs, torch.Tensor | Packed):
        pytest.skip("graphs are compared one by one in their models' own tests")
    with torch.no_grad():
        together = model(inputs)
        alone = torch.cat([model(row_of(inputs, row)) for row in range(3)])
    torch.testing.assert_close(together[:3], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_recipe_holds_only_what_differs_from_the_defaults(name: str) -> None:
    recipe = read_recipe(name)
    assert set(recipe) <= {"about", "model", "data", "trainer", "seed_everything"}
    about = recipe["about"]
    assert {"task", "summary", "paper", "data"} <= set(about)
    assert re.search(r"https://|\d{4}", about["paper"])
    bare = resolve(["--model", name])
    bare.defaults = {}
    _, defaults = parse(bare)
    for section in ("model", "data"):
        for key, value in recipe[section]["init_args"].items():
            if key != "dataset":  # said even where it is the default: --list reads it
                assert defaults[section][key] != value, f"{section}.{key}: {value} is the default already"

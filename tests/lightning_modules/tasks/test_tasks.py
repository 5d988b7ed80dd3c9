"""Metrics and results of the tasks, against the definitions."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from sklearn import metrics as sk
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics import Metric

from lightning_modules.linear_regression import LinearRegression
from lightning_modules.mlp import MLP
from lightning_modules.tasks.classifier import Classifier
from lightning_modules.tasks.forecaster import Forecaster
from lightning_modules.tasks.generator import ClassFractions
from lightning_modules.tasks.tagger import Tagger
from lightning_modules.tasks.task import Task

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def loader(x: Tensor, y: Tensor, size: int = 7) -> DataLoader[Any]:
    batches: Any = list(zip(x.split(size), y.split(size), strict=True))
    return DataLoader(batches, batch_size=None)


def results_of(model: Task, x: Tensor, y: Tensor, size: int = 7) -> dict[str, float]:
    return {**Trainer(**QUIET).test(model, loader(x, y, size), verbose=False)[0]}


@pytest.mark.parametrize("classes", [2, 3])
def test_classification_metrics_equal_scikit_learns(classes: int) -> None:
    torch.manual_seed(1)
    x, y = torch.randn(50, 4), torch.randint(0, classes, (50,))
    model = MLP(4, classes, class_counts=[30, *[10] * (classes - 1)])
    result = results_of(model, x, y)
    with torch.no_grad():
        probability = model.eval()(x).softmax(-1).numpy()
    guess = probability.argmax(1)
    assert result["test/accuracy"] == pytest.approx(sk.accuracy_score(y, guess))
    assert result["test/f1"] == pytest.approx(sk.f1_score(y, guess, average="macro"), abs=1e-6)
    assert result["test/balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, guess))
    assert result["test/loss"] == pytest.approx(sk.log_loss(y, probability), rel=1e-5)
    assert result["baseline/accuracy"] == pytest.approx(float((y == 0).float().mean()))
    if classes == 2:
        assert result["test/average_precision"] == pytest.approx(sk.average_precision_score(y, probability[:, 1]))
        assert result["test/auroc"] == pytest.approx(sk.roc_auc_score(y, probability[:, 1]))
        assert result["baseline/average_precision"] == pytest.approx(float(y.float().mean()))
        assert result["baseline/auroc"] == pytest.approx(0.5)
    else:
        each = [sk.average_precision_score(y == label, probability[:, label]) for label in range(classes)]
        assert result["test/average_precision"] == pytest.approx(np.mean(each))
        assert result["baseline/average_precision"] == pytest.approx(1 / 3)  # constant scores


def test_a_class_without_test_examples_has_no_average_precision() -> None:
    torch.manual_seed(2)
    x, y = torch.randn(20, 4), torch.randint(0, 2, (20,)) * 2
    model = MLP(4, 3)
    result = results_of(model, x, y)
    with torch.no_grad():
        probability = model.eval()(x).softmax(-1).numpy()
    each = [sk.average_precision_score(y == label, probability[:, label]) for label in (0, 2)]
    assert result["test/average_precision"] == pytest.approx(np.mean(each))
    assert results_of(model, x, torch.zeros(20, dtype=torch.long))["test/average_precision"] == 1


def test_batches_of_small_scores_are_ranked_among_the_others() -> None:
    class Identity(MLP):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.zeros_like(x), x], dim=1)

    model = Identity(1, 2)
    x = torch.tensor([0.1, 0.9, 0.2, -0.1, 0.3, -2.0]).unsqueeze(1)  # the first three as if they were probabilities
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    result = results_of(model, x, y, 3)
    assert result["test/auroc"] == pytest.approx(sk.roc_auc_score(y, x[:, 0]))
    assert result["test/average_precision"] == pytest.approx(sk.average_precision_score(y, x[:, 0]))


def test_regression_metrics_are_in_the_datas_units() -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    y = 100 + 20 * (x[:, 0] + 0.1 * torch.randn(40))
    model = LinearRegression(3, target_mean=95.0, target_std=20.0)
    result = results_of(model, x, y)
    guess = model(x).detach() * 20 + 95
    assert result["test/mae"] == pytest.approx(sk.mean_absolute_error(y, guess), rel=1e-5)
    assert result["test/rmse"] == pytest.approx(np.sqrt(sk.mean_squared_error(y, guess)), rel=1e-5)
    assert result["test/r2"] == pytest.approx(sk.r2_score(y, guess), rel=1e-4)
    assert result["baseline/mae"] == pytest.approx(sk.mean_absolute_error(y, np.full(40, 95.0)), rel=1e-5)


def values(*shape: int) -> Tensor:
    return torch.arange(math.prod(shape)).view(shape).sin()


@pytest.mark.parametrize(
    ("metrics", "prediction", "target"),
    [
        (MLP(4, 3).breakdown(), values(8, 3), torch.arange(8) % 3),
        (Forecaster(horizon=2).breakdown(), values(8, 2), values(8, 2).square()),
        (Tagger(["O", "B-a", "I-a"]).breakdown(), values(8, 3, 3), torch.tensor([[1, 2, 0]]).repeat(8, 1)),
        ({"classes": ClassFractions(3)}, values(8, 7), values(8, 7).square()),
    ],
)
def test_the_tables_of_two_processes_merge_into_those_of_one(
    metrics: dict[str, Metric], prediction: Tensor, target: Tensor
) -> None:
    for metric in metrics.values():
        together, first, second = metric, metric.clone(), metric.clone()
        together.update(prediction, target)
        first.update(prediction[:3], target[:3])
        second.update(prediction[3:], target[3:])
        first.merge_state(second)  # as the states of processes are reduced
        assert torch.count_nonzero(together.compute())
        torch.testing.assert_close(first.compute(), together.compute())


def test_without_class_counts_there_is_no_baseline() -> None:
    result = results_of(MLP(4, 3), torch.randn(9, 4), torch.randint(0, 3, (9,)))
    assert not [name for name in result if name.startswith("baseline/")]


def test_predictions_have_class_names_and_probabilities_that_sum_to_one() -> None:
    model = MLP(4, 3, class_names=["猫", "dog", "bird"]).eval()
    for row in model.predict_step(torch.randn(5, 4)):
        assert row["prediction"] == max(row["probabilities"], key=row["probabilities"].get)
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert list(row["probabilities"]) == ["猫", "dog", "bird"]


def test_an_unknown_metric_to_monitor_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"--model.monitor val/acc: expected one of val/loss, .*val/accuracy"):
        MLP(4, 3, monitor="val/acc")


@pytest.mark.parametrize(("monitor", "mode"), [("val/loss", "min"), ("val/accuracy", "max"), ("train/loss", "min")])
def test_the_mode_says_which_values_of_a_metric_are_better(monitor: str, mode: str) -> None:
    assert MLP(4, 3, monitor=monitor).mode == mode


def test_the_schedule_reaches_the_optimizer_at_every_step() -> None:
    class Recorded(MLP):
        def on_train_batch_end(self, *args: Any) -> None:
            rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    model = Recorded(4, 3, optimizer=partial(torch.optim.SGD, lr=1.0), schedule="linear")
    rates: list[float] = []
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    trainer = Trainer(**QUIET, max_epochs=2, log_every_n_steps=1)
    trainer.fit(model, loader(x, y, 2), loader(x, y))
    assert rates == pytest.approx([1 - step / 8 for step in range(1, 9)])


def test_a_model_without_an_optimizer_says_so() -> None:
    with pytest.raises(ValueError, match="no optimizer"):
        MLP(4, 3).configure_optimizers()


def test_a_saved_model_loads_without_the_command_line(tmp_path: Path) -> None:
    model = MLP(4, 3, hidden_size=5, optimizer=partial(torch.optim.SGD, lr=0.1))
    trainer = Trainer(**QUIET | {"enable_checkpointing": True}, default_root_dir=tmp_path, max_steps=1)
    batches = loader(torch.randn(8, 4), torch.randint(0, 3, (8,)), 4)
    trainer.fit(model, batches, batches)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = MLP.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    x = torch.randn(2, 4)
    torch.testing.assert_close(loaded.eval()(x), model.eval()(x), rtol=0, atol=0)


def test_a_network_of_two_classes_may_have_one_output() -> None:
    """Its loss is the binary cross-entropy, its predictions the sigmoid."""

    class One(Classifier):
        def __init__(self) -> None:
            super().__init__(num_classes=2, class_names=["no", "yes"])
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    model, x, target = One(), torch.randn(2, 3), torch.tensor([0, 1])  # as many examples as classes
    step = model.step((x, target))
    logit = model(x).squeeze(1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logit, target.float())
    torch.testing.assert_close(step.loss, expected)
    assert step.prediction.shape == (2, 2)
    for row, probability in zip(model.predict_step(x), logit.sigmoid().tolist(), strict=True):
        assert row["probabilities"]["yes"] == pytest.approx(probability, abs=1e-6)
    mean = model.mean_of(torch.stack([model(x), model(x)])).softmax(-1)
    torch.testing.assert_close(mean[:, 1], logit.sigmoid())

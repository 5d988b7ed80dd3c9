"""What the tasks report, against the definitions."""

from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from sklearn import metrics as sk
from torch.utils.data import DataLoader

from lightning_modules.linear_regression import LinearRegression
from lightning_modules.mlp import MLP

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def loader(x, y, size=7):
    return DataLoader(list(zip(x.split(size), y.split(size), strict=True)), batch_size=None)


def judged(model, x, y):
    return Trainer(**QUIET).test(model, loader(x, y), verbose=False)[0]


@pytest.mark.parametrize("classes", [2, 3])
def test_classification_metrics_equal_scikit_learns(classes):
    torch.manual_seed(1)
    x, y = torch.randn(50, 4), torch.randint(0, classes, (50,))
    model = MLP(4, classes, class_counts=[30, *[10] * (classes - 1)])
    result = judged(model, x, y)
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
        each = [sk.average_precision_score(y == number, probability[:, number]) for number in range(classes)]
        assert result["test/average_precision"] == pytest.approx(np.mean(each))
        assert result["baseline/average_precision"] == pytest.approx(1 / 3)  # the classes' shares, whatever they are


def test_a_class_without_test_examples_has_no_average_precision():
    torch.manual_seed(2)
    x, y = torch.randn(20, 4), torch.randint(0, 2, (20,)) * 2
    model = MLP(4, 3)
    result = judged(model, x, y)
    with torch.no_grad():
        probability = model.eval()(x).softmax(-1).numpy()
    each = [sk.average_precision_score(y == number, probability[:, number]) for number in (0, 2)]
    assert result["test/average_precision"] == pytest.approx(np.mean(each))
    assert judged(model, x, torch.zeros(20, dtype=torch.long))["test/average_precision"] == 1


def test_batches_of_small_scores_are_ranked_among_the_others():
    model = MLP(1, 2)
    model.forward = lambda x: torch.cat([torch.zeros_like(x), x], dim=1)
    x = torch.tensor([0.1, 0.9, 0.2, -0.1, 0.3, -2.0]).unsqueeze(1)  # the first three as if they were probabilities
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    result = Trainer(**QUIET).test(model, loader(x, y, 3), verbose=False)[0]
    assert result["test/auroc"] == pytest.approx(sk.roc_auc_score(y, x[:, 0]))
    assert result["test/average_precision"] == pytest.approx(sk.average_precision_score(y, x[:, 0]))


def test_regression_metrics_are_in_the_datas_units():
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    y = 100 + 20 * (x[:, 0] + 0.1 * torch.randn(40))
    model = LinearRegression(3, target_mean=95.0, target_std=20.0)
    result = judged(model, x, y)
    guess = model(x).detach() * 20 + 95
    assert result["test/mae"] == pytest.approx(sk.mean_absolute_error(y, guess), rel=1e-5)
    assert result["test/rmse"] == pytest.approx(np.sqrt(sk.mean_squared_error(y, guess)), rel=1e-5)
    assert result["test/r2"] == pytest.approx(sk.r2_score(y, guess), rel=1e-4)
    assert result["baseline/mae"] == pytest.approx(sk.mean_absolute_error(y, np.full(40, 95.0)), rel=1e-5)


def test_without_the_classes_shares_there_is_no_baseline():
    result = judged(MLP(4, 3), torch.randn(9, 4), torch.randint(0, 3, (9,)))
    assert not [name for name in result if name.startswith("baseline/")]


def test_predictions_have_class_names_and_probabilities_that_sum_to_one():
    model = MLP(4, 3, class_names=["猫", "dog", "bird"]).eval()
    for row in model.predict_step(torch.randn(5, 4)):
        assert row["prediction"] == max(row["probabilities"], key=row["probabilities"].get)
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert list(row["probabilities"]) == ["猫", "dog", "bird"]


def test_an_unknown_metric_to_monitor_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"--model.monitor val/acc: expected one of val/loss, .*val/accuracy"):
        MLP(4, 3, monitor="val/acc")


@pytest.mark.parametrize(("monitor", "mode"), [("val/loss", "min"), ("val/accuracy", "max"), ("train/loss", "min")])
def test_knows_which_way_a_metric_is_better(monitor, mode):
    assert MLP(4, 3, monitor=monitor).mode == mode


def test_the_schedule_reaches_the_optimizer_at_every_step():
    model = MLP(4, 3, optimizer=partial(torch.optim.SGD, lr=1.0), schedule="linear")
    rates = []
    model.on_train_batch_end = lambda *_: rates.append(model.optimizers().param_groups[0]["lr"])
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    trainer = Trainer(**QUIET, max_epochs=2, log_every_n_steps=1)
    trainer.fit(model, loader(x, y, 2), loader(x, y))
    assert rates == pytest.approx([1 - step / 8 for step in range(1, 9)])


def test_a_model_without_an_optimizer_says_so():
    with pytest.raises(ValueError, match="no optimizer"):
        MLP(4, 3).configure_optimizers()


def test_a_saved_model_loads_without_the_command_line(tmp_path):
    model = MLP(4, 3, hidden_size=5, optimizer=partial(torch.optim.SGD, lr=0.1))
    trainer = Trainer(**QUIET | {"enable_checkpointing": True}, default_root_dir=tmp_path, max_steps=1)
    batches = loader(torch.randn(8, 4), torch.randint(0, 3, (8,)), 4)
    trainer.fit(model, batches, batches)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = MLP.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    x = torch.randn(2, 4)
    torch.testing.assert_close(loaded.eval()(x), model.eval()(x), rtol=0, atol=0)

"""Losses of classifiers, against the definitions."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from datamodules.errors import UserError
from lightning_modules.capsnet import CapsNet
from lightning_modules.inception import Inception
from lightning_modules.mlp import MLP
from lightning_modules.tasks.losses import class_losses
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment


def sampled(size: int = 20, classes: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return 3 * torch.randn(size, classes), torch.arange(size) % classes


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_without_gamma_it_is_torchs_cross_entropy_and_a_small_gamma_comes_near(smoothing: float) -> None:
    logits, target = sampled()
    expected = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(class_losses(logits, target, 0.0, smoothing), expected, rtol=0, atol=0)
    torch.testing.assert_close(class_losses(logits, target, 1e-6, smoothing), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_the_focal_loss_is_torchvisions_for_two_classes_and_the_papers_for_more(gamma: float) -> None:
    logits, target = sampled(classes=2)
    score = logits[:, 1] - logits[:, 0]
    expected = sigmoid_focal_loss(score, target.float(), alpha=-1, gamma=gamma)
    torch.testing.assert_close(class_losses(logits, target, gamma), expected)
    logits, target = sampled(classes=4)
    p = logits.softmax(1)[range(20), target]
    torch.testing.assert_close(class_losses(logits, target, gamma), -((1 - p) ** gamma) * p.log())


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_the_loss_of_a_mixed_target_is_the_mixed_loss_of_its_classes(gamma: float) -> None:
    logits, target = sampled()
    other = (target + 1) % 3
    mixed = 0.3 * F.one_hot(target, 3) + 0.7 * F.one_hot(other, 3)
    expected = 0.3 * class_losses(logits, target, gamma) + 0.7 * class_losses(logits, other, gamma)
    torch.testing.assert_close(class_losses(logits, mixed, gamma), expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_of_a_confident_model_has_a_gradient(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    class_losses(logits, torch.tensor([0, 0]), gamma).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[1, 0] < 0


def test_class_weights_are_torchs_and_two_parts_give_the_loss_of_the_batch() -> None:
    logits, target = sampled()
    class_weights = [0.5, 2.0, 7.0]
    model = MLP(4, 3, class_weights=class_weights)
    loss = model.cost(logits, target)
    torch.testing.assert_close(loss, F.cross_entropy(logits, target, torch.tensor(class_weights)))
    parts = [model.cost(logits[half], target[half]) for half in (slice(7), slice(7, 20))]
    weights = [model.weights(target[half]).sum() for half in (slice(7), slice(7, 20))]
    torch.testing.assert_close((parts[0] * weights[0] + parts[1] * weights[1]) / sum(weights), loss)
    torch.testing.assert_close(model.weights(F.one_hot(target, 3).float()), model.weights(target))


def test_validation_and_test_report_the_unweighted_cross_entropy() -> None:
    logits, target = sampled()
    model = MLP(4, 3, class_weights=[1.0, 2.0, 3.0], loss="focal", gamma=1.0, label_smoothing=0.2)
    plain = F.cross_entropy(logits, target)
    assert float(model.cost(logits, target)) != pytest.approx(float(plain), rel=1e-2)
    torch.testing.assert_close(model.eval().cost(logits, target), plain, rtol=0, atol=0)


def test_class_weights_are_not_in_the_state_dict_for_they_come_from_the_data() -> None:
    assert MLP(4, 2, class_weights=[1.0, 2.0]).state_dict().keys() == MLP(4, 2).state_dict().keys()


def test_inceptions_auxiliary_classifiers_have_the_same_loss() -> None:
    torch.manual_seed(0)
    batch = torch.randn(6, 1, 8, 8), torch.tensor([0, 1, 2, 3, 0, 0])
    losses = []
    for weights in (None, [1.0, 5.0, 1.0, 1.0]):
        torch.manual_seed(1)
        model = Inception(1, 8, 4, dropout=0.0, aux_weight=2.0, class_weights=weights, loss="focal", gamma=3.0)
        model.network.aux1.dropout.p = model.network.aux2.dropout.p = 0.0
        outputs = model.network(model.enlarged(batch[0]))
        costs = [class_losses(output, batch[1], 3.0) for output in outputs]
        weight = torch.tensor(weights or [1.0] * 4)[batch[1]]
        means = [(cost * weight).sum() / weight.sum() for cost in costs]
        losses.append(model.step(batch).loss.item())
        assert losses[-1] == pytest.approx((means[0] + 2 * (means[1] + means[2])).item(), rel=1e-4)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_a_capsule_networks_own_loss_is_weighted_and_takes_no_other() -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "in_channels": 1,
        "image_size": 8,
        "num_classes": 3,
        "conv_channels": 8,
        "primary_channels": 4,
    }
    model = CapsNet(**sizes, class_weights=[1.0, 4.0, 1.0], reconstruction=0.5)
    images, target = torch.randn(3, 1, 8, 8), torch.tensor([0, 1, 1])
    each = [model.step((images[row : row + 1], target[row : row + 1])).loss for row in range(3)]
    torch.testing.assert_close(model.step((images, target)).loss, (each[0] + 4 * each[1] + 4 * each[2]) / 9)
    torch.testing.assert_close(model.eval().step((images, target)).loss, sum(each) / 3)
    for options, said in (({"loss": "focal"}, "loss focal"), ({"label_smoothing": 0.1}, "label_smoothing 0.1")):
        with pytest.raises(ValueError, match=f"--model.{said}: CapsNet has a loss of its own"):
            CapsNet(**sizes, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "hinge"}, "--model.loss: expected one of cross_entropy, focal, got hinge"),
        ({"gamma": 1.0}, "--model.gamma 1.0: belongs to --model.loss focal"),
        ({"loss": "focal", "gamma": -1.0}, "--model.gamma: expected at least 0, got -1.0"),
        ({"loss": "focal", "gamma": float("nan")}, "--model.gamma: expected at least 0, got nan"),
        ({"label_smoothing": 1.0}, "--model.label_smoothing: .* got 1.0"),
        ({"label_smoothing": -0.1}, "--model.label_smoothing: .* got -0.1"),
    ],
)
def test_options_that_no_loss_accepts_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MLP(4, 3, **options)


def with_rare_class(folder: Path, classes: int = 2) -> str:
    """A table of which one row in twenty is of the last class."""
    lines = [
        f"{row % 7},{row % 3},{'abc'[classes - 1 if row % 20 == 0 else row % (classes - 1)]}" for row in range(600)
    ]
    (folder / "table.csv").write_text("x,y,label\n" + "\n".join(lines))
    return str(folder / "table.csv")


@pytest.mark.parametrize(("classes", "better"), [(2, "val/average_precision"), (3, "val/f1")])
def test_a_rare_class_is_noted_with_the_metric_that_shows_it(
    classes: int, better: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--model",
        "mlp",
        "--data",
        with_rare_class(tmp_path, classes),
        "--trainer.max_steps",
        "1",
        "--logs",
        str(tmp_path),
    ]
    Experiment(resolve(words)).fit()
    assert f"--model.monitor {better} does" in capsys.readouterr().err
    Experiment(resolve([*words, "--model.monitor", better])).fit()
    assert "--model.monitor" not in capsys.readouterr().err


def test_a_model_without_a_loss_of_classes_takes_no_class_weights(tmp_path: Path) -> None:
    expected = "--data.balance weights: GAN has no loss of classes; expected over or under"
    with pytest.raises(UserError, match=expected):
        Experiment(resolve(["--model", "gan", "--data.balance", "weights", "--logs", str(tmp_path)])).fit()


def test_the_results_contain_each_classs_scores_as_scikit_learn_computes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--model", "mlp", "--data", with_rare_class(tmp_path, 3), "--data.balance", "weights"]
    results = Experiment(resolve([*data, "--trainer.max_epochs", "2", "--logs", str(tmp_path)])).fit().results
    assert results is not None
    shown = capsys.readouterr().out
    folder = tmp_path / "mlp" / "version_0"
    assert json.loads((folder / "results.json").read_text()) == results
    trained = Experiment.load(str(folder))
    trained.data.setup("test")
    assert trained.data.splits is not None
    x, y = trained.data.examples(trained.data.splits.test)[torch.arange(len(trained.data.splits.test))]
    with torch.no_grad():
        guess = trained.model.eval()(x).argmax(1)
    expected = sk.precision_recall_fscore_support(y, guess, labels=[0, 1, 2], zero_division=0)
    assert list(results["per_class"]) == ["a", "b", "c"]
    for label, scores in enumerate(results["per_class"].values()):
        assert list(scores) == ["precision", "recall", "f1", "examples"]
        assert list(scores.values()) == pytest.approx([float(part[label]) for part in expected])
        cells = [
            f"{scores['precision']:.4g}",
            f"{scores['recall']:.4g}",
            f"{scores['f1']:.4g}",
            str(scores["examples"]),
        ]
        assert ["abc"[label], *cells] in [line.split() for line in shown.splitlines()]

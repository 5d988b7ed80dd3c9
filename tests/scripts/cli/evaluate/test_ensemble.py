"""Several checkpoints answer as one."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts.cli.evaluate import prediction
from scripts.cli.evaluate.ensemble import load_all
from scripts.test import main
from tests.helpers.example_inputs import example_input
from tests.helpers.stopping import SHORT, train


def trained(folder: Path, name: str, *words: str) -> str:
    assert train(["--model", name, *SHORT, *words, "--logs", str(folder)]) == 0
    return str(max((folder / name).glob("version_*")))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two runs of one network, and one of a wider, on the same data."""
    folder = tmp_path_factory.mktemp("runs")
    wide = ["--model.hidden_size", "32"]
    return [trained(folder, "mlp", "--seed_everything", str(seed), *(wide if seed == 2 else [])) for seed in range(3)]


def predicted(checkpoints: list[str], average: str | None, folder: Path) -> torch.Tensor:
    output = folder / "predicted.csv"
    prediction.predict([], checkpoints, [str(example_input("mlp"))], average, str(output))
    with output.open() as file:
        rows = list(csv.DictReader(file))
    return torch.tensor([[float(value) for name, value in row.items() if name.startswith("p_")] for row in rows])


def test_probabilities_are_averaged_whatever_the_networks(runs: list[str], tmp_path: Path) -> None:
    single = [predicted([run], None, tmp_path) for run in runs]
    assert not torch.allclose(single[0], single[1], atol=1e-3)
    torch.testing.assert_close(predicted(runs, None, tmp_path), torch.stack(single).mean(0), rtol=1e-5, atol=1e-6)


def test_weights_are_averaged(runs: list[str]) -> None:
    one, other = (load_all([run], None, None, []).model.state_dict() for run in runs[:2])
    both = load_all(runs[:2], "weights", None, []).model.state_dict()
    assert both.keys() == one.keys()
    name = next(name for name in one if name.endswith("weight"))
    assert not torch.equal(one[name], other[name])
    torch.testing.assert_close(both[name], (one[name] + other[name]) / 2)


def test_numbers_are_averaged_in_their_units(tmp_path: Path) -> None:
    runs = [trained(tmp_path, "linear_regression", "--seed_everything", seed) for seed in ("0", "1")]
    found = []
    for checkpoints in ([runs[0]], [runs[1]], runs):
        output = tmp_path / "predicted.csv"
        prediction.predict([], checkpoints, [str(example_input("linear_regression"))], None, str(output))
        with output.open() as file:
            found.append([float(row["prediction"]) for row in csv.DictReader(file)])
    assert found[0] != found[1]
    assert found[2] == pytest.approx([(one + other) / 2 for one, other in zip(*found[:2], strict=True)], rel=1e-5)


def test_several_are_tested_as_one(runs: list[str], capsys: Any) -> None:
    main(["--checkpoint", runs[0], "--checkpoint", runs[1], "--average", "weights"])
    assert " + " in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("chosen", "average", "expected"),
    [
        ([0, 2], "weights", "is of another network"),
        ([0], "weights", "expected several --checkpoint, got 1"),
        ([0, 1], "votes", "--average votes: expected one of probabilities, weights"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    chosen: list[int], average: str, expected: str, runs: list[str]
) -> None:
    with pytest.raises(ValueError, match=expected):
        load_all([runs[number] for number in chosen], average, None, [])


def test_models_that_learned_other_things_from_their_data_are_refused(runs: list[str], tmp_path: Path) -> None:
    other = trained(tmp_path, "mlp", "--data.split_seed", "1")
    with pytest.raises(ValueError, match=r"does not belong with .*: its training data gave another"):
        load_all([runs[0], other], None, None, [])
    images = trained(tmp_path, "cnn")
    with pytest.raises(ValueError, match="Images is not"):
        load_all([runs[0], images], None, None, [])


def test_what_cannot_be_averaged_is_refused(tmp_path: Path) -> None:
    run = trained(tmp_path, "capsnet", "--data.batch_size", "8")
    with pytest.raises(ValueError, match="CapsNet gives nothing that could be averaged"):
        load_all([run, run], None, None, [])


def test_the_score_of_several_is_that_of_their_mean_probabilities(runs: list[str], capsys: Any) -> None:
    main(["--checkpoint", runs[0], "--checkpoint", runs[2]])
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    found = {words[0]: float(words[1]) for words in printed if words[:1] in (["loss"], ["accuracy"])}
    one, other = (load_all([run], None, None, []) for run in (runs[0], runs[2]))
    one.data.prepare_data()
    one.data.setup("test")
    batches = [*one.data.test_dataloader()][: int(one.config["trainer"]["limit_test_batches"])]
    inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        answers = torch.stack([trained.model.eval()(inputs).softmax(1) for trained in (one, other)])
    mean = answers.mean(0)
    loss = -mean.gather(1, targets[:, None]).log().mean()
    assert found == {
        "loss": pytest.approx(float(loss), rel=1e-3),
        "accuracy": pytest.approx(float((mean.argmax(1) == targets).float().mean()), rel=1e-3),
    }
    assert all(abs(found["loss"] + float(each.gather(1, targets[:, None]).log().mean())) > 1e-3 for each in answers)

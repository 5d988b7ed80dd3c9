"""Several checkpoints as one predictor."""

from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_modules.tasks.task import Task
from scripts.cli.errors import UsageError
from scripts.cli.run.experiment import Experiment

Average = Literal["probabilities", "weights"]


def load_all(checkpoints: list[str], average: str | None, dataset: str | None, options: list[str]) -> Experiment:
    """Rebuild what one checkpoint describes, or what several do as one predictor.

    Args:
        checkpoints: each a checkpoint, or a run's folder.
        average: `probabilities` (for regression, the predictions), of any models of the same data, or `weights`, of one
            network (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482); the former by default.
        dataset: other data than they were trained on.
        options: of the command line, that differ now.

    Raises:
        UserError: the checkpoints do not belong together, or one of them, the data or an option is not what it has
            to be.
    """
    if average is not None and average not in get_args(Average):
        raise UsageError(f"--average {average}: expected one of {', '.join(get_args(Average))}")
    if average is not None and len(checkpoints) < 2:
        raise UsageError(f"--average {average}: expected several --checkpoint, got {len(checkpoints)}")
    first, *others = [Experiment.load(checkpoint, dataset, options) for checkpoint in checkpoints]
    for checkpoint, other in zip(checkpoints[1:], others, strict=True):
        where = f"--checkpoint {checkpoint}: does not belong with {checkpoints[0]}"
        if type(other.data) is not type(first.data):
            raise UsageError(f"{where}: {type(other.data).__name__} is not {type(first.data).__name__}")
        ours, theirs = first.data.state_dict(), other.data.state_dict()
        unlike = [name for name in ours if not same(ours[name], theirs[name])]
        if unlike:
            raise UsageError(f"{where}: its training data gave another {' and '.join(unlike)}")
    models = [trained.model for trained in (first, *others)]
    if others and average == "weights":
        average_weights(models, checkpoints)
    elif others:
        average_predictions(models)
    return first


def same(one: Any, other: Any) -> bool:
    """Whether two values of a datamodule's state are the same."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(type(one) is type(other) and one == other)


def average_predictions(models: list[LightningModule]) -> None:
    """Let the first model answer with the mean of all models' answers.

    Raises:
        UsageError: such answers have no mean.
    """
    first = models[0]
    if not isinstance(first, Task) or not first.supports_ensembling:
        raise UsageError(f"--average probabilities: {type(first).__name__} gives nothing that could be averaged")
    answers = [model.forward for model in models]
    first.members = nn.ModuleList(models[1:])  # so that they go where it goes
    first.forward = lambda *inputs: first.mean_of(torch.stack([answer(*inputs).float() for answer in answers]))  # type: ignore[method-assign]


def average_weights(models: list[LightningModule], checkpoints: list[str]) -> None:
    """Give the first model the mean of all models' weights.

    Raises:
        UsageError: they are not of one network.
    """
    states = [model.state_dict() for model in models]
    for checkpoint, state in zip(checkpoints, states, strict=True):
        if {name: value.shape for name, value in state.items()} != {n: v.shape for n, v in states[0].items()}:
            raise UsageError(f"--average weights: {checkpoint} is of another network than {checkpoints[0]}")
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    models[0].load_state_dict(mean)

"""Direct preference optimization: its formula, and the reference that it is compared with."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from datamodules.preferences import Pairs, Preferences
from datamodules.tokenizing.packed import IGNORED
from lightning_modules.llm_preference import LLMPreference
from lightning_modules.tasks.next_token import nats_of_rows, summed_nats
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment

WORDS = ["--model", "llm_preference", "--data.num_pairs", "60", "--data.batch_size", "4", "--model.hidden_size", "16"]


@pytest.fixture
def run() -> Experiment:
    return Experiment(resolve([*WORDS, "--trainer.accelerator", "cpu"])).build()


def model_and_batch(run: Experiment) -> tuple[LLMPreference, Pairs]:
    model: Any = run.model.eval()
    return model, run.data.split_examples("train")[torch.arange(4)]


def refer_to_all(model: LLMPreference, data: Any) -> None:
    size = sum(map(len, data.splits))
    for split in ("train", "val", "test"):
        examples = data.split_examples(split)
        model.refer(examples[torch.arange(len(examples))], size)


def test_of_the_reference_itself_the_loss_is_the_logarithm_of_two(run: Experiment) -> None:
    model, batch = model_and_batch(run)
    refer_to_all(model, run.data)
    step = model.step(batch)
    assert float(step.loss.detach()) == pytest.approx(math.log(2), abs=1e-5)
    assert not step.prediction[:, 0].abs().gt(1e-4).any()


def test_the_loss_is_that_of_the_paper(run: Experiment) -> None:
    model, batch = model_and_batch(run)
    refer_to_all(model, run.data)
    before = model.log_probabilities(batch).detach()
    for weight in model.parameters():
        weight.data += 0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    found = []
    for rows in (batch.chosen, batch.rejected):
        logits = (model(rows) @ model.head.T).log_softmax(-1)
        target = rows.targets.clamp(min=0)
        each = logits.gather(2, target[..., None])[..., 0].where(rows.targets != IGNORED, torch.zeros(()))
        found.append(each.sum(1))
    chosen, rejected = (now - then for now, then in zip(found, before.unbind(1), strict=True))
    expected = -F.logsigmoid(model.beta * (chosen - rejected)).mean()
    step = model.step(batch)
    torch.testing.assert_close(step.loss, expected, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(loss, model.head)[0] for loss in (step.loss, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_the_reference_is_computed_once_and_before_the_first_step(
    run: Experiment, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model, batch = model_and_batch(run)
    before = model.log_probabilities(batch).detach().float()
    words = [*WORDS, "--trainer.max_steps", "3", "--trainer.accelerator", "cpu", "--trainer.precision", "32"]
    trained = Experiment(resolve([*words, "--logs", str(tmp_path)]))
    trained.fit()
    assert "the weights are new, and preferences are about how a model answers" in capsys.readouterr().err
    found: Any = trained.model
    assert found.reference is not None
    assert not found.reference.isnan().any()
    torch.testing.assert_close(found.reference[batch.index], before, rtol=1e-4, atol=1e-3)
    again: Any = Experiment.load(str(trained.folder))
    assert torch.equal(again.model.reference, found.reference)


def test_without_a_reference_it_says_so(run: Experiment) -> None:
    model, batch = model_and_batch(run)
    with pytest.raises(ValueError, match="no reference"):
        model.step(batch)
    with pytest.raises(ValueError, match=r"--model.beta: expected more than 0, got 0"):
        LLMPreference(beta=0, num_tokens=9, tokenizer_json=model.tokenizer_json, end=0)


def test_the_shorter_answer_is_a_baseline(run: Experiment) -> None:
    model, batch = model_and_batch(run)
    found = model.baselines()["shorter_"](batch)
    sizes = [rows.targets.ne(IGNORED).sum(1) for rows in (batch.chosen, batch.rejected)]
    assert found[:, 1].tolist() == [
        float(a < b) + 0.5 * float(a == b) for a, b in zip(*map(torch.Tensor.tolist, sizes), strict=True)
    ]
    assert isinstance(run.data, Preferences)


def test_the_nats_of_rows_sum_up_to_those_of_the_batch() -> None:
    random = torch.Generator().manual_seed(0)
    states = torch.randn(3, 5, 8, generator=random, requires_grad=True)
    weight, targets = torch.randn(20, 8, generator=random), torch.randint(20, (3, 5), generator=random)
    targets[1, 2:] = IGNORED
    rows, total = nats_of_rows(states, weight, targets), summed_nats(states.flatten(0, 1), weight, targets.flatten())
    torch.testing.assert_close(rows.sum(), total)
    torch.testing.assert_close(*(torch.autograd.grad(each, states)[0] for each in (rows.sum(), total)))
    assert float(rows[1].detach()) == pytest.approx(
        float(nats_of_rows(states[1:2, :2], weight, targets[1:2, :2]).detach())
    )

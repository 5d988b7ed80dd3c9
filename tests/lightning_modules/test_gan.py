"""A GAN's networks, losses and training, and the metrics of its images."""

import copy
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from numpy.typing import NDArray
from PIL import Image
from scipy.linalg import sqrtm
from torch.nn import functional as F
from torch.utils.data import DataLoader

from datamodules.errors import DataError
from lightning_modules.gan import GAN
from lightning_modules.tasks.generator import HISTORY, ClassFractions, Confidence, FrechetDistance, RarestClass
from lightning_modules.tasks.inspection.history import NUM_IMAGES
from tests.helpers.recorded_board import RecordedBoard

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def small(size: int = 8, channels: int = 1, **options: Any) -> GAN:
    torch.manual_seed(0)
    options = {"hidden_size": 8, "latent_size": 5, "judge_steps": 4, **options}
    adam = partial(torch.optim.Adam, lr=0.01)
    return GAN(channels, size, 3, mean=[0.4] * channels, std=[0.2] * channels, optimizer=adam, **options)


def loader(content: Any) -> DataLoader[Any]:
    return DataLoader(content, batch_size=None)


def batches(count: int, size: int = 8) -> DataLoader[Any]:
    torch.manual_seed(1)
    target = torch.arange(6) % 3
    images = [target.view(-1, 1, 1, 1) + torch.randn(6, 1, size, size) for _ in range(count)]
    return loader([(image, target) for image in images])


def fitted(model: GAN, count: int = 4, **options: Any) -> Trainer:
    trainer = Trainer(**QUIET | {"max_epochs": 2, **options})
    trainer.fit(model, batches(count), batches(1))
    return trainer


def test_two_optimizers_make_one_step_a_batch() -> None:
    model = small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = fitted(model, count=4, max_epochs=2)
    assert trainer.global_step == 8
    for optimizer in trainer.optimizers:
        assert {int(state["step"]) for state in optimizer.state.values()} == {8}
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name, _ in model.generator.named_parameters(prefix="generator")} <= changed
    assert {name for name, _ in model.discriminator.named_parameters(prefix="discriminator")} <= changed
    assert fitted(small(), max_steps=5, max_epochs=-1).global_step == 5


def test_a_plain_step_trains_both_networks_as_the_trainer_does() -> None:
    class Seeded(Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            torch.manual_seed(3)  # of the noise

    model = small()
    model.skip_preparation()
    plain = copy.deepcopy(model).train()
    judge = copy.deepcopy(model.judge.state_dict())
    trainer = fitted(model, count=1, max_epochs=1, limit_val_batches=0, callbacks=[Seeded()])
    (batch,) = batches(1)
    step = plain.plain_step(trainer)
    torch.manual_seed(3)
    step(batch)
    for part in ("generator", "discriminator"):
        expected = getattr(model, part).state_dict()
        assert expected.keys() == getattr(plain, part).state_dict().keys()
        for name, weight in getattr(plain, part).state_dict().items():
            torch.testing.assert_close(weight, expected[name], rtol=0, atol=0)
    assert all(map(torch.equal, judge.values(), model.judge.state_dict().values())), "the judge was trained"
    assert plain.discriminator.layers[0].weight.requires_grad


def test_a_resumed_run_continues_the_count_of_steps(tmp_path: Path) -> None:
    first = fitted(small(), max_epochs=1)
    first.save_checkpoint(tmp_path / "model.ckpt")
    model = small()
    second = Trainer(**QUIET, max_epochs=3)
    second.fit(model, batches(4), batches(1), ckpt_path=tmp_path / "model.ckpt", weights_only=True)
    assert second.global_step == 12
    assert {int(state["step"]) for state in second.optimizers[1].state.values()} == {12}


def test_the_schedule_reaches_both_optimizers_at_every_step() -> None:
    rates = []

    class Recorder(Callback):
        def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
            rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])

    fitted(small(schedule="linear"), callbacks=[Recorder()])
    assert [rate for rate, _ in rates] == pytest.approx([0.01 * (1 - step / 8) for step in range(1, 9)])
    assert all(first == second for first, second in rates)


def test_the_losses_are_the_papers() -> None:
    model = small(real_label=1.0).eval()
    images = torch.randn(4, 1, 8, 8)
    generated = model(torch.randn(4, 5))
    real, fake = model.discriminator(images).sigmoid(), model.discriminator(generated).sigmoid()
    torch.testing.assert_close(model.discriminator_loss(images, generated), -(real.log() + (1 - fake).log()).mean())
    torch.testing.assert_close(model.generator_loss(generated), -fake.log().mean())
    model.discriminator_loss(images, generated).backward()
    assert all(parameter.grad is None for parameter in model.generator.parameters())


@pytest.mark.parametrize("options", [{}, {"limit_val_batches": 0}, {"check_val_every_n_epoch": 2}, {"max_steps": 2}])
def test_the_judge_learns_the_same_whenever_it_is_trained_and_the_networks_as_without_it(
    options: dict[str, Any],
) -> None:
    """Before the first validation, or at the end of the first epoch; and the first step comes before it."""

    class Seen(Callback):
        untrained = 0

        def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
            torch.manual_seed(trainer.global_step)  # as data of ours does

        def on_train_batch_end(self, trainer: Trainer, model: Any, *args: Any) -> None:
            self.untrained += not model.judge_learned

    def trained(skip: bool) -> tuple[dict[str, torch.Tensor], int]:
        model, seen = small(), Seen()
        if skip:
            model.skip_preparation()
        fitted(model, callbacks=[seen], **options)
        return model.state_dict(), seen.untrained

    alone = small().judge
    alone.fit(batches(4), 4)
    (found, untrained), (without, _) = trained(skip=False), trained(skip=True)
    assert untrained == min(4, options.get("max_steps", 4))
    for name, value in alone.state_dict().items():
        assert torch.equal(found[f"judge.{name}"], value)
    for name in without:
        if name.startswith(("generator", "discriminator", "mean_generator")):
            assert torch.equal(found[name], without[name])


def test_a_test_and_a_prediction_without_a_judge_are_refused() -> None:
    with pytest.raises(DataError, match="judge of generated images is not trained"):
        Trainer(**QUIET).test(small(), batches(1), verbose=False)
    with pytest.raises(DataError, match="judge of generated images is not trained"):
        Trainer(**QUIET).predict(small(), batches(1))


def test_the_judge_is_trained_once() -> None:
    model = small(judge_steps=60)
    assert not model.judge_learned
    before = [value.clone() for value in model.judge.state_dict().values()]
    fitted(model, max_epochs=1)
    learned = [value.clone() for value in model.judge.state_dict().values()]
    assert model.judge_learned
    assert not all(map(torch.equal, before, learned))
    images, target = next(iter(batches(1)))
    assert (model.judge.eval()(images)[:, -3:].argmax(1) == target).float().mean() > 0.8
    fitted(model.train(), max_epochs=1)
    assert all(map(torch.equal, learned, model.judge.state_dict().values()))
    assert not any(parameter.requires_grad for parameter in model.judge.parameters())


def frechet(generated: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """The distance between features of numbers of images that may differ, added one after the other."""
    metric = FrechetDistance(generated.shape[1])
    for index in range(min(len(generated), len(real))):
        rest = slice(index, index + 1 if index + 1 < min(len(generated), len(real)) else None)
        metric.update(torch.from_numpy(generated[rest]), torch.from_numpy(real[rest]))
    return float(metric.compute())


def test_the_frechet_distance_is_that_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 4)), rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) + 1
    first, second = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet(a, b) == pytest.approx(expected)
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, a + 3) == pytest.approx(4 * 9)
    assert np.isnan(frechet(a[:1], b[:1]))


def test_metrics_of_batches_are_those_of_all_images() -> None:
    logits = torch.tensor([[3.0, 0, 0], [0, 2, 0], [4, 0, 0], [0, 1, 0], [5, 0, 0]])
    generated = torch.cat([torch.randn(5, 4), logits.log_softmax(-1)], 1)
    real = torch.cat([torch.randn(5, 4), F.one_hot(torch.tensor([2, 2, 2, 1, 2]))], 1)
    confidence, rarest, fractions, distance = Confidence(3), RarestClass(3), ClassFractions(3), FrechetDistance(4)
    for part in (slice(2), slice(2, None)):
        for metric in (confidence, rarest, fractions, distance):
            metric.update(generated[part], real[part])
    assert float(confidence.compute()) == pytest.approx(float(logits.softmax(-1).amax(1).mean()))
    assert float(rarest.compute()) == 0  # the third class is never generated
    torch.testing.assert_close(fractions.compute(), torch.tensor([[0.6, 0.4, 0], [0, 0.2, 0.8]]))
    expected = frechet(generated[:, :4].double().numpy(), real[:, :4].double().numpy())
    assert float(distance.compute()) == pytest.approx(expected, rel=1e-5)
    rarest.update(F.one_hot(torch.tensor([2, 2, 2])).float(), real[:3])
    assert float(rarest.compute()) == pytest.approx(2 / 8)


def test_evaluation_does_not_depend_on_the_global_random_state() -> None:
    model = small()
    fitted(model)
    trainer = Trainer(**QUIET)
    first = {**trainer.test(model, batches(3), verbose=False)[0]}
    torch.rand(100)
    assert trainer.test(model, batches(3), verbose=False)[0] == first
    assert {"test/loss", "test/confidence", "test/frechet", "baseline/rarest_class"} <= first.keys()


def test_an_image_does_not_depend_on_its_batch() -> None:
    model = small().eval()
    noise = torch.randn(4, 5)
    with torch.no_grad():
        torch.testing.assert_close(model(noise)[1:2], model(noise[1:2]))


def test_a_seed_gives_an_image_in_a_png_file() -> None:
    model = small(channels=3, class_names=["猫", "dog", "海马"]).eval()
    with torch.no_grad():
        rows = model.predict_step(torch.tensor([7, 8, 7]))
        alone = model.predict_step(torch.tensor([8]))
    assert rows[0] == rows[2] != rows[1]
    assert rows[1]["image"] == alone[0]["image"]
    image = np.asarray(Image.open(io.BytesIO(rows[0]["image"])))
    assert image.shape == (8, 8, 3)
    noise = torch.randn(5, generator=torch.Generator().manual_seed(7))
    expected = model.generator(noise[None])[0].permute(1, 2, 0) * 255
    assert np.abs(image - expected.detach().numpy()).max() <= 0.51
    assert rows[0]["prediction"] == max(rows[0]["probabilities"], key=rows[0]["probabilities"].get)


def test_shows_images_generated_from_the_same_noise() -> None:
    model, first, second = small().eval(), RecordedBoard(), RecordedBoard()
    real = torch.randn(9, 1, 8, 8), torch.zeros(9, dtype=torch.long)
    model.show(real, first)
    torch.rand(10)
    model.show(real, second)
    assert torch.equal(first.images["generated"], second.images["generated"])
    assert first.figures.keys() == {"generated over time", "interpolation"}
    axes = first.figures["generated over time"].axes[0]
    rows = [image.get_array() for image in axes.images]
    assert len(rows) == 2 * NUM_IMAGES
    labels = [text.get_text() for text in axes.texts]
    assert labels == ["step 0", "real images", "the same noise at each step"]
    expected = model.pixels(real[0][0])[0] / 255
    np.testing.assert_allclose(rows[NUM_IMAGES], expected, atol=1e-6)
    noise = model.fixed_noise(3)
    assert torch.equal(noise, model.fixed_noise(64)[:3])
    np.testing.assert_allclose(rows[2], model.pixels(model(noise))[2, 0] / 255, atol=1e-6)
    first_of_path = first.figures["interpolation"].axes[0].images[0].get_array()
    np.testing.assert_allclose(first_of_path, rows[0], atol=1 / 255 + 1e-6)


def test_a_resumed_run_shows_the_same_noise_over_time_as_an_uninterrupted_one(tmp_path: Path) -> None:
    class Seeded(Callback):
        def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
            torch.manual_seed(trainer.global_step)  # as an exactly resumed run has it

    whole, first, resumed = small(), small(), small()
    fitted(whole, max_epochs=4, callbacks=[Seeded()])
    trainer = fitted(first, max_epochs=2, callbacks=[Seeded()])
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    Trainer(**QUIET, max_epochs=4, callbacks=[Seeded()]).fit(
        resumed, batches(4), batches(1), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert whole.history.steps == resumed.history.steps == [4, 8, 12, 16]
    assert torch.equal(torch.stack(whole.history.images), torch.stack(resumed.history.images))
    assert not torch.equal(whole.history.images[0], whole.history.images[-1])
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del content[HISTORY]  # as in a checkpoint of an earlier version
    torch.save(content, tmp_path / "earlier.ckpt")
    earlier = small()
    Trainer(**QUIET, max_epochs=3).fit(
        earlier, batches(4), batches(1), ckpt_path=tmp_path / "earlier.ckpt", weights_only=True
    )
    assert earlier.history.steps == [12]


def test_a_validation_by_itself_adds_nothing_to_what_is_shown_over_time() -> None:
    model = small()
    trainer = fitted(model)
    trainer.validate(model, batches(1), verbose=False)
    assert model.history.steps == [4, 8]


def test_images_that_are_not_square_are_refused() -> None:
    images = loader([(torch.randn(4, 1, 8, 6), torch.zeros(4, dtype=torch.long))])
    with pytest.raises(DataError, match=r"6 x 8 pixels, expected squares: give --data.image_size"):
        Trainer(**QUIET, max_steps=1).fit(small(), images, images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 3}, "--data.image_size 3: expected at least 4"),
        ({"real_label": 0.3}, "--model.real_label: expected more than 0.5 and at most 1, got 0.3"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)

"""Image generation from noise, evaluated by a classifier of the real images."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import torch
from lightning.pytorch.trainer.states import RunningStage, TrainerFn
from torch import Tensor, distributed
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from datamodules.errors import DataError
from datamodules.loading.examples import Loader
from datamodules.loading.sampling import generator
from lightning_modules.layers.judge import NUM_FEATURES, Judge
from lightning_modules.tasks import boards
from lightning_modules.tasks.inspection.history import NUM_IMAGES, History
from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.scores import class_rows
from lightning_modules.tasks.shows.generated import show_generated
from lightning_modules.tasks.task import Board, Step, Task

GENERATOR_NOISE, BASELINE_NOISE, LEARNED_NOISE = 0, 1, 2  # streams of random numbers
HISTORY = "generated"  # in a checkpoint


class Confidence(MeanMetric):
    """Mean probability that the judge gives to the class that it predicts for a generated image.

    Args:
        num_classes: K
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def update(self, preds: Tensor, target: Tensor) -> None:  # type: ignore[override]
        """Add the judge's outputs (B, F + K) for generated images; those for real ones are not used."""
        super().update(preds[:, -self.num_classes :].amax(1).exp())


class ClassFractions(Metric):
    """Fraction of each class among the generated and among the real images, (2, K), as the judge classifies them.

    Args:
        num_classes: K
    """

    full_state_update = False
    higher_is_better = True
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(2, num_classes), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the judge's outputs (B, F + K)."""
        for counts, output in zip(self.counts, (preds, target), strict=True):
            counts += torch.bincount(output[:, -self.num_classes :].argmax(1), minlength=self.num_classes)

    def compute(self) -> Tensor:
        """The fractions."""
        return self.counts / self.counts.sum(1, keepdim=True).clamp(min=1)


class RarestClass(ClassFractions):
    """Fraction of the rarest class among the generated images: 1/K at best, 0 if a class is never generated."""

    def compute(self) -> Tensor:
        """The fraction."""
        return super().compute()[0].min()


class FrechetDistance(Metric):
    """Fréchet distance between the features of generated and of real images.

    `‖μ - μ'‖² + tr(Σ + Σ' - 2 (Σ Σ')^½)`, Heusel et al. 2017, https://arxiv.org/abs/1706.08500; computed on the CPU,
    in float64, which not every device knows.

    Args:
        num_features: F
    """

    full_state_update = False
    higher_is_better = False
    generated: list[Tensor]
    real: list[Tensor]

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.add_state("generated", [], dist_reduce_fx="cat")
        self.add_state("real", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the judge's outputs (B, F + K)."""
        self.generated.append(preds[:, : self.num_features].float())
        self.real.append(target[:, : self.num_features].float())

    def compute(self) -> Tensor:
        """The distance; NaN for a single image."""
        features = [dim_zero_cat(each).cpu().numpy().astype(np.float64) for each in (self.generated, self.real)]
        if len(features[1]) < 2:
            return torch.tensor(torch.nan, device=self.device)
        means, covariances = [each.mean(0) for each in features], [np.cov(each.T) for each in features]
        roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
        distance = ((means[0] - means[1]) ** 2).sum() + sum(map(np.trace, covariances)) - 2 * roots
        return torch.tensor(float(distance), device=self.device)


class ImageGenerator(Task):
    """Generation of images like those of the data; a batch is `(images, target)`, and `forward(noise)` gives images.

    A judge, which is trained on the training images' classes before the first validation, compares as many generated
    images as there are real ones. Metrics: confidence and rarest_class of the generated images; frechet, their distance
    from the real ones in the judge's features. The baseline is noise with the images' mean and standard deviation.

    Args:
        in_channels: C
        image_size: H; images have to be square.
        num_classes: K
        mean: of the pixels, which are from 0 to 1 before the data is normalised, in each channel.
        std: their standard deviation.
        class_names: for predictions and tables; the class indices by default.
        judge_steps: training steps of the judge.
        kwargs: as for Task.
    """

    default_monitor = "val/frechet"
    lower_is_better = frozenset({"loss", "frechet"})
    latent_size: int
    judge_learned: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        in_channels: int,
        image_size: int,
        num_classes: int,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        class_names: Sequence[str] | None = None,
        judge_steps: int = 400,
        **kwargs: Any,
    ) -> None:
        self.num_classes = num_classes
        super().__init__(**kwargs)
        self.shape = (in_channels, image_size, image_size)
        self.class_names = list(class_names or map(str, range(num_classes)))
        self.judge_steps = judge_steps
        self.judge = Judge(in_channels, num_classes).requires_grad_(False)
        self.register_buffer("judge_learned", torch.tensor(False))
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1), persistent=False)
        self.batch_index = 0  # in evaluation
        self.history = History()

    @abstractmethod
    def generator_loss(self, generated: Tensor) -> Tensor:
        """The generator's loss, of images that it generated."""

    def metrics(self) -> MetricCollection:
        """Confidence, fraction of the rarest class, and Fréchet distance."""
        return MetricCollection(
            {
                "confidence": Confidence(self.num_classes),
                "rarest_class": RarestClass(self.num_classes),
                "frechet": FrechetDistance(NUM_FEATURES),
            },
            compute_groups=False,
        )

    def breakdown(self) -> dict[str, Metric]:
        """The fractions of the classes."""
        return {"classes": ClassFractions(self.num_classes)}

    def on_train_start(self) -> None:
        """Refuse images of another shape."""
        super().on_train_start()
        loader = self.trainer.train_dataloader
        assert loader is not None
        if not self.judge_learned:
            self.check_shape(self.trainer.strategy.batch_to_device(next(iter(loader)))[0])

    def on_validation_start(self) -> None:
        """Train the judge before the first validation."""
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self.train_judge()

    def on_train_epoch_end(self) -> None:
        """Train the judge, where no validation came before, so that what is kept of any epoch can be tested."""
        self.train_judge()

    def on_test_start(self) -> None:
        """Refuse a test, or a prediction of classes, without a judge.

        Raises:
            DataError: the run was stopped before its first validation.
        """
        if not self.judge_learned:
            raise DataError(
                "the judge of generated images is not trained yet: the run was stopped before its first validation; "
                "expected a later checkpoint, or resume the run first"
            )

    on_predict_start = on_test_start

    def train_judge(self) -> None:
        """Train the judge, once, on batches as training has them; the run's own go on as if it had not been."""
        if self.judge_learned:
            return
        loader, state = self.trainer.train_dataloader, self.trainer.state
        assert loader is not None
        batches = loader.first_epoch() if isinstance(loader, Loader) else loader
        stage, state.stage = state.stage, RunningStage.TRAINING  # in which batches are augmented
        with torch.inference_mode(False):
            moved = map(self.trainer.strategy.batch_to_device, self._counted(chain.from_iterable(repeat(batches))))
            self.judge.fit(moved, self.judge_steps)
            # Each process has other images.
            self.judge.load_state_dict(self.trainer.strategy.broadcast(self.judge.state_dict()))
            self.judge_learned.fill_(True)
        state.stage = stage

    def _counted(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches that the judge is trained on, while callbacks are told how many there have been."""
        for done, batch in enumerate(batches):
            self.report_preparation("training the judge", done, self.judge_steps)
            yield batch

    def skip_preparation(self) -> None:
        """Leave the judge untrained."""
        self.judge_learned.fill_(True)

    def check_shape(self, images: Tensor) -> None:
        """Raise an error for images of another shape than the generated ones."""
        if tuple(images.shape[1:]) != self.shape:
            height, width = images.shape[2:]
            raise DataError(f"the images have {width} x {height} pixels, expected squares: give --data.image_size")

    def noise(self, count: int) -> Tensor:
        """(B, Z) standard normal; in evaluation the same in every epoch."""
        if self.training:
            return torch.randn(count, self.latent_size, device=self.device)
        return self.reproducible_noise(GENERATOR_NOISE, count, (self.latent_size,))

    def reproducible_noise(self, stream: int, count: int, shape: Sequence[int]) -> Tensor:
        """(B, …) standard normal, the same in every epoch and for any number of processes that share the batch.

        Args:
            stream: of random numbers, to which the noise belongs.
            count: B
            shape: of each.
        """
        shared = distributed.is_available() and distributed.is_initialized()
        rank, processes = (distributed.get_rank(), distributed.get_world_size()) if shared else (0, 1)
        generators = (generator(stream, self.batch_index, rank + index * processes) for index in range(count))
        return torch.stack([torch.randn(*shape, generator=each) for each in generators]).to(self.device)

    def fixed_noise(self, count: int) -> Tensor:
        """(B, Z) standard normal, always the same: the first of any larger number."""
        random = torch.Generator().manual_seed(0)
        return torch.stack([torch.randn(self.latent_size, generator=random) for _ in range(count)]).to(self.device)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels from 0 to 1, normalised as the data is."""
        return (pixels - self.mean) / self.std

    def pixels(self, images: Tensor) -> Tensor:
        """Images as uint8."""
        return ((images.float() * self.std + self.mean) * 255).round().clamp(0, 255).to(torch.uint8)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Evaluate a batch, with its own noise."""
        self.batch_index = batch_idx
        super().validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's metrics, and keep what the same noise gives now."""
        super().on_validation_epoch_end()
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            with self.trainer.precision_plugin.forward_context():
                self.history.add(self.global_step, self.pixels(self(self.fixed_noise(NUM_IMAGES))))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save what the same noise gave."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[HISTORY] = self.history.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what the same noise gave; checkpoints of earlier versions have none."""
        super().on_load_checkpoint(checkpoint)
        if HISTORY in checkpoint:
            self.history.load_state_dict(checkpoint[HISTORY])

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Evaluate a batch, with its own noise, and the baseline."""
        self.batch_index = batch_idx
        return super().test_step(batch, batch_idx)

    def step(self, batch: Any) -> Step:
        """The generator's loss, and the judge's outputs for generated and for real images."""
        images, _ = batch
        generated = self(self.noise(len(images)))
        return Step(self.generator_loss(generated), self.judge(generated), self.judge(images))

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Noise."""
        return {"": self.judged_noise}

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """Those of the data."""
        return data.baselines()

    def of_learned(self, output: Any, batch: Any) -> Tensor:
        """The judge's outputs for images from a normal distribution."""
        images, _ = batch
        mean, components = (part.to(self.device) for part in output)
        noise = self.reproducible_noise(LEARNED_NOISE, len(images), (len(components),))
        return self.judge((mean + noise @ components).view(images.shape))

    def judged_noise(self, batch: Any) -> Tensor:
        """The judge's outputs for noise."""
        images, _ = batch
        return self.judge(self.reproducible_noise(BASELINE_NOISE, len(images), images.shape[1:]))

    def show(self, batch: Any, board: Board) -> None:
        """Images generated from noise that is always the same."""
        show_generated(self, batch, board)

    def show_results(self, board: Board, outcomes: Outcomes | None = None) -> None:
        """The fraction of each class among the generated and among the real images."""
        rows = zip(map(boards.escape, self.class_names), *self.tables["classes"].tolist(), strict=True)
        board.text("classes", boards.table(["class", "generated", "real"], [*rows]))

    def output_facts(self) -> dict[str, Any]:
        """Pixels."""
        return {"kind": "pixels", "steps": "times 255 and rounded"}

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """The image of each seed of the batch (B,), as a PNG file, and the class that the judge predicts."""
        generators = [torch.Generator().manual_seed(seed) for seed in batch.tolist()]
        noise = torch.stack([torch.randn(self.latent_size, generator=each) for each in generators])
        generated = self(noise.to(self.device))
        rows = class_rows(self.judge(generated)[:, -self.num_classes :].exp(), self.class_names)
        images = self.pixels(generated).cpu()
        return [row | {"image": boards.png(image)} for row, image in zip(rows, images, strict=True)]

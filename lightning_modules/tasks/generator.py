"""Image generation: images are drawn from noise, and a classifier judges how much they look like the real ones."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.utilities.data import dim_zero_cat

from datamodules.errors import DataError
from datamodules.loading.sampling import generator
from lightning_modules.cnn import block
from lightning_modules.tasks import pictures
from lightning_modules.tasks.task import Board, Step, Task
from lightning_modules.tasks.texts import cell


class Judge(nn.Module):
    """A small convolutional classifier, and the view it has of images: its features and the classes' log-probabilities.

    It measures, as the Inception network does in Heusel et al. 2017, https://arxiv.org/abs/1706.08500, but it has
    learned the very classes that the images have.

    Args:
        in_channels: C
        num_classes: K
        channels: of each block; the last makes F features.

    Shapes:
        input (B, C, H, W), output (B, F + K)
    """

    def __init__(self, in_channels: int, num_classes: int, channels: Sequence[int] = (32, 64, 64)) -> None:
        super().__init__()
        sizes = [in_channels, *channels]
        blocks = [block(sizes[number], sizes[number + 1], dropout=0.0) for number in range(len(channels))]
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classes = nn.Linear(channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """The view."""
        features = self.features(images)
        return torch.cat([features.float(), self.classes(features).float().log_softmax(-1)], dim=1)

    def learn(self, batches: Iterable[Any], steps: int, lr: float = 0.003) -> None:
        """Learn the classes of real images.

        Args:
            batches: `(images, target)`, as often as they are wanted.
            steps: batches to learn from.
            lr: highest learning rate.
        """
        pupil = copy.deepcopy(self).train().requires_grad_(True)
        optimizer = torch.optim.AdamW(pupil.parameters(), lr=lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
        step = 0
        with torch.enable_grad():
            while step < steps:
                for images, target in batches:
                    loss = F.nll_loss(pupil(images)[:, -self.classes.out_features :], target)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    step += 1
                    if step == steps:
                        break
        self.load_state_dict(pupil.state_dict())


class Confidence(MeanMetric):
    """The probability that the judge gives to the class it sees, on average.

    Args:
        num_classes: K
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def update(self, preds: Tensor, target: Tensor) -> None:  # type: ignore[override]
        """Add the views (B, F + K) of drawn images; those of real ones do not matter."""
        super().update(preds[:, -self.num_classes :].amax(1).exp())


class RarestClass(Metric):
    """The share that the rarest class has among the images drawn: 1/K at best, 0 if a class is never drawn.

    Args:
        num_classes: K
    """

    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add views (B, F + K)."""
        self.counts += torch.bincount(preds[:, -self.num_classes :].argmax(1), minlength=self.num_classes)

    def compute(self) -> Tensor:
        """The share."""
        return self.counts.min() / self.counts.sum().clamp(min=1)


class FrechetDistance(Metric):
    """How far the features of drawn images lie from those of real ones: 0 if their means and covariances agree.

    `‖μ - μ'‖² + tr(Σ + Σ' - 2 (Σ Σ')^½)`, Heusel et al. 2017, https://arxiv.org/abs/1706.08500.

    Args:
        num_classes: K
    """

    drawn: list[Tensor]
    real: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("drawn", [], dist_reduce_fx="cat")
        self.add_state("real", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add views (B, F + K)."""
        self.drawn.append(preds[:, : -self.num_classes])
        self.real.append(target[:, : -self.num_classes])

    def compute(self) -> Tensor:
        """The distance."""
        return frechet(*(dim_zero_cat(part).cpu().double() for part in (self.drawn, self.real))).float()


def frechet(a: Tensor, b: Tensor) -> Tensor:
    """The Fréchet distance between two normal distributions with the means and covariances of (N, F) and (M, F)."""
    first, second = a.T.cov(), b.T.cov()
    root = torch.linalg.eigvals(first @ second).real.clamp(min=0).sqrt().sum()  # the trace of the product's root
    return (a.mean(0) - b.mean(0)).square().sum() + first.trace() + second.trace() - 2 * root


class Moved:
    """A loader's batches as the training step has them.

    Args:
        loader: gives them, any number of times.
        move: to the device, with all that the data does to a batch there.
    """

    def __init__(self, loader: Iterable[Any], move: Callable[[Any], Any]) -> None:
        self.loader = loader
        self.move = move

    def __iter__(self) -> Iterator[Any]:
        return map(self.move, self.loader)


class ImageGenerator(Task):
    """Drawing images like those of the data; a batch is `(images, target)`, and `forward(noise)` gives images.

    A judge, which learns the training images' classes before anything else, looks at as many drawn images as there
    are real ones. Metrics: confidence and rarest_class of the drawn images; frechet, their distance from the real ones
    in the judge's features. The baseline is noise with the images' mean and spread.

    Args:
        in_channels: C
        image_size: H; images have to be square.
        num_classes: K
        mean: of the pixels, which are 0 to 1 before the data is normalised, in each channel.
        std: their spread.
        class_names: for predictions and tables; their numbers by default.
        judge_steps: batches that the judge learns from.
        kwargs: as for Task.
    """

    default_monitor = "val/frechet"
    lower_is_better = frozenset({"loss", "frechet"})
    latent_size: int

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
        self.judge = Judge(in_channels, num_classes).requires_grad_(False)  # learns from a copy of its own
        self.judge_learned: Tensor
        self.register_buffer("judge_learned", torch.tensor(False))
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(list(mean)).view(-1, 1, 1), persistent=False)
        self.std: Tensor
        self.register_buffer("std", torch.tensor(list(std)).view(-1, 1, 1), persistent=False)
        self.judged = 0  # number of the batch that is judged

    @abstractmethod
    def generator_loss(self, drawn: Tensor) -> Tensor:
        """What the generator minimises, of images that it drew."""

    def metrics(self) -> MetricCollection:
        """Confidence, the rarest class's share, and the Fréchet distance."""
        classes = self.num_classes
        return MetricCollection(
            {
                "confidence": Confidence(classes),
                "rarest_class": RarestClass(classes),
                "frechet": FrechetDistance(classes),
            },
            compute_groups=False,
        )

    def on_train_start(self) -> None:
        """Let the judge learn, unless a checkpoint brought one that has."""
        if self.judge_learned:
            return
        loader: Any = self.trainer.train_dataloader
        strategy = self.trainer.strategy
        self.check_shape(strategy.batch_to_device(next(iter(loader)))[0])
        self.judge.learn(Moved(loader, strategy.batch_to_device), self.judge_steps)
        self.judge.load_state_dict(strategy.broadcast(self.judge.state_dict()))  # each process saw other images
        self.judge_learned.fill_(True)

    def check_shape(self, images: Tensor) -> None:
        """Refuse images that are not of the shape that is drawn."""
        if tuple(images.shape[1:]) != self.shape:
            height, width = images.shape[2:]
            raise DataError(f"the images have {width} x {height} pixels, expected squares: give --data.image_size")

    def noise(self, count: int) -> Tensor:
        """(B, Z) standard normal; in evaluation the same in every round."""
        if self.training:
            return torch.randn(count, self.latent_size, device=self.device)
        return self.repeatable(0, count, (self.latent_size,))

    def repeatable(self, kind: int, count: int, shape: Sequence[int]) -> Tensor:
        """(B, …) standard normal, the same in every round and however many processes share the batch.

        Args:
            kind: of what is drawn; of another kind, it is different.
            count: B
            shape: of each.
        """
        trainer = self._trainer
        rank, processes = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        dice = (generator(kind, self.judged, rank + number * processes) for number in range(count))
        return torch.stack([torch.randn(*shape, generator=each) for each in dice]).to(self.device)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels from 0 to 1 as the data gives them."""
        return (pixels - self.mean) / self.std

    def pixels(self, images: Tensor) -> Tensor:
        """Images as uint8."""
        return ((images.float() * self.std + self.mean) * 255).round().clamp(0, 255).to(torch.uint8)

    def on_test_epoch_start(self) -> None:
        """Count, besides, the classes of drawn and of real images."""
        super().on_test_epoch_start()
        self.counts = torch.zeros(2, self.num_classes, device=self.device)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Judge one batch, with its own noise."""
        self.judged = batch_idx
        super().validation_step(batch, batch_idx)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Judge one batch, with its own noise, and plain noise beside it."""
        self.judged = batch_idx
        super().test_step(batch, batch_idx)

    def step(self, batch: Any) -> Step:
        """What the judge sees in drawn images and in real ones, and the generator's loss."""
        images, _ = batch
        drawn = self(self.noise(len(images)))
        return Step(self.generator_loss(drawn), self.judge(drawn), self.judge(images))

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """Noise."""
        return {"": self.seen_in_noise}

    def seen_in_noise(self, batch: Any) -> Tensor:
        """What the judge sees in noise."""
        images, _ = batch
        return self.judge(self.repeatable(1, len(images), images.shape[1:]))

    def test_judged(self, step: Step) -> None:
        """Count the batch."""
        for counts, view in zip(self.counts, (step.prediction, step.target), strict=True):
            counts += torch.bincount(view[:, -self.num_classes :].argmax(1), minlength=self.num_classes)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics; add up the counts."""
        super().on_test_epoch_end()
        self.counts = self.sum_of_processes(self.counts)

    def show(self, batch: Any, board: Board) -> None:
        """Images drawn from noise that is always the same."""
        noise = torch.randn(64, self.latent_size, generator=torch.Generator().manual_seed(0))
        board.image("drawn", pictures.grid(self(noise.to(self.device))))

    def show_results(self, board: Board) -> None:
        """The share of each class among drawn and among real images, as the judge sees them."""
        shares = (self.counts / self.counts.sum(1, keepdim=True).clamp(min=1)).T.tolist()
        lines = ["| class | drawn | real |", "| --- | ---: | ---: |"]
        lines += [
            f"| {cell(name)} | {drawn:.3f} | {real:.3f} |"
            for name, (drawn, real) in zip(self.class_names, shares, strict=True)
        ]
        board.text("classes", "\n".join(lines))

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """The image that each seed of the batch (B,) stands for, as a PNG file, and the class that the judge sees."""
        dice = [torch.Generator().manual_seed(seed) for seed in batch.tolist()]
        noise = torch.stack([torch.randn(self.latent_size, generator=each) for each in dice])
        drawn = self(noise.to(self.device))
        probabilities = self.judge(drawn)[:, -self.num_classes :].exp().cpu()
        return [
            {
                "prediction": self.class_names[int(row.argmax())],
                "probabilities": dict(zip(self.class_names, row.tolist(), strict=True)),
                "image": pictures.png(image),
            }
            for row, image in zip(probabilities, self.pixels(drawn).cpu(), strict=True)
        ]

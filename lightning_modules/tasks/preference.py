"""Preferences: of two answers, the better one is to become more probable."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MetricCollection

from datamodules.base import DataModule
from datamodules.baselines.baseline import Baseline
from datamodules.preferences import Pairs
from datamodules.tokenizing.packed import IGNORED, Packed
from lightning_modules.tasks.boards import FIRST_BATCH, escape, table
from lightning_modules.tasks.language_model import LanguageModel, Ratio
from lightning_modules.tasks.next_token import nats_of_rows
from lightning_modules.tasks.pictures.learned import learned_texts
from lightning_modules.tasks.results.preferences import PreferenceResults
from lightning_modules.tasks.results.results import Results
from lightning_modules.tasks.task import Board, Step

MARGIN, RIGHT = 0, 1  # columns of a prediction
REFERENCE = "reference"  # in a checkpoint


class Preference(LanguageModel):
    """Direct preference optimization; a batch is Pairs.

    Rafailov et al. 2023, https://arxiv.org/abs/2305.18290. The reward of an answer is how much more probable it has
    become than it was to the reference, the model before this training. The log-probabilities of the reference are
    computed once, before the first step (`refer`), and are kept in the checkpoint.

    Args:
        beta: that the log-ratio of both probabilities is multiplied by; the smaller, the further from the reference.
        kwargs: as for LanguageModel and Task.
    """

    default_monitor = "val/loss"
    lower_is_better = frozenset({"loss"})

    def __init__(self, beta: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not beta > 0:
            raise ValueError(f"--model.beta: expected more than 0, got {beta}")
        self.beta = beta
        self.reference: Tensor | None = None  # (N, 2) log-probabilities of the answers of all pairs

    def metrics(self) -> MetricCollection:
        """The mean reward margin, and how often the better answer has the larger reward."""
        return MetricCollection(
            {"accuracy": Ratio(RIGHT, 0, torch.nan_to_num), "margin": Ratio(MARGIN, 0, torch.nan_to_num)},
            compute_groups=False,
        )

    def results(self) -> Results:
        """Each pair's answers and its margin."""
        return PreferenceResults(self.answers_of)

    def answers_of(self, batch: Pairs) -> tuple[list[str], list[str]]:
        """The texts of the better and of the worse answers."""
        return self.text_of(batch.chosen), self.text_of(batch.rejected)

    def log_probabilities(self, batch: Pairs) -> Tensor:
        """Those of both answers of each pair, (B, 2)."""
        return torch.stack([self._of_rows(batch.chosen), self._of_rows(batch.rejected)], dim=1)

    def _of_rows(self, rows: Packed) -> Tensor:
        return -nats_of_rows(self(rows), self.head, rows.targets)

    def step(self, batch: Pairs) -> Step:
        """The mean loss of the pairs."""
        if self.reference is None:
            raise ValueError("no reference: its log-probabilities are computed before training, see `refer`")
        found = self.log_probabilities(batch)
        rewards = self.beta * (found - self.reference.to(found)[batch.index])  # (B, 2)
        margin = rewards[:, 0] - rewards[:, 1]
        loss = -F.logsigmoid(margin).mean()
        prediction = torch.stack([margin.detach(), (margin.detach() > 0).float()], dim=1)
        return Step(loss, prediction, torch.ones_like(prediction))

    def refer(self, batch: Pairs, pairs: int) -> None:
        """Keep the log-probabilities of a batch of the reference.

        Args:
            batch: of any split.
            pairs: N, number of pairs of all splits.
        """
        if self.reference is None:
            self.reference = torch.full((pairs, 2), torch.nan)
        with torch.no_grad():
            self.reference[batch.index.cpu()] = self.log_probabilities(batch).float().cpu()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the reference's log-probabilities."""
        super().on_save_checkpoint(checkpoint)
        if self.reference is not None:
            checkpoint[REFERENCE] = self.reference

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the reference's log-probabilities."""
        kept = checkpoint.get(REFERENCE)
        self.reference = kept if isinstance(kept, Tensor) and kept.dim() == 2 else None

    def baselines(self) -> dict[str, Callable[[Any], Any]]:
        """The shorter answer of both is the better one; the trivial baseline has no opinion."""

        def shorter(batch: Pairs) -> Tensor:
            sizes = [rows.targets.ne(IGNORED).sum(1) for rows in (batch.chosen, batch.rejected)]
            right = 0.5 * (sizes[0] <= sizes[1]).float() + 0.5 * (sizes[0] < sizes[1]).float()
            return torch.stack([torch.full_like(right, torch.nan), right], dim=1)

        def neither(batch: Pairs) -> Tensor:
            return torch.tensor([0.0, 0.5], device=batch.index.device).expand(len(batch.index), 2)

        return {"": neither, "shorter_": shorter}

    def learnable(self, data: DataModule) -> dict[str, Baseline]:
        """None."""
        return {}

    def show_first(self, batch: Any, board: Board) -> None:
        """The answers of each pair after their prompt, those tokens coloured that are compared."""
        board.figure(FIRST_BATCH, learned_texts({"better": batch.chosen, "worse": batch.rejected}, self.tokenizer))

    def show(self, batch: Any, board: Board) -> None:
        """The pairs whose better answer has the smaller reward."""
        step = self.step(batch)
        order = step.prediction[:, MARGIN].argsort().tolist()
        better, worse = self.answers_of(batch)
        cells = [
            [f"{float(step.prediction[row, MARGIN]):.2f}", escape(better[row]), escape(worse[row])] for row in order
        ]
        board.text("pairs", table(["margin", "better answer", "worse answer"], cells))

"""Computes what the model was before its training, where the training is compared with that."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from datamodules.base import DataModule
from datamodules.loading.sampling import Splits
from lightning_modules.tasks.preference import Preference


def refer_to_all(
    model: Preference, data: DataModule, moved: Callable[[Any], Any], rank: int = 0, processes: int = 1
) -> None:
    """Compute the reference's log-probabilities of all pairs; a trainer, if there is one, tells how far it is.

    Args:
        model: that becomes the reference.
        data: of all pairs.
        moved: puts a batch on the model's device.
        rank: of this process.
        processes: of which each computes a part.
    """
    pairs = 1 + max(int(rows.max()) for rows in data.splits if len(rows))
    training = model.training
    model.eval()
    done, total = 0, sum(map(len, data.splits))
    for split in Splits._fields:
        examples = data.split_examples(split)
        own = torch.arange(len(examples))[rank::processes]
        for rows in own.split(data.batch_size or len(own)):
            model.refer(moved(examples[rows]), pairs)
            done += len(rows) * processes
            if model._trainer is not None:  # `trainer` raises an error where there is none
                model.report_preparation("reference", min(done, total), total)
    model.train(training)


class ComputeReference(Callback):
    """Computes the reference's log-probabilities of all pairs before the first step of a run, not of a resumed one."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute them, each process a part."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, Preference) or not isinstance(data, DataModule):
            return
        if pl_module.reference is not None:
            return
        if pl_module.has_new_weights:
            data.note(
                "the weights are new, and preferences are about how a model answers: "
                "--model.pretrained names a model, or a run, that does"
            )

        def moved(batch: Any) -> Any:
            return trainer.strategy.batch_to_device(batch, pl_module.device)

        with trainer.precision_plugin.forward_context():
            refer_to_all(pl_module, data, moved, trainer.global_rank, trainer.world_size)
        if trainer.world_size > 1:
            assert pl_module.reference is not None
            found = pl_module.reference.nan_to_num(nan=0.0).to(pl_module.device)
            distributed.all_reduce(found)
            pl_module.reference = found.cpu()

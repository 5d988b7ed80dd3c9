"""Computes what the model was before its training, where the training is compared with that."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from datamodules.base import DataModule
from datamodules.loading.sampling import Splits

if TYPE_CHECKING:  # imports all that reads preferences, which few runs do
    from lightning_modules.tasks.preference import Preference


def refer_to_all(
    model: "Preference", data: DataModule, moved: Callable[[Any], Any], rank: int = 0, processes: int = 1
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
        if not hasattr(pl_module, "refer") or not isinstance(data, DataModule):
            return
        model = cast("Preference", pl_module)
        if model.reference is not None:
            return
        if model.has_new_weights:
            data.note(
                "the weights are new, and preferences are about how a model answers: "
                "--model.pretrained names a model, or a run, that does"
            )

        def moved(batch: Any) -> Any:
            return trainer.strategy.batch_to_device(batch, model.device)

        with trainer.precision_plugin.forward_context():
            refer_to_all(model, data, moved, trainer.global_rank, trainer.world_size)
        if trainer.world_size > 1:
            assert model.reference is not None
            found = model.reference.nan_to_num(nan=0.0).to(model.device)
            distributed.all_reduce(found)
            model.reference = found.cpu()

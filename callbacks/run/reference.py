"""Computes what the model was before its training, where the training is compared with that."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from datamodules.base import DataModule
from datamodules.loading.sampling import Splits
from lightning_modules.tasks.preference import Preference


class ComputeReference(Callback):
    """Computes the reference's log-probabilities of all pairs before the first step of a run, not of a resumed one."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute them, each process a part."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, Preference) or not isinstance(data, DataModule):
            return
        pairs = 1 + max(int(rows.max()) for rows in data.splits if len(rows))
        if pl_module.reference is not None:
            return
        if pl_module.has_new_weights:
            data.note(
                "the weights are new, and preferences are about how a model answers: "
                "--model.pretrained names a model, or a run, that does"
            )
        training = pl_module.training
        pl_module.eval()
        done, total = 0, sum(map(len, data.splits))
        with trainer.precision_plugin.forward_context():
            for split in Splits._fields:
                examples = data.split_examples(split)
                own = torch.arange(len(examples))[trainer.global_rank :: trainer.world_size]
                for rows in own.split(data.batch_size or len(own)):
                    batch = trainer.strategy.batch_to_device(examples[rows], pl_module.device)
                    pl_module.refer(batch, pairs)
                    done += len(rows) * trainer.world_size
                    pl_module.report_preparation("reference", min(done, total), total)
        pl_module.train(training)
        if trainer.world_size > 1:
            assert pl_module.reference is not None
            found = pl_module.reference.nan_to_num(nan=0.0).to(pl_module.device)
            distributed.all_reduce(found)
            pl_module.reference = found.cpu()

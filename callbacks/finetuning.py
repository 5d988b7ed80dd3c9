"""Trains a model's new head before its backbone, and the backbone with a lower learning rate."""

from lightning.pytorch import LightningModule, Trainer
from torch import nn

from callbacks.private.torch import BatchNorm
from callbacks.run.processes import rewrap_ddp
from callbacks.technique import Technique
from datamodules.base import DataModule
from lightning_modules.optim.parameter_groups import head_of
from lightning_modules.tasks.task import Task


class Finetuning(Technique):
    """Trains the head first; then the backbone is unfrozen, all at once or gradually, from its last layer to its first.

    Howard & Ruder 2018, sections 3.2 and 3.3, https://arxiv.org/abs/1801.06146. A frozen layer normalises by its
    running statistics, and no gradient is computed below the first layer that is trained.

    Args:
        freeze_epochs: epochs in which the head alone is trained.
        unfreeze_epochs: epochs from then on until the full backbone is trained; 1 for all at once.
        backbone_rate: ratio of the backbone's learning rate to the head's, under any schedule.

    Raises:
        ValueError: a value is out of its range.
    """

    def __init__(self, freeze_epochs: int = 0, unfreeze_epochs: int = 1, backbone_rate: float = 1.0) -> None:
        if freeze_epochs < 0:
            raise ValueError(f"--finetuning.freeze_epochs: expected at least 0, got {freeze_epochs}")
        if unfreeze_epochs < 1:
            raise ValueError(f"--finetuning.unfreeze_epochs: expected at least 1, got {unfreeze_epochs}")
        if not 0 < backbone_rate < float("inf"):
            raise ValueError(f"--finetuning.backbone_rate: expected a positive number, got {backbone_rate}")
        self.freeze_epochs = freeze_epochs
        self.unfreeze_epochs = unfreeze_epochs
        self.backbone_rate = backbone_rate
        self.layers: list[str] = []  # of the backbone, from its first to its last

    @property
    def enabled(self) -> bool:
        """If there are layers to freeze, or the backbone has a learning rate of its own."""
        return self.freeze_epochs > 0 or self.unfreeze_epochs > 1 or self.backbone_rate != 1

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Find the backbone's layers, and freeze them as in the first epoch.

        Raises:
            ValueError: there is no backbone.
        """
        head = {id(layer) for top in head_of(model, getattr(model, "head_names", ())) for layer in top.modules()}
        self.layers = [
            name
            for name, layer in model.named_modules()
            if id(layer) not in head and (isinstance(layer, BatchNorm) or _is_trained(layer))
        ]
        if not (isinstance(model, Task) and model.automatic_optimization and head and self.layers):
            raise ValueError(
                f"--finetuning: expected a model with a head on a backbone, which {type(model).__name__} is not"
            )
        model.backbone_rate = self.backbone_rate
        self._freeze(model, 0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze as in the epoch at which a run is resumed."""
        self._apply(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unfreeze the layers that are due."""
        self._apply(trainer, pl_module)

    def num_frozen(self, epoch: int) -> int:
        """The number of the backbone's layers that are frozen in an epoch."""
        left = self.freeze_epochs + self.unfreeze_epochs - 1 - epoch  # epochs until all are trained
        return len(self.layers) * min(max(left, 0), self.unfreeze_epochs) // self.unfreeze_epochs

    def _apply(self, trainer: Trainer, model: LightningModule) -> None:
        if self._freeze(model, trainer.current_epoch):
            rewrap_ddp(trainer)
        layers = dict(model.named_modules())
        frozen = self.num_frozen(trainer.current_epoch)
        for index, name in enumerate(self.layers):
            layers[name].training = index >= frozen

    def _freeze(self, model: LightningModule, epoch: int) -> bool:
        """Freeze the first layers and unfreeze the others; returns whether that changes anything."""
        layers = dict(model.named_modules())  # synchronised batch norms may have replaced others
        frozen = self.num_frozen(epoch)
        changed = False
        for index, name in enumerate(self.layers):
            for weight in layers[name].parameters(recurse=False):
                changed |= weight.requires_grad != (index >= frozen)
                weight.requires_grad = index >= frozen
        return changed


def _is_trained(layer: nn.Module) -> bool:
    return any(weight.requires_grad for weight in layer.parameters(recurse=False))

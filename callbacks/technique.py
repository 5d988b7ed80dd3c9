"""The base class of training techniques: callbacks that are enabled by options."""

from abc import abstractmethod

from lightning.pytorch import Callback, LightningModule

from datamodules.base import DataModule


class Technique(Callback):
    """A training technique for any model; its constructor's arguments are the options of its section."""

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether the options enable it."""

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Modify a newly built model, in training as in testing, before weights are loaded.

        Raises:
            ValueError: it does not apply to this model or this data.
        """

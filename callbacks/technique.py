"""What a technique of training is here: a callback that a run has if its settings ask for it."""

from abc import abstractmethod

from lightning.pytorch import Callback, LightningModule

from datamodules.base import DataModule


class Technique(Callback):
    """An option of training for every model; what its constructor takes are the options of its section."""

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether the settings ask for it."""

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Change a model that was just built, in training as in testing, before any weights are loaded.

        Raises:
            ValueError: it makes no sense for this model or this data.
        """

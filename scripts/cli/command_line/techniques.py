"""The techniques of training, each a section of options of its own."""

from typing import Any

from callbacks.activation_checkpointing import ActivationCheckpointing
from callbacks.averaging import Averaging
from callbacks.compile import Compile
from callbacks.early_stopping import ResumableEarlyStopping
from callbacks.finetuning import Finetuning
from callbacks.keep_checkpoints import KeepCheckpoints
from callbacks.lora import LoRA
from callbacks.technique import Technique

TECHNIQUES: dict[str, type[Technique]] = {  # in the order in which they prepare a model
    "checkpoint": KeepCheckpoints,
    "early_stopping": ResumableEarlyStopping,
    "lora": LoRA,
    "finetuning": Finetuning,  # of the weights that are trained at all
    "averaging": Averaging,
    "activation_checkpointing": ActivationCheckpointing,
    "compile": Compile,  # with all that the others have changed
}


def techniques(options: Any) -> dict[str, Technique]:
    """The techniques that the parsed options enable, by the names of their sections.

    Raises:
        ValueError: an option is out of its range.
    """
    created = {name: cls(**dict(options[name])) for name, cls in TECHNIQUES.items()}
    return {name: technique for name, technique in created.items() if technique.enabled}

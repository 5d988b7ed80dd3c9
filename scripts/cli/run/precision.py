"""The precision that `--trainer.precision auto` means on this machine."""

import torch

from lightning_modules.optim.native_bf16 import multiplies_bf16


def pick_precision(precision: str, accelerator: str) -> str:
    """bf16 for `auto` where the hardware multiplies it natively, 32 bits elsewhere; any other precision as it is."""
    if precision != "auto":
        return precision
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if multiplies_bf16("cuda") else "32"
    return "bf16-mixed" if on_cpu(accelerator) and multiplies_bf16("cpu") else "32"


def on_cpu(accelerator: str) -> bool:
    """Whether a run with this `--trainer.accelerator` computes on the CPU."""
    return accelerator == "cpu" or (
        accelerator == "auto" and not torch.cuda.is_available() and not torch.backends.mps.is_available()
    )

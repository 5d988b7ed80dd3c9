"""What devices can multiply at most: against it, how much of a device a training uses."""

import torch

PEAKS = {  # floating-point operations a second in 16 bits, dense, as their makers state them; the first name that fits
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A40": 149.7e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "V100": 125e12,
    "T4": 65e12,
    "B200": 2250e12,
    "RTX 4090": 165.2e12,
    "RTX 3090": 71e12,
}
SIXTEEN_BITS = ("bf16-mixed", "bf16-true", "16-mixed", "16-true")


def peak_of(device: torch.device, precision: str) -> float | None:
    """How many floating-point operations a second a device can carry out; None where that is not known.

    Args:
        device: that is trained on.
        precision: of the trainer; for others than 16 bits nothing is known.
    """
    if device.type != "cuda" or precision not in SIXTEEN_BITS:
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)

"""The class of each example, or its labels, from logits."""

from collections.abc import Callable
from typing import Any

import numpy as np


def answers(run: Callable[[Any], Any], tensors: Any, read: Any, output: Any) -> list[dict[str, Any]]:
    """Each example's class, or its labels, and the probability of every class."""
    logits, names = run(tensors).astype(np.float64), output["classes"]
    if output["kind"] == "labels":
        rows = (1 / (1 + np.exp(-logits))).tolist()
        chosen = [[name for name, p in zip(names, row, strict=True) if p >= output["threshold"]] for row in rows]
    else:
        if logits.shape[1] < len(names):  # of two classes the second alone
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        rows = (powers / powers.sum(1, keepdims=True)).tolist()
        chosen = [names[row.index(max(row))] for row in rows]
    return [
        {"prediction": choice, "probabilities": dict(zip(names, row, strict=True))}
        for choice, row in zip(chosen, rows, strict=True)
    ]

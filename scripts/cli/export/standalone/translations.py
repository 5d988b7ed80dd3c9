"""Sentences, one a line, and their translations, by beam search; needs tokenizers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer


def examples(path: Path, reader: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The token ids of each sentence."""
    tokenizer = Tokenizer.from_str(json.dumps(reader["tokenizer"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(reader["max_length"])
    for line in path.read_text(encoding="utf-8-sig").split("\n"):
        if text := line.strip():
            ids = tokenizer.encode(text).ids
            yield [text], {"source": np.array([ids], np.int64), "lengths": np.array([len(ids)], np.int64)}, None


def answers(run: Callable[[Any], Any], tensors: Any, read: Any, output: Any) -> list[dict[str, Any]]:
    """The finished hypothesis with the highest mean log-probability, weighted by its length."""
    tokenizer = Tokenizer.from_str(json.dumps(output["tokenizer"]))
    max_length = int(tensors["lengths"][0] * output["max_ratio"]) + 10
    size, end = output["beams"], output["end"]
    hypotheses, ended, best = [(0.0, [output["begin"]])], 0, (-np.inf, [0])
    for length in range(1, max_length + 1):
        so_far = {"target": np.array([tokens for _, tokens in hypotheses], np.int64)}
        repeated = {name: np.repeat(tensor, len(hypotheses), 0) for name, tensor in tensors.items()}
        logits = run(repeated | so_far)[:, -1].astype(np.float64)
        logits[:, output["never"]] = -np.inf
        highest = logits.max(1, keepdims=True)
        scores = logits - highest - np.log(np.exp(logits - highest).sum(1, keepdims=True))
        scores += np.array([[total] for total, _ in hypotheses])
        order = (-scores).flatten().argsort(kind="stable")[: 2 * size]
        found = [(scores.flat[i], [*hypotheses[i // scores.shape[1]][1], int(i % scores.shape[1])]) for i in order]
        normalizer = ((5 + length) / 6) ** output["length_penalty"]
        finished = [(total / normalizer, tokens) for total, tokens in found[:size] if tokens[-1] == end]
        hypotheses = [(total, tokens) for total, tokens in found if tokens[-1] != end][:size]
        ended += len(finished)
        if length == max_length and ended < size:  # the search ends, as if all had finished
            finished += [(total / normalizer, tokens) for total, tokens in hypotheses]
        best = max([best, *finished], key=lambda hypothesis: hypothesis[0])
        if ended >= size:
            break
    return [{"prediction": tokenizer.decode([token for token in best[1][1:] if token != end])}]

"""Questions on contexts, in SQuAD's JSON, and their answers in the contexts; needs tokenizers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer


def examples(path: Path, reader: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The tokens of each question and of windows of its context, and where in them each token of the context is."""
    tokenizer = Tokenizer.from_str(json.dumps(reader["tokenizer"]))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    content, number = json.loads(path.read_text(encoding="utf-8-sig")), 0
    for paragraph in (part for article in content["data"] for part in article["paragraphs"]):
        text = paragraph["context"]
        context = tokenizer.encode(text, add_special_tokens=False)
        for question in paragraph["qas"]:
            number += 1
            tokens = tokenizer.encode(question["question"], add_special_tokens=False).ids
            tensors = windows_of(tokens, context.ids, reader)
            yield [question.get("id") or str(number)], tensors, (question["question"], text, context.offsets)


def windows_of(question: list[int], context: list[int], reader: Any) -> dict[str, Any]:
    """The tensors of a question; each token of the context is read in the window that shows most around it."""
    before, between, after = reader["before"], reader["between"], reader["after"]
    special = len(before) + len(between) + len(after)
    head = [*before, *question[: reader["max_length"] // 2 - special], *between]
    room, starts = reader["max_length"] - len(head) - len(after), [0]
    while starts[-1] + room < len(context):
        starts.append(starts[-1] + min(reader["stride"], room))
    pieces = [head + context[start : start + room] + after for start in starts]
    width, places = max(map(len, pieces)), np.arange(len(context))
    first, last = np.array(starts)[:, None], np.minimum(np.array(starts) + room, len(context))[:, None]
    best = np.minimum(places - first, last - 1 - places).argmax(0) if len(context) else places
    positions = best * width + len(head) + places - np.array(starts)[best]
    return {
        "ids": np.array([piece + [reader["padding"]] * (width - len(piece)) for piece in pieces], np.int64),
        "lengths": np.array([*map(len, pieces)], np.int64),
        "context_start": np.full(len(pieces), len(head), np.int64),
        "owner": np.zeros(len(pieces), np.int64),
        "first": (positions if len(context) else np.zeros(1, np.int64))[None],
    }


def answers(run: Callable[[Any], Any], tensors: Any, read: Any, output: Any) -> list[dict[str, Any]]:
    """The span with the maximum sum of a start's and an end's score, or no answer."""
    question, context, offsets = read
    scores = run(tensors)[0].astype(np.float64)[:, : len(offsets) + 1]
    if not output["unanswerable"] and offsets:
        scores[:, 0] = -np.inf
    start, end = scores[0, 1:, None], scores[1, None, 1:]
    lengths = np.arange(len(offsets))[None] - np.arange(len(offsets))[:, None]
    sums = np.where((lengths < 0) | (lengths >= output["max_answer"]), -np.inf, start + end)
    best, none = sums.max(initial=-np.inf), scores[:, 0].sum()
    place = (-1, -1)
    if none < best:
        first, last = np.unravel_index(sums.argmax(), sums.shape)
        place = offsets[first][0], offsets[last][1]
    totals = np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1)) + scores.max(1)
    found = {"question": question, "prediction": context[place[0] : place[1]] if place[0] >= 0 else ""}
    return [{**found, "start": place[0], "end": place[1], "probability": float(np.exp(max(best, none) - totals.sum()))}]

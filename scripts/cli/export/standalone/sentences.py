"""Sentences, one a line, and the entities in them; needs tokenizers."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer


def examples(path: Path, reader: Any) -> Iterator[tuple[list[str], dict[str, Any], Any]]:
    """The tokens of each sentence, in pieces if it is long, and where in them each word begins."""
    tokenizer = Tokenizer.from_str(json.dumps(reader["tokenizer"]))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    for number, text in enumerate(filter(None, lines), start=1):
        spans = [match.span() for match in re.finditer(reader["words"], text)]
        words = [text[start:end] for start, end in spans]
        encoded = tokenizer.encode_batch(words, add_special_tokens=False)
        pieces, first = cut(words, [(e.ids or [reader["unknown"]])[: reader["room"]] for e in encoded], reader)
        width = max(map(len, pieces))
        ids = np.array([piece + [reader["padding"]] * (width - len(piece)) for piece in pieces], np.int64)
        positions = np.array([[piece * width + position for piece, position in first]], np.int64)
        yield [str(number)], {"ids": ids, "lengths": np.array([*map(len, pieces)]), "first": positions}, (text, spans)


def cut(words: list[str], tokens: list[list[int]], reader: Any) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """The tokens of each piece, which ends after a sentence in its second half, or else after a word."""
    cuts, used, last_end = [0], 0, 0
    for index, of_word in enumerate(tokens):
        if used + len(of_word) > reader["room"]:
            half = sum(map(len, tokens[cuts[-1] : last_end])) * 2 > reader["room"]
            cuts.append(last_end if last_end > cuts[-1] and half else index)
            used = sum(map(len, tokens[cuts[-1] : index]))
        used += len(of_word)
        if words[index][-1] in reader["sentence_ends"]:
            last_end = index + 1
    pieces: list[list[int]] = []
    first: list[tuple[int, int]] = []
    for start, end in zip(cuts, [*cuts[1:], len(words)], strict=True):
        piece = [*reader["before"]]
        for of_word in tokens[start:end]:
            first.append((len(pieces), len(piece)))
            piece += of_word
        pieces.append(piece + reader["after"])
    return pieces, first


def answers(run: Callable[[Any], Any], tensors: Any, read: Any, output: Any) -> list[dict[str, Any]]:
    """The entities of the sentence."""
    (text, spans), entities = read, []
    for word, tag in enumerate(valid_tags(run(tensors)[0].astype(np.float64), output["tags"])):
        if tag.startswith("B-"):
            entities.append({"text": "", "type": tag[2:], "start": spans[word][0], "end": spans[word][1]})
        elif tag != "O":
            entities[-1]["end"] = spans[word][1]
    for entity in entities:
        entity["text"] = text[entity["start"] : entity["end"]]
    listed = "; ".join(f"{entity['text']} ({entity['type']})" for entity in entities)
    return [{"text": text, "prediction": listed, "entities": entities}]


def valid_tags(scores: Any, tags: list[str]) -> list[str]:
    """The best tags of a sentence (W, K) in which every I follows a B or I of its type, by Viterbi's algorithm."""
    scores = scores - np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True))
    forbidden = np.array([[to[0] == "I" and of[1:] != to[1:] for to in tags] for of in tags])
    best, origins = np.where(forbidden[tags.index("O")], -np.inf, scores[0]), []
    for row in scores[1:]:
        through = np.where(forbidden, -np.inf, best[:, None])
        origins.append(through.argmax(0))
        best = through.max(0) + row
    chosen = [int(best.argmax())]
    for origin in reversed(origins):
        chosen.append(int(origin[chosen[-1]]))
    return [tags[tag] for tag in reversed(chosen)]

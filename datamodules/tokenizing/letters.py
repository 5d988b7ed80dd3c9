"""Tokens that are single letters or bytes, by a table: a hundred times as fast as a tokenizer that looks for merges."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from datamodules.tokenizing.language import bytes_of_tokens

CODES = 0x110000  # that Unicode has
UNKNOWN = -1


class Letters:
    """The tokens of texts, each of a letter or a byte.

    Args:
        tokenizer: of which no two tokens are ever merged.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        single = [content if len(content) == 1 else b"" for content in bytes_of_tokens(tokenizer)]
        described = json.loads(tokenizer.to_str())
        self.of_bytes = np.full(256, UNKNOWN, np.int64)
        self.of_codes: NDArray[np.int64] | None = None
        if described["pre_tokenizer"] is not None:  # to bytes
            for token, content in enumerate(single):
                if content:
                    self.of_bytes[content[0]] = token
            return
        self.of_codes = np.full(CODES, UNKNOWN, np.int64)
        special = {token["id"] for token in described["added_tokens"]}
        for name, token in tokenizer.get_vocab().items():
            if len(name) == 1 and token not in special:
                self.of_codes[ord(name)] = token
            elif name.startswith("<0x"):
                self.of_bytes[int(name[3:5], 16)] = token

    def ids(self, text: str) -> NDArray[np.int64]:
        """The tokens of a text."""
        if self.of_codes is None:
            return self.of_bytes[np.frombuffer(text.encode(), np.uint8)]
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        ids = self.of_codes[codes]
        places = (ids == UNKNOWN).nonzero()[0]
        if not len(places):
            return ids
        parts: list[NDArray[Any]] = []
        before = 0
        for place in places.tolist():
            parts += [ids[before:place], self.of_bytes[np.frombuffer(chr(codes[place]).encode(), np.uint8)]]
            before = place + 1
        return np.concatenate([*parts, ids[before:]])


def letters_of(tokenizer: Tokenizer) -> Letters | None:
    """The table of a tokenizer that never merges two tokens, as new_language_tokenizer makes them; None of another."""
    described = json.loads(tokenizer.to_str())
    model, before = described["model"], described["pre_tokenizer"]
    if model["type"] != "BPE" or model["merges"] or described["normalizer"] is not None:
        return None
    found = Letters(tokenizer)
    is_complete = (found.of_bytes != UNKNOWN).all()
    return found if is_complete and (before is None or '"ByteLevel"' in json.dumps(before)) else None

"""Special tokens in conversations: those that a template writes are tokens, those that a person writes are text."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer

from datamodules.errors import DataError

# Noncharacters, which Unicode reserves for programs: no text contains them.
ESCAPE, CONTROL, CUT = "\ufdd0", "\ufdd1", "\ufdd2"
REPLACEMENT = "\ufffd"
OF_PROGRAMS = str.maketrans(dict.fromkeys((ESCAPE, CONTROL, CUT), REPLACEMENT))
DELIMITER = re.compile(
    r"<[|｜].*[|｜]>"
)  # a token that structures a text, even if its tokenizer does not call it special
OF_ANSWERS = re.compile(r"</?(think|tool\w*)>")  # what a model writes into its answer, and so may an example of one


class ControlTokens:
    """A tokenizer that tells apart who wrote a special token.

    It encodes as the one that it is made of, but its special tokens are called otherwise: what a person writes is never
    one of them. So a text is encoded as a whole, and as any other program encodes it where nobody has written one.

    1. `escaped` breaks the special tokens in what people write.
    2. A template puts it into its text.
    3. `marked` gives the special tokens that are complete there their other names, and mends those that were broken.

    Args:
        tokenizer_json: the tokenizer.
        others: further tokens that nobody but the template writes.

    Raises:
        DataError: a special token is a part of words, too.
    """

    def __init__(self, tokenizer_json: str, others: Iterable[str] = ()) -> None:
        described = json.loads(tokenizer_json)
        added = {token["content"]: token for token in described["added_tokens"]}
        self.ids = {
            name: int(token["id"])
            for name, token in added.items()
            if name in others or DELIMITER.fullmatch(name) or (token["special"] and not OF_ANSWERS.fullmatch(name))
        }
        names = "|".join(map(re.escape, sorted(self.ids, key=len, reverse=True)))
        self.written = re.compile(names or r"(?!)")
        self.control = re.compile(f"{CONTROL}({names or '(?!)'})")
        try:
            self.tokenizer = self._renamed(described)
        except Exception as error:  # tokenizers raises no more specific type
            raise DataError(f"the tokenizer's special tokens cannot be told from text ({error})") from None
        for name, token in self.ids.items():
            if self.tokenizer.token_to_id(CONTROL + name) != token:
                raise DataError(f"the tokenizer's special token {name} cannot be told from text")
        self._cut = self.tokenizer.get_vocab_size()
        self.tokenizer.add_special_tokens([CUT])

    def _renamed(self, described: dict[str, Any]) -> Tokenizer:
        """The tokenizer whose special tokens have the other names, and which adds none to a text."""
        for token in described["added_tokens"]:
            if token["content"] in self.ids:
                token["content"] = CONTROL + token["content"]
        model = described["model"]
        if isinstance(model["vocab"], dict):
            model["vocab"] = {self._other(name): token for name, token in model["vocab"].items()}
        else:
            model["vocab"] = [[self._other(name), score] for name, score in model["vocab"]]
        if model.get("unk_token"):
            model["unk_token"] = self._other(model["unk_token"])
        described |= {"post_processor": None, "truncation": None, "padding": None}
        return Tokenizer.from_str(json.dumps(described))

    def _other(self, name: str) -> str:
        return CONTROL + name if name in self.ids else name

    def escaped(self, value: Any) -> Any:
        """What people wrote, at any depth of lists and dictionaries, in which no special token is complete."""
        if isinstance(value, str):
            text = value.translate(OF_PROGRAMS)
            return self.written.sub(lambda found: found[0][0] + ESCAPE + found[0][1:], text)
        if isinstance(value, dict):
            return {self.escaped(key): self.escaped(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.escaped(item) for item in value]
        return value

    def marked(self, rendered: str) -> str:
        """A text of the template with the other names of the special tokens that it has written."""
        return self.written.sub(lambda found: CONTROL + found[0], rendered).replace(ESCAPE, "")

    def encode(self, text: str) -> Encoding:
        """The tokens of a marked text, with their offsets."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def encode_cut(self, text: str, cuts: Sequence[int]) -> tuple[list[int], list[int]]:
        """The tokens of a marked text of which none reaches across a cut, and where each begins.

        Args:
            text: the text.
            cuts: positions in it, ascending.
        """
        parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        encoding = self.encode(CUT.join(parts))
        ids, begins, before = [], [], 0
        for token, (begin, _) in zip(encoding.ids, encoding.offsets, strict=True):
            if token == self._cut:
                before += 1
            else:
                ids.append(token)
                begins.append(begin - before)
        return ids, begins


def unmarked(text: str) -> str:
    """A marked text as it is shown."""
    return text.replace(CONTROL, "")

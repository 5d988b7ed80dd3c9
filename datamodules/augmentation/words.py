"""Tokens of training texts replaced by one that says nothing."""

from typing import Any

import torch
from tokenizers import Tokenizer

from datamodules.tokenizing.tokens import MASK, UNKNOWN


class WordDropout:
    """Replaces each token of a text at random; special tokens and padding stay.

    Iyyer et al. 2015, https://aclanthology.org/P15-1162, leave words out; here, as in Bowman et al. 2016,
    https://arxiv.org/abs/1511.06349, a token takes the place, so that every other keeps its own. It is the unknown
    token, so that a model learns what to make of words it does not know; a pretrained model was taught the mask.

    Args:
        tokenizer: of the texts.
        probability: of each token.
        pretrained: whether the tokenizer is a pretrained model's.

    Raises:
        ValueError: the tokenizer has no such token.
    """

    def __init__(self, tokenizer: Tokenizer, probability: float, pretrained: bool = False) -> None:
        names = [MASK, "<mask>", UNKNOWN, "<unk>"] if pretrained else [UNKNOWN]
        known = [number for name in names if (number := tokenizer.token_to_id(name)) is not None]
        if not known:
            raise ValueError(
                f"--data.word_dropout {probability}: the tokenizer has none of {', '.join(names)} to put instead"
            )
        self.instead = known[0]
        self.probability = probability
        self.special = torch.zeros(tokenizer.get_vocab_size(), dtype=torch.bool)
        for number, token in tokenizer.get_added_tokens_decoder().items():
            self.special[number] = token.special

    def __call__(self, text: Any) -> Any:
        """The text with tokens replaced.

        Args:
            text: a NamedTuple with `ids` (B, T), and a `mask` (B, T) that is true where there is a token.
        """
        self.special = self.special.to(text.ids.device)
        selected = torch.rand(text.ids.shape, device=text.ids.device) < self.probability
        return text._replace(ids=text.ids.masked_fill(selected & text.mask & ~self.special[text.ids], self.instead))

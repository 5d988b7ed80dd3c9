"""Token sequences packed into rows, as language models read them."""

from typing import NamedTuple

import torch
from torch import Tensor

IGNORED = -100  # a target that does not count


class Packed(NamedTuple):
    """A batch of rows of tokens, in each of which documents lie end to end.

    What stands beside a document in its row changes nothing about it: a model attends within documents only.

    Args:
        ids: (B, T) tokens.
        targets: (B, T) the token after each; IGNORED where none is to be predicted: after the end of a document, in
            padding, and where only the answer of a conversation counts.
        documents: (B, T) which of its row's documents each token is of, from 0 in ascending order; padding is the last
            document. None where every row is one document.
        num_bytes: (B,) UTF-8 bytes of the text of each row's targets, special tokens having none.
    """

    ids: Tensor
    targets: Tensor
    documents: Tensor | None
    num_bytes: Tensor

    @property
    def num_tokens(self) -> Tensor:
        """How many tokens there are, up to each row's last target: what follows it is padding, or counts no more."""
        places = torch.arange(1, self.ids.shape[1] + 1, device=self.ids.device)
        return (places * self.targets.ne(IGNORED)).amax(1).sum()

    @property
    def positions(self) -> Tensor | None:
        """(B, T) the position of each token in its document, from 0; None where every row is one document."""
        if self.documents is None:
            return None
        places = torch.arange(self.ids.shape[1], device=self.ids.device).expand_as(self.ids)
        begins = self.documents.diff(dim=1, prepend=self.documents[:, :1] - 1) != 0
        return places - places.where(begins, 0).cummax(1).values

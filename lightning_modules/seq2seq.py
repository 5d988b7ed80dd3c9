"""Recurrent encoder and decoder with attention.

Shapes: B sentences, S source tokens, T tokens of the translation, V tokens in the vocabulary, D features.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from lightning_modules.layers.calls import calls_of
from lightning_modules.layers.scan import scan, scanned_gru
from lightning_modules.layers.sequence import tie
from lightning_modules.tasks.decoding import State
from lightning_modules.tasks.translator import Translator


class Encoder(nn.Module):
    """A bidirectional GRU over packed sequences, which leave padding out.

    Cho et al. 2014, https://arxiv.org/abs/1406.1078.

    Args:
        embedding: embedding of V tokens with D features, D even.
        num_layers: number of GRU layers.
        dropout: dropout probability of the embeddings, and between layers.

    Shapes:
        input a Text of B sentences, output (B, S, D) with D / 2 features of each direction, and their last, (B, D)
    """

    def __init__(self, embedding: nn.Embedding, num_layers: int, dropout: float) -> None:
        super().__init__()
        size = embedding.embedding_dim
        self.embedding = embedding
        self.dropout = nn.Dropout(dropout)
        between = dropout if num_layers > 1 else 0.0
        self.gru = nn.GRU(size, size // 2, num_layers, batch_first=True, dropout=between, bidirectional=True)

    def forward(self, source: Text) -> tuple[Tensor, Tensor]:
        """The features of every token, and those of each direction's last."""
        embedded = self.dropout(self.embedding(source.ids))  # (B, S, D)
        if torch.compiler.is_exporting():  # no exporter can write down packed sequences
            return scanned_gru(self.gru, embedded, source.mask)
        packed = pack_padded_sequence(embedded, source.lengths.cpu(), batch_first=True, enforce_sorted=False)
        features, last = self.gru(packed)
        features, _ = pad_packed_sequence(features, batch_first=True, total_length=source.ids.shape[1])  # (B, S, D)
        return features, torch.cat([last[-2], last[-1]], dim=-1)  # (B, D)


class AdditiveAttention(nn.Module):
    """A weighted mean of a memory: `c = Σ_s α_s m_s`, `α = softmax_s(v · tanh(W h + U m_s))`.

    Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473.

    Args:
        hidden_size: D

    Shapes:
        h (B, D), keys and memory (B, S, D), mask (B, S) true where there is a token, output (B, D) and weights (B, S)
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)  # W
        self.key = nn.Linear(hidden_size, hidden_size)  # U, once for all steps
        self.score = nn.Linear(hidden_size, 1, bias=False)  # v

    def forward(self, h: Tensor, keys: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted mean, and the weights."""
        score = self.score(torch.tanh(self.query(h)[:, None] + keys)).squeeze(-1)  # (B, S)
        weights = score.float().masked_fill(~mask, -torch.inf).softmax(-1)  # (B, S)
        return torch.bmm(weights[:, None].to(memory.dtype), memory).squeeze(1), weights


class Seq2Seq(Translator):
    """A bidirectional GRU encoder, and a GRU decoder that attends to the source at each token.

    Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473; scheduled sampling by Bengio et al. 2015,
    https://arxiv.org/abs/1506.03099.

    Args:
        hidden_size: D, even.
        num_layers: number of layers of the encoder; the decoder has one.
        dropout: dropout probability.
        teacher_forcing: probability that the decoder's next input in training is the reference token, not the model's
            own prediction.
        tie_embeddings: one matrix for the translation's embedding and the output, and, if both languages share their
            vocabulary, the source's embedding.
        kwargs: arguments of Translator and Task.

    Shapes:
        input a Pair of B sentences, output (B, T - 1, V)

    Raises:
        ValueError: hidden_size is odd, or teacher_forcing is no probability.
    """

    attends = "attention of each token of the translation to the source"

    def __init__(
        self,
        hidden_size: int = 256,
        num_layers: int = 1,
        dropout: float = 0.2,
        teacher_forcing: float = 1.0,
        tie_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden_size % 2:
            raise ValueError(
                f"--model.hidden_size: expected an even number, half for each direction, got {hidden_size}"
            )
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"--model.teacher_forcing: expected a probability from 0 to 1, got {teacher_forcing}")
        self.teacher_forcing = teacher_forcing
        self.encoder = Encoder(
            nn.Embedding(self.num_source_tokens, hidden_size, padding_idx=self.source_padding), num_layers, dropout
        )
        self.embed_target = nn.Embedding(self.num_target_tokens, hidden_size, padding_idx=self.padding)
        for embedding in (self.encoder.embedding, self.embed_target):
            nn.init.normal_(embedding.weight, std=0.1)  # an output layer of larger weights would start overconfident
        self.bridge = nn.Linear(hidden_size, hidden_size)
        self.attention = AdditiveAttention(hidden_size)
        self.cell = nn.GRUCell(2 * hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(3 * hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, self.num_target_tokens)
        if tie_embeddings:
            tie(self.encoder.embedding, self.embed_target, self.output, self.one_vocabulary)

    def start(self, source: Text) -> State:
        """The decoder's first state (B, D); the source's features, keys (B, S, D) and mask (B, S)."""
        memory, last = self.encoder(source)
        return torch.tanh(self.bridge(last)), memory, self.attention.key(memory), source.mask

    def next(self, embedded: Tensor, state: State) -> tuple[Tensor, Tensor]:
        """Features of the next token and the new hidden state, (B, D), from the newest token's embedding (B, D)."""
        h, memory, keys, mask = state
        context, _ = self.attention(h, keys, memory, mask)  # (B, D)
        h = self.cell(torch.cat([embedded, context], dim=-1), h)  # (B, D)
        return torch.tanh(self.readout(self.dropout(torch.cat([h, context, embedded], dim=-1)))), h

    def forward(self, pair: Pair) -> Tensor:
        """Logits."""
        h, *source = self.start(pair.source)
        teacher_forcing = self.teacher_forcing if self.training else 1.0
        references = self.dropout(self.embed_target(pair.target.ids[:, :-1]))  # (B, T - 1, D)
        if torch.compiler.is_exporting():
            return self.output(self.scanned(references, h, source))
        features: list[Tensor] = []  # (B, D) of each token
        for embedded in references.unbind(1):
            if features and teacher_forcing < 1:
                with torch.no_grad():
                    predicted = self.output(features[-1]).argmax(-1)  # (B,)
                forced = torch.rand(len(predicted), 1, device=predicted.device) < teacher_forcing
                embedded = torch.where(forced, embedded, self.dropout(self.embed_target(predicted)))
            feature, h = self.next(embedded, (h, *source))
            features.append(feature)
        return self.output(self.dropout(torch.stack(features, dim=1)))  # all at once: one large matrix product

    def scanned(self, references: Tensor, h: Tensor, source: list[Tensor]) -> Tensor:
        """Features (B, T - 1, D) of all tokens, by one operation that exporters can write down."""

        def step(h: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            feature, h = self.next(inputs[0], (h, *source))
            return h, feature

        return scan(step, h, (references,))[1]

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits of the next token, and the new state."""
        feature, h = self.next(self.embed_target(tokens), state)
        return self.output(feature), (h, *state[1:])

    def attention_weights(self, pair: Pair) -> Tensor:
        """The decoder's weights."""
        with calls_of(self.attention) as calls:
            self(pair)
        return torch.stack([call.output[1] for call in calls], dim=1)  # (B, T - 1, S)

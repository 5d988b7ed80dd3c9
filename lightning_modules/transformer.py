"""The Transformer of 2017, from scratch.

Shapes: B sentences, S source tokens, T tokens of the translation, V tokens in the vocabulary, H heads, D features.
"""

from typing import Any

from torch import Tensor, nn

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from lightning_modules.layers.calls import calls_of
from lightning_modules.layers.decoder_cache import DecoderCache
from lightning_modules.layers.sequence import PositionalEmbedding, check_heads, tie
from lightning_modules.layers.transformer import DecoderLayer, EncoderLayer, causal_mask
from lightning_modules.tasks.decoding import State
from lightning_modules.tasks.translator import Translator


class Transformer(Translator):
    """An encoder and a decoder of attention layers.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; pre-norm by Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745.

    Args:
        hidden_size: D, a multiple of twice the heads.
        num_layers: number of layers in the encoder, and in the decoder.
        num_heads: H
        feedforward_size: hidden units of each feed-forward network.
        dropout: dropout probability of features and of attention weights.
        norm_first: normalise before each sublayer, and once at the end, instead of after each as in the paper.
        tie_embeddings: one matrix for the translation's embedding and the output, and, if both languages share their
            vocabulary, the source's embedding.
        kwargs: arguments of Translator and Task.

    Shapes:
        input a Pair of B sentences, output (B, T - 1, V)

    Raises:
        ValueError: hidden_size is no multiple of twice the heads.
    """

    attends = "attention of each token of the translation to the source: last layer, mean over the heads"

    def __init__(
        self,
        hidden_size: int = 256,
        num_layers: int = 3,
        num_heads: int = 4,
        feedforward_size: int = 1024,
        dropout: float = 0.1,
        norm_first: bool = True,
        tie_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_heads(hidden_size, num_heads)
        self.embed_source = PositionalEmbedding(self.num_source_tokens, hidden_size, self.source_padding, dropout)
        self.embed_target = PositionalEmbedding(self.num_target_tokens, hidden_size, self.padding, dropout)
        sizes = (hidden_size, num_heads, feedforward_size, dropout, norm_first)
        self.encoder: Any = nn.ModuleList(EncoderLayer(*sizes) for _ in range(num_layers))
        self.decoder: Any = nn.ModuleList(DecoderLayer(*sizes) for _ in range(num_layers))
        self.encoder_norm, self.decoder_norm = (
            nn.LayerNorm(hidden_size) if norm_first else nn.Identity() for _ in range(2)
        )
        self.output = nn.Linear(hidden_size, self.num_target_tokens, bias=False)
        for layer in [*self.encoder.modules(), *self.decoder.modules()]:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        if tie_embeddings:
            tie(self.embed_source.tokens, self.embed_target.tokens, self.output, self.one_vocabulary)

    def encode(self, source: Text) -> tuple[Tensor, Tensor]:
        """The source's features (B, S, D), and their mask (B, 1, 1, S)."""
        mask = source.mask[:, None, None]
        x = self.embed_source(source.ids)  # (B, S, D)
        for layer in self.encoder:
            x = layer(x, mask)
        return self.encoder_norm(x), mask

    def forward(self, pair: Pair) -> Tensor:
        """Logits."""
        memory, source_mask = self.encode(pair.source)
        x = self.embed_target(pair.target.ids[:, :-1])  # (B, T - 1, D)
        mask = causal_mask(x.shape[1], x.device)
        for layer in self.decoder:
            x = layer(x, memory, source_mask, mask)
        return self.output(self.decoder_norm(x))

    def start(self, source: Text) -> State:
        """The cache of translations without tokens."""
        memory, mask = self.encode(source)
        return (DecoderCache.start(mask, [layer.attention_to_source.keys_values(memory) for layer in self.decoder]),)

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits of the next token; only the newest one's position is computed."""
        cache: DecoderCache = state[0].next()
        x = self.embed_target(tokens[:, None], first=cache.length - 1)  # (N, 1, D)
        x = x.view(len(cache.mask), -1, x.shape[-1])  # (B, K, D)
        for index, layer in enumerate(self.decoder):
            x = layer.advance(x, cache, index)
        return self.output(self.decoder_norm(x)).flatten(0, 1), (cache,)

    def attention_weights(self, pair: Pair) -> Tensor:
        """The last layer's weights of the source, the mean over the heads."""
        attention = self.decoder[-1].attention_to_source
        with calls_of(attention) as calls:
            self(pair)
        return attention.weights(*calls[0].args).mean(1)  # (B, H, T - 1, S) → (B, T - 1, S)

"""The Transformer of 2017, on torch.nn.Transformer.

Shapes: B sentences, S source tokens, T tokens of the translation, V tokens in the vocabulary, D features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from lightning_modules.layers.calls import calls_of
from lightning_modules.layers.decoder_cache import DecoderCache
from lightning_modules.layers.sequence import PositionalEmbedding, check_heads, tie
from lightning_modules.layers.torch_decoder import advance, keys_values
from lightning_modules.tasks.decoding import State
from lightning_modules.tasks.translator import Translator


class TorchTransformer(Translator):
    """`torch.nn.Transformer` between embeddings and an output layer.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; pre-norm by Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745. torch's decoder caches no keys and values: decoding calls the parts
    of its layers.

    Args:
        hidden_size: D, a multiple of twice the heads.
        num_layers: number of layers in the encoder, and in the decoder.
        num_heads: number of attention heads in each layer.
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
        layer = nn.TransformerEncoderLayer(
            hidden_size, num_heads, feedforward_size, dropout, batch_first=True, norm_first=norm_first
        )
        norm = nn.LayerNorm(hidden_size) if norm_first else None  # nn.Transformer always adds one
        encoder = nn.TransformerEncoder(layer, num_layers, norm, enable_nested_tensor=False)
        self.network = nn.Transformer(
            hidden_size,
            num_heads,
            num_decoder_layers=num_layers,
            dim_feedforward=feedforward_size,
            dropout=dropout,
            custom_encoder=encoder,
            batch_first=True,
            norm_first=norm_first,
        )
        if not norm_first:
            self.network.decoder.norm = None
        self.output = nn.Linear(hidden_size, self.num_target_tokens, bias=False)
        if tie_embeddings:
            tie(self.embed_source.tokens, self.embed_target.tokens, self.output, self.one_vocabulary)

    def encode(self, source: Text) -> tuple[Tensor, Tensor]:
        """The source's features (B, S, D), and (B, S), true in the padding."""
        padding = ~source.mask
        return self.network.encoder(self.embed_source(source.ids), src_key_padding_mask=padding), padding

    def decode(self, ids: Tensor, memory: Tensor, padding: Tensor) -> Tensor:
        """Features (B, T, D) of the translation's tokens, each computed from those up to it."""
        future = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).triu(1)  # (T, T)
        return self.network.decoder(
            self.embed_target(ids), memory, tgt_mask=future, memory_key_padding_mask=padding, tgt_is_causal=True
        )

    def forward(self, pair: Pair) -> Tensor:
        """Logits."""
        memory, padding = self.encode(pair.source)
        return self.output(self.decode(pair.target.ids[:, :-1], memory, padding))

    def start(self, source: Text) -> State:
        """The cache of translations without tokens."""
        memory, padding = self.encode(source)
        layers = self.network.decoder.layers
        mask = ~padding[:, None, None]  # (B, 1, 1, S)
        return (DecoderCache.start(mask, [keys_values(layer.multihead_attn, memory) for layer in layers]),)

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits of the next token; only the newest one's position is computed."""
        cache: DecoderCache = state[0].next()
        x = self.embed_target(tokens[:, None], first=cache.length - 1)  # (N, 1, D)
        x = x.view(len(cache.mask), -1, x.shape[-1])  # (B, K, D)
        decoder = self.network.decoder
        for index, layer in enumerate(decoder.layers):
            x = advance(layer, x, cache, index)
        x = x if decoder.norm is None else decoder.norm(x)
        return self.output(x).flatten(0, 1), (cache,)

    def attention_weights(self, pair: Pair) -> Tensor:
        """The last layer's weights of the source, the mean over the heads."""
        attention: Any = self.network.decoder.layers[-1].multihead_attn
        with calls_of(attention) as calls:
            self(pair)
        return attention(*calls[0].args, **calls[0].kwargs | {"need_weights": True})[1]  # (B, T - 1, S)

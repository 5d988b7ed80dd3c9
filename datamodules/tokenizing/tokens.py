"""Text as token numbers: tokenizers, and many sequences of different lengths end to end in one tensor."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Encoding, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import WordPiece as WordPieceDecoder
from torch import Tensor

from datamodules.files.paths import user_path
from datamodules.loading.sampling import ranges
from datamodules.storage.download import DataError

PAD, UNKNOWN, CLS, SEP, MASK, BEGIN, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]"
AT_ONCE = 1000  # texts that are cut into tokens together


class Text(NamedTuple):
    """A batch of token sequences.

    Args:
        ids: (B, T) token numbers, padded with the tokenizer's padding after each sequence's end.
        lengths: (B,) tokens in each, the longest of them T.
    """

    ids: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, T), true where there is a token and false in the padding."""
        places = torch.arange(self.ids.shape[1], device=self.ids.device)
        return places < self.lengths[:, None]


class Ragged:
    """Sequences of different lengths, end to end.

    Args:
        sequences: of token numbers.
    """

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        lengths, flat = array("i"), array("i")
        for sequence in sequences:
            lengths.append(len(sequence))
            flat.extend(sequence)
        self.lengths = torch.from_numpy(np.array(lengths, np.int64))
        self.start = self.lengths.cumsum(0) - self.lengths
        self.values = torch.from_numpy(np.array(flat, np.int32))

    def __len__(self) -> int:
        return len(self.lengths)

    def taken(self, places: Tensor) -> Tensor:
        """The tokens at these places."""
        return self.values[places]

    def joined(self, index: Tensor) -> Tensor:
        """The sequences at these positions, end to end."""
        return self.taken(ranges(self.start[index], self.lengths[index]))

    def padded(self, index: Tensor, padding: int) -> Text:
        """The sequences at these positions side by side, in one indexing operation."""
        lengths = self.lengths[index]
        places = torch.arange(max(int(lengths.max()), 1))
        missing = places >= lengths[:, None]  # (B, T)
        rows = (self.start[index][:, None] + places).masked_fill_(missing, 0)
        ids = self.taken(rows).long().masked_fill_(missing, padding)
        return Text(ids, lengths)


def new_tokenizer(kind: str, texts: Iterable[str], vocab_size: int, min_frequency: int = 2) -> Tokenizer:
    """Learn a vocabulary from the training split's texts.

    Chinese characters are tokens of their own in either kind, so nothing depends on spaces.

    Args:
        kind: `words`, whole words; or `wordpiece`, which cuts rare words into pieces and frames a text with
            [CLS] and [SEP], as BERT wants it (Devlin et al. 2019, https://arxiv.org/abs/1810.04805).
        texts: of the training split; gone through twice for `wordpiece`.
        vocab_size: most tokens, the special ones included.
        min_frequency: a word (or a pair of pieces) seen less often is not learned.
    """
    model = models.WordLevel(unk_token=UNKNOWN) if kind == "words" else models.WordPiece(unk_token=UNKNOWN)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [PAD, UNKNOWN, CLS, SEP, MASK, BEGIN, END]
    kinds = {"words": trainers.WordLevelTrainer, "wordpiece": trainers.WordPieceTrainer}
    first = [*special, *_continuations(tokenizer, texts)] if kind == "wordpiece" else special
    trainer = kinds[kind](vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if kind == "wordpiece":
        trained, tokenizer = tokenizer, Tokenizer(models.WordPiece(tokenizer.get_vocab(), unk_token=UNKNOWN))
        tokenizer.normalizer, tokenizer.pre_tokenizer = trained.normalizer, trained.pre_tokenizer
        tokenizer.add_special_tokens(special)  # the single letters were special for the trainer alone
        tokenizer.decoder = WordPieceDecoder()
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{CLS} $A {SEP}",
            pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)],
        )
    return tokenizer


def new_translator_tokenizer(texts: Iterable[str], vocab_size: int, min_frequency: int = 2) -> Tokenizer:
    """Learn a vocabulary of frequent pieces of words from which a text can be put together again as it was.

    Byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) over characters. A space becomes a
    mark at the beginning of the next piece, so that joining the pieces gives the text back: its case, its blanks and
    its punctuation. Chinese characters, digits and punctuation marks are tokens of their own. A text ends with [EOS],
    and between two [BOS] comes first.

    Args:
        texts: of the training split.
        vocab_size: most tokens, the special ones included; single characters are kept beyond it.
        min_frequency: a pair of pieces seen less often is not joined.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    first_word = normalizers.Replace(Regex(r"\A(?![\p{Han}\p{P}])"), " ")  # so that it has its mark like the others
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), first_word])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="never"),
            pre_tokenizers.Split(Regex(r"[\p{Han}\p{Nd}]"), "isolated"),
            pre_tokenizers.Punctuation("isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[PAD, UNKNOWN, BEGIN, END],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return tokenizer


def _continuations(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """The single letters that go on with a word, as WordPiece writes them.

    Its trainer would number them in an order that differs from run to run, and break ties by these numbers.
    """
    letters: set[str] = set()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            letters.update(word[1:])
    return [f"##{letter}" for letter in sorted(letters)]


def pretrained_tokenizer(name_or_path: str) -> Tokenizer:
    """The tokenizer of a pretrained model: of a folder, or by a name that transformers knows.

    Raises:
        DataError: there is none.
    """
    file = user_path(name_or_path, "--data.pretrained") / "tokenizer.json"
    if file.is_file():
        try:
            return from_text(file.read_text(encoding="utf-8"))
        except (DataError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: {error}") from None
    from transformers import AutoTokenizer  # seconds to import, and needed for no vocabulary of our own

    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False)
        return from_text(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # transformers and tokenizers raise whatever the files lead them into
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{name_or_path}: no tokenizer there ({reason}); give the folder of a model that is on this machine, "
            f"or a name that can be downloaded"
        ) from None


def from_text(text: str) -> Tokenizer:
    """A tokenizer from its JSON form, without the truncation and padding that it may prescribe.

    Raises:
        DataError: it is none.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers has no class of its own for it
        raise DataError(f"not a tokenizer's JSON ({error})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encodings(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Encoding]:
    """The tokens of texts, many of which are cut at a time; what they stand for in the text is not looked for."""
    rest = iter(texts)
    while some := list(islice(rest, AT_ONCE)):
        yield from tokenizer.encode_batch_fast(some)


def number_of(tokenizer: Tokenizer, token: str) -> int:
    """The number of a token that the tokenizer has."""
    number = tokenizer.token_to_id(token)
    assert number is not None, f"the tokenizer has no {token}"
    return number


def padding_of(tokenizer: Tokenizer) -> int:
    """The number of the tokenizer's padding token; 0 where it has none."""
    for token in (PAD, "<pad>", "<PAD>"):
        number = tokenizer.token_to_id(token)
        if number is not None:
            return int(number)
    return 0

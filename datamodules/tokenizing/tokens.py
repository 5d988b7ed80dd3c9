"""Text as token ids: tokenizers, and sequences of different lengths end to end in one tensor."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.decoders import WordPiece as WordPieceDecoder
from torch import Tensor

from datamodules.errors import DataError
from datamodules.files.paths import user_path
from datamodules.loading.sampling import ranges
from datamodules.tokenizing.blank_words import BlankWords, KnownWords, blank_words, counted_words, parts_of

PAD, UNKNOWN, CLS, SEP, MASK, BEGIN, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]"
BATCH_SIZE = 1000  # texts that are tokenized together

Tokens = tuple[NDArray[np.int32], NDArray[np.int64]]  # of some texts, end to end, and how many each has


class Text(NamedTuple):
    """A batch of token sequences.

    Args:
        ids: (B, T) token ids, padded with the tokenizer's padding after each sequence's end.
        lengths: (B,) number of tokens in each sequence; their maximum is T.
    """

    ids: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, T), true where there is a token and false in the padding."""
        positions = torch.arange(self.ids.shape[1], device=self.ids.device)
        return positions < self.lengths[:, None]


def padded_rows(start: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of ranges side by side, with 0 in the padding, and where the padding is.

    Args:
        start: (B,) first index of each range.
        lengths: (B,) number of indices in each range.

    Returns:
        Both of them (B, T), where T is the maximum of the lengths, but at least 1.
    """
    positions = torch.arange(max(int(lengths.max()), 1))
    padding = positions >= lengths[:, None]
    return (start[:, None] + positions).masked_fill_(padding, 0), padding


class Ragged:
    """Sequences of different lengths, end to end.

    Args:
        sequences: token ids of each.
    """

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        lengths, flat = array("i"), array("i")
        for sequence in sequences:
            lengths.append(len(sequence))
            flat.extend(sequence)
        self.lengths = torch.from_numpy(np.array(lengths, np.int64))
        self.start = self.lengths.cumsum(0) - self.lengths
        self.values = torch.from_numpy(np.array(flat, np.int32))

    @classmethod
    def of(cls, values: NDArray[np.int32], lengths: NDArray[np.int64]) -> "Ragged":
        """Sequences that are end to end already."""
        ragged = cls(())
        ragged.values, ragged.lengths = torch.from_numpy(values), torch.from_numpy(lengths)
        ragged.start = ragged.lengths.cumsum(0) - ragged.lengths
        return ragged

    @classmethod
    def of_parts(cls, parts: Iterable[Tokens]) -> "Ragged":
        """Sequences of parts that follow one another."""
        found = [*parts]
        values = [np.zeros(0, np.int32), *(values for values, _ in found)]
        return cls.of(np.concatenate(values), np.concatenate([np.zeros(0, np.int64), *(of for _, of in found)]))

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, positions: Tensor) -> Tensor:
        """The tokens at these positions of all sequences end to end."""
        return self.values[positions]

    def joined(self, index: Tensor) -> Tensor:
        """The sequences at these indices, end to end."""
        return self.gather(ranges(self.start[index], self.lengths[index]))

    def padded(self, index: Tensor, padding: int) -> Text:
        """The sequences at these indices side by side, in one indexing operation."""
        lengths = self.lengths[index]
        positions, is_padding = padded_rows(self.start[index], lengths)  # (B, T)
        ids = self.gather(positions).long().masked_fill_(is_padding, padding)
        return Text(ids, lengths)


def new_tokenizer(algorithm: str, texts: Iterable[str], vocab_size: int, min_frequency: int = 2) -> Tokenizer:
    """Learn a vocabulary from the training split's texts.

    Chinese characters are tokens of their own with either algorithm, so nothing depends on spaces.

    Args:
        algorithm: `words`, complete words; or `wordpiece`, which splits rare words into pieces and adds [CLS] and
            [SEP] to a text, as for BERT (Devlin et al. 2019, https://arxiv.org/abs/1810.04805).
        texts: texts of the training split; iterated twice for `wordpiece`.
        vocab_size: maximum number of tokens, including the special ones.
        min_frequency: minimum number of occurrences of a word (or a pair of pieces) that is learned.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, handle_chinese_chars=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [PAD, UNKNOWN, CLS, SEP, MASK, BEGIN, END]
    counts = counted_words(tokenizer, texts)
    if algorithm == "words":  # as the trainer of such a model does it, which does all to each word anew
        by_count = sorted(counts, key=lambda word: (-counts[word], word))
        names = [*special, *(word for word in by_count if counts[word] >= min_frequency)][:vocab_size]
        tokenizer.model = models.WordLevel({name: index for index, name in enumerate(names)}, unk_token=UNKNOWN)
        tokenizer.add_special_tokens(special)
        return tokenizer
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*special, *_continuations(counts)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    trained, tokenizer = tokenizer, Tokenizer(models.WordPiece(tokenizer.get_vocab(), unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = trained.normalizer, trained.pre_tokenizer
    tokenizer.add_special_tokens(special)  # the single letters were special only for the trainer
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)],
    )
    return tokenizer


def new_translator_tokenizer(texts: Iterable[str], vocab_size: int, min_frequency: int = 2) -> Tokenizer:
    """Learn a vocabulary of frequent subwords, which decode to the original text.

    Byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) over characters. A space becomes a
    mark at the beginning of the next subword, so that decoding restores the case, the spaces and the punctuation.
    Chinese characters, digits and punctuation marks are tokens of their own. A text ends with [EOS]; a translation
    also begins with [BOS].

    Args:
        texts: texts of the training split.
        vocab_size: maximum number of tokens, including the special ones; single characters are kept beyond it.
        min_frequency: minimum number of occurrences of a pair of subwords that is merged.
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


def _continuations(words: Iterable[str]) -> list[str]:
    """The single letters that continue words, as WordPiece writes them.

    Its trainer would assign their ids in an order that differs from run to run, and break ties by these ids.
    """
    letters: set[str] = set()
    for word in words:
        letters.update(word[1:])
    return [f"##{letter}" for letter in sorted(letters)]


def pretrained_tokenizer(name_or_path: str) -> Tokenizer:
    """The tokenizer of a pretrained model.

    Args:
        name_or_path: folder of the model, or a name that transformers knows.

    Raises:
        DataError: there is none.
    """
    folder = user_path(name_or_path, "--data.pretrained")
    if folder.is_file() or (folder.is_absolute() and not folder.exists()):
        found = "is a file" if folder.exists() else "there is no such folder"
        raise DataError(f"{name_or_path}: {found}; expected a model's folder as transformers writes it, or its name")
    if (folder / "checkpoints").is_dir():
        raise DataError(
            f"{name_or_path}: a run, whose tokenizer comes with its weights: --model.pretrained {name_or_path}"
        )
    file = folder / "tokenizer.json"
    if file.is_file():
        try:
            return tokenizer_from_json(file.read_text(encoding="utf-8"))
        except (DataError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: {error}") from None
    from transformers import AutoTokenizer  # takes seconds to import, and is needed only here

    try:
        tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False)
        return tokenizer_from_json(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # transformers and tokenizers raise errors of many types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{name_or_path}: no tokenizer there ({reason}); give the folder of a model that is on this machine, "
            f"or a name that can be downloaded"
        ) from None


def tokenizer_from_json(text: str) -> Tokenizer:
    """A tokenizer from its JSON form, without the truncation and padding that it may define.

    Raises:
        DataError: it is not a tokenizer's JSON.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises no more specific type
        raise DataError(f"not a tokenizer's JSON ({error})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenized(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Tokens]:
    """The tokens of some texts after the other, end to end, and how many each text has.

    Where blanks separate what is tokenized, as BERT does it, each different word is tokenized once, and its tokens are
    looked up: ten times as fast.

    Args:
        tokenizer: with the truncation that it is to have.
        texts: any number of them.
    """
    separate = isinstance(tokenizer.normalizer, normalizers.BertNormalizer)
    separate &= isinstance(tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
    separate &= not any(" " in token.content for token in tokenizer.get_added_tokens_decoder().values())
    known = KnownWords(tokenizer)
    for some in parts_of(texts):
        words = blank_words(some) if separate else None
        if words is None:
            for first in range(0, len(some), BATCH_SIZE):
                ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(some[first : first + BATCH_SIZE])]
                lengths = np.fromiter(map(len, ids), np.int64, len(ids))
                yield np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum())), lengths
        else:
            yield _looked_up(known, words)


def _looked_up(known: KnownWords, words: BlankWords) -> Tokens:
    """The tokens of texts, by those of their words, and how many each text has.

    Args:
        known: words and their tokens.
        words: of the texts.
    """
    tokenizer = known.tokenizer
    truncation = tokenizer.truncation
    tokenizer.no_truncation()
    example = tokenizer.encode("a")
    special = [bool(mark) for mark in example.special_tokens_mask]  # [CLS] and [SEP], where the tokenizer adds them
    inside = special.index(False) if False in special else len(special)
    before = example.ids[:inside]
    after = [token for token, mark in zip(example.ids[inside:], special[inside:], strict=True) if mark]
    codes, ends = known.places_of(words.words)[words.codes], words.ends
    sizes, tokens = known.sizes, known.tokens
    if truncation:
        tokenizer.enable_truncation(**truncation)
    of_words = np.concatenate([[0], sizes[codes].cumsum()])
    lengths = np.diff(of_words[ends])
    if truncation:
        lengths = np.minimum(lengths, max(truncation["max_length"] - len(before) - len(after), 0))
    totals = lengths + len(before) + len(after)
    found = np.empty(int(totals.sum()), np.int32)
    start = totals.cumsum() - totals
    for place, token in enumerate(before):
        found[start + place] = token
    for place, token in enumerate(after):
        found[start + len(before) + lengths + place] = token
    first = (sizes.cumsum() - sizes)[codes]  # of each word's tokens
    all_tokens = tokens[np.repeat(first - of_words[:-1], sizes[codes]) + np.arange(of_words[-1])]
    wanted = np.repeat(of_words[ends[:-1]] - (lengths.cumsum() - lengths), lengths) + np.arange(lengths.sum())
    places = np.repeat(start + len(before) - (lengths.cumsum() - lengths), lengths) + np.arange(lengths.sum())
    found[places] = all_tokens[wanted]
    return found, totals


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that the tokenizer has."""
    found = tokenizer.token_to_id(token)
    assert found is not None, f"the tokenizer has no {token}"
    return found


def padding_id(tokenizer: Tokenizer) -> int:
    """The id of the tokenizer's padding token; 0 if it has none."""
    for token in (PAD, "<pad>", "<PAD>"):
        found = tokenizer.token_to_id(token)
        if found is not None:
            return int(found)
    return 0

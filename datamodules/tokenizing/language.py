"""Tokenizers of language models: nothing is unknown to them, and a text comes back as it was."""

import json
from collections.abc import Iterable
from typing import Literal, NamedTuple

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"  # those of GPT-2, and of ChatML
SPECIAL = (END_OF_TEXT, TURN, END_OF_TURN)
# Contractions, words with the space before them, Chinese characters in runs, punctuation, spaces; and each digit alone,
# as in Qwen, since a small model adds up digits sooner than it learns a table of numbers.
SPLIT = (
    r"'(?:[sdmt]|ll|ve|re)| ?[^\s\p{N}\p{P}\p{S}\p{Han}]+|\p{Han}+|\p{N}"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)

Algorithm = Literal["bpe", "characters", "bytes"]


class Vocabulary(NamedTuple):
    """A language model's tokenizer, and what its special tokens mean, as plain types.

    Args:
        tokenizer_json: the tokenizer.
        begin: the token before a document; None where it has none.
        end: the token after a document.
        chat_template: of conversations, in jinja2; empty where there is none.
    """

    tokenizer_json: str
    begin: int | None
    end: int
    chat_template: str = ""


def prompt_tokens(text: list[int], begin: int | None, end: int) -> list[int]:
    """What a model is given of a text that it is to continue: as of a document; of no text the end of another one.

    Args:
        text: its tokens.
        begin: the token before a document; None where it has none.
        end: the token after a document.
    """
    return [*([] if begin is None else [begin]), *text] or [end]


def new_language_tokenizer(algorithm: Algorithm, texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn a vocabulary from the training split's texts, of which every text can be written.

    - bpe: byte-pair encoding of bytes (Radford et al. 2019, Language Models are Unsupervised Multitask Learners)
    - characters: the training split's characters; another one is its bytes
    - bytes: those of UTF-8

    Args:
        algorithm: one of these.
        texts: texts of the training split; not read for `bytes`.
        vocab_size: maximum number of tokens, for `bpe`.
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if algorithm == "characters":
        single = [f"<0x{byte:02X}>" for byte in range(256)]
        found: set[str] = set()
        for text in texts:
            found.update(text)
        names = [*SPECIAL, *single, *sorted(found)]
        tokenizer = Tokenizer(
            models.BPE({name: index for index, name in enumerate(dict.fromkeys(names))}, [], byte_fallback=True)
        )
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        size = len(SPECIAL) + len(alphabet) if algorithm == "bytes" else vocab_size
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=[*SPECIAL], initial_alphabet=sorted(alphabet), show_progress=False
        )
        tokenizer.train_from_iterator([] if algorithm == "bytes" else texts, trainer)
    tokenizer.add_special_tokens([*SPECIAL])
    return tokenizer


def bytes_of_tokens(tokenizer: Tokenizer) -> list[bytes]:
    """The UTF-8 bytes of text that each token stands for; special tokens stand for none."""
    described = json.loads(tokenizer.to_str())
    added = {token["id"]: "" if token["special"] else token["content"] for token in described["added_tokens"]}
    is_byte_level = '"ByteLevel"' in json.dumps([described["decoder"], described["pre_tokenizer"]])
    marks_spaces = "▁" in json.dumps([described["decoder"], described["normalizer"]], ensure_ascii=False)
    byte_of = _bytes_of_letters() if is_byte_level else {}
    found = []
    for index in range(tokenizer.get_vocab_size()):
        name = added.get(index, tokenizer.id_to_token(index)) or ""
        if is_byte_level and index not in added:
            found.append(b"".join(byte_of.get(letter, letter.encode()) for letter in name))
        elif len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
            found.append(bytes.fromhex(name[3:5]))
        else:
            found.append((name.replace("▁", " ") if marks_spaces else name).encode())
    return found


def _bytes_of_letters() -> dict[str, bytes]:
    """The byte that a letter stands for in byte-level tokens: its own code if it can be seen, else one beyond 255."""
    seen = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): bytes([byte]) for byte in seen} | {
        chr(256 + place): bytes([byte]) for place, byte in enumerate(others)
    }


def token_bytes(tokenizer: Tokenizer) -> list[int]:
    """How many UTF-8 bytes of text each token stands for; special tokens stand for none."""
    return [len(content) for content in bytes_of_tokens(tokenizer)]

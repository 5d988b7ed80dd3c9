"""The vocabulary of a pretrained language model: its tokenizer, its special tokens, its chat template."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from datamodules.errors import DataError
from datamodules.files.encoding import decoded, json_value
from datamodules.files.paths import user_path
from datamodules.tokenizing.language import END_OF_TEXT, Vocabulary
from datamodules.tokenizing.tokens import pretrained_tokenizer

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "config.json")  # the first that names a token is right
TEMPLATE = "chat_template.jinja"

Settings = dict[str, Any]


def pretrained_vocabulary(name_or_path: str) -> Vocabulary:
    """The vocabulary of a pretrained model.

    Args:
        name_or_path: folder of the model, or a name that transformers knows.

    Raises:
        DataError: it has no tokenizer, or no token that ends a text.
    """
    folder = user_path(name_or_path, "--data.tokenizer")
    if not folder.is_dir():
        return _downloaded(name_or_path)
    tokenizer = _gpt2_tokenizer(folder) or pretrained_tokenizer(name_or_path)
    settings = [_settings(folder / name) for name in SETTINGS]
    begin, end = (_token(tokenizer, settings, name) for name in ("bos", "eos"))
    if end is None:
        end = tokenizer.token_to_id(END_OF_TEXT)
        begin = end
    if end is None:
        raise DataError(f"{folder}: its tokenizer names no token that ends a text (eos_token in {SETTINGS[0]})")
    if begin is not None and settings[0].get("add_bos_token") and tokenizer.post_processor is None:
        name = tokenizer.id_to_token(begin)
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{name} $A", special_tokens=[(name, begin)])
    file = folder / TEMPLATE
    template = decoded(file.read_bytes(), "utf-8", file) if file.is_file() else settings[0].get("chat_template")
    return Vocabulary(tokenizer.to_str(), begin, end, _default(template))


def _gpt2_tokenizer(folder: Path) -> Tokenizer | None:
    """The tokenizer in the files that GPT-2 was published with; None where there are others."""
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    if (folder / "tokenizer.json").exists() or not (vocabulary.is_file() and merges.is_file()):
        return None
    try:
        tokenizer = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # tokenizers raises no more specific type
        raise DataError(f"{folder}: its vocab.json and merges.txt are no vocabulary ({error})") from None
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if tokenizer.token_to_id(END_OF_TEXT) is not None:
        tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
    return tokenizer


def _settings(file: Path) -> Settings:
    if not file.is_file():
        return {}
    try:
        value = json_value(decoded(file.read_bytes(), "utf-8", file))
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: not JSON ({error.msg}, column {error.colno})") from None
    return value if isinstance(value, dict) else {}


def _token(tokenizer: Tokenizer, settings: list[Settings], name: str) -> int | None:
    """The index of the token before (`bos`) or after (`eos`) a text; None where there is none."""
    for each in settings:
        if f"{name}_token" in each:
            token = each[f"{name}_token"]
            content = token.get("content") if isinstance(token, dict) else token
            return None if content is None else tokenizer.token_to_id(str(content))
        if f"{name}_token_id" in each:
            index = each[f"{name}_token_id"]
            index = index[0] if isinstance(index, list) and index else index
            known = isinstance(index, int) and tokenizer.id_to_token(index) is not None
            return index if known else None
    return None


def _default(template: Any) -> str:
    """The template for chatting, of one or of several by their names."""
    if isinstance(template, list):
        named = {each.get("name"): each.get("template") for each in template if isinstance(each, dict)}
        template = named.get("default") or next(iter(named.values()), None)
    return template if isinstance(template, str) else ""


def _downloaded(name: str) -> Vocabulary:
    tokenizer = pretrained_tokenizer(name)  # says what is wrong
    from transformers import AutoTokenizer  # takes seconds to import, and is needed only here

    known = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    if known.eos_token_id is None:
        raise DataError(f"{name}: its tokenizer names no token that ends a text")
    return Vocabulary(tokenizer.to_str(), known.bos_token_id, known.eos_token_id, _default(known.chat_template))

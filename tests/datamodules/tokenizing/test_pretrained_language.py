import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, processors

from datamodules.tokenizing.pretrained_language import pretrained_vocabulary
from tests.datamodules.conftest import Refused
from tests.helpers.chat_templates import CLOSING, OPENING, tokenizer_for_templates

TOKENIZER = tokenizer_for_templates()
FIRST, LAST = TOKENIZER.token_to_id(OPENING), TOKENIZER.token_to_id(CLOSING)


def folder_of(place: Path, tokenizer: Tokenizer = TOKENIZER, **files: Any) -> Path:
    (place / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    for name, content in files.items():
        (place / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return place


@pytest.mark.parametrize(
    ("files", "begin", "end"),
    [
        ({"tokenizer_config": {"bos_token": OPENING, "eos_token": {"content": CLOSING}}}, FIRST, LAST),
        (
            {"tokenizer_config": {"bos_token": None, "eos_token": CLOSING}, "config": {"bos_token_id": FIRST}},
            None,
            LAST,
        ),
        ({"special_tokens_map": {"bos_token": OPENING, "eos_token": CLOSING}}, FIRST, LAST),
        ({"config": {"bos_token_id": FIRST, "eos_token_id": [LAST, 0]}}, FIRST, LAST),
        ({"tokenizer_config": {"model_max_length": 1024}}, 0, 0),  # as GPT-2's: the end of a text, and before it
    ],
)
def test_the_tokens_of_a_text_are_those_that_the_model_names(
    place: Path, files: dict[str, Any], begin: int | None, end: int
) -> None:
    found = pretrained_vocabulary(str(folder_of(place, **files)))
    assert (found.begin, found.end, found.chat_template) == (begin, end, "")


def test_the_chat_template_is_the_models_own(place: Path) -> None:
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "chat"}]
    config = {"eos_token": CLOSING, "chat_template": named}
    assert pretrained_vocabulary(str(folder_of(place, tokenizer_config=config))).chat_template == "chat"
    config |= {"chat_template": "one"}
    assert pretrained_vocabulary(str(folder_of(place, tokenizer_config=config))).chat_template == "one"
    (place / "chat_template.jinja").write_text("file", encoding="utf-8")
    assert pretrained_vocabulary(str(place)).chat_template == "file"


def test_a_begin_that_only_the_settings_add_stands_in_the_tokenizer(place: Path) -> None:
    config = {"bos_token": OPENING, "eos_token": CLOSING, "add_bos_token": True}
    found = Tokenizer.from_str(pretrained_vocabulary(str(folder_of(place, tokenizer_config=config))).tokenizer_json)
    assert found.encode("Hi").ids[0] == FIRST
    tokenizer = tokenizer_for_templates()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{OPENING} $A", special_tokens=[(OPENING, FIRST)])
    found = Tokenizer.from_str(
        pretrained_vocabulary(str(folder_of(place, tokenizer, tokenizer_config=config))).tokenizer_json
    )
    assert found.encode("Hi").ids.count(FIRST) == 1


def test_the_files_of_gpt_2_are_read(place: Path) -> None:
    TOKENIZER.model.save(str(place))
    found = pretrained_vocabulary(str(place))
    tokenizer = Tokenizer.from_str(found.tokenizer_json)
    assert (found.begin, found.end) == (0, 0)
    assert tokenizer.decode(tokenizer.encode("Hello, 你好!").ids) == "Hello, 你好!"


def test_what_is_no_vocabulary_is_one_line(place: Path, refused: Refused) -> None:
    with refused("no tokenizer there"):
        pretrained_vocabulary(str(place))
    (place / "vocab.json").write_text("[")
    (place / "merges.txt").write_text("x")
    with refused("its vocab.json and merges.txt are no vocabulary"):
        pretrained_vocabulary(str(place))
    (place / "vocab.json").unlink()
    (place / "tokenizer_config.json").write_text("{\n[")
    with refused("tokenizer_config.json:2: not JSON"):
        pretrained_vocabulary(str(folder_of(place)))
    folder_of(place, Tokenizer.from_str(TOKENIZER.to_str().replace("<|endoftext|>", "<|other|>")), tokenizer_config={})
    with refused("names no token that ends a text"):
        pretrained_vocabulary(str(place))

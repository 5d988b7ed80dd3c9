"""Each kind of tokenizer, with its special tokens called otherwise, encodes as it did."""

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from datamodules.tokenizing.control_tokens import ControlTokens
from datamodules.tokenizing.language import new_language_tokenizer

TEXTS = ["Hello there, how are you?", "你好，世界。", "12 + 7 = 19"]


def unigram() -> Tokenizer:
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.0), ("▁He", -2.5)]
    letters = sorted(set("".join(TEXTS)) | set("<s>/"))
    tokenizer = Tokenizer(models.Unigram([*pieces, *((letter, -5.0) for letter in letters)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def stripping() -> Tokenizer:
    """As Phi-3's, whose special tokens take up the blanks after them."""
    tokenizer = new_language_tokenizer("bpe", TEXTS, 300)
    tokenizer.add_special_tokens([AddedToken("<s>", rstrip=True), AddedToken("</s>", rstrip=True)])
    return tokenizer


def beyond() -> Tokenizer:
    """As Llama 3's, whose special tokens are not in the vocabulary of its model."""
    tokenizer = new_language_tokenizer("bytes", [], 300)
    tokenizer.add_tokens(["<think>"])
    tokenizer.add_special_tokens(["<s>", "</s>", "<|s|>"])
    return tokenizer


def with_unknown() -> Tokenizer:
    letters = {letter: index for index, letter in enumerate(["<unk>", "<s>", "</s>", *"abcdefgh <>/s"])}
    tokenizer = Tokenizer(models.BPE({name: index for index, name in enumerate(letters)}, [], unk_token="<unk>"))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


@pytest.mark.parametrize("make", [unigram, stripping, beyond, with_unknown])
def test_it_encodes_as_the_tokenizer_does(make: object) -> None:
    tokenizer = make()  # type: ignore[operator]
    control = ControlTokens(tokenizer.to_str())
    for text in (*TEXTS, f"<s> {TEXTS[0]}</s>", f"<s><s>\n{TEXTS[1]} <s>  {TEXTS[2]}</s>\n"):
        marked = control.marked(text)
        assert control.encode(marked).ids == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("make", [unigram, stripping, beyond])
def test_what_people_write_is_never_a_special_token(make: object) -> None:
    tokenizer = make()  # type: ignore[operator]
    control = ControlTokens(tokenizer.to_str())
    written = "a<s>b </s><</s>>"
    marked = control.marked(f"<s>{control.escaped(written)}</s>")
    ids = control.encode(marked).ids
    begin, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    assert [ids[0], ids[-1]] == [begin, end]
    assert {begin, end}.isdisjoint(ids[1:-1])
    assert control.escaped({"<s>": [1, ("</s>", None)]}) == {"<\ufdd0s>": [1, ["<\ufdd0/s>", None]]}


def test_a_cut_text_has_the_tokens_of_its_parts() -> None:
    tokenizer = new_language_tokenizer("bpe", ["aaaa bbbb"] * 9, 400)
    control = ControlTokens(tokenizer.to_str())
    ids, begins = control.encode_cut("aaaa bbbb", [2, 7])
    assert ids == [token for part in ("aa", "aa bb", "bb") for token in tokenizer.encode(part).ids]
    assert {0, 2, 7} <= {*begins}
    assert begins == sorted(begins)

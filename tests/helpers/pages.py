"""What the README and the pages of docs/ say: their commands and their code."""

import re
from collections.abc import Collection
from pathlib import Path

from transformers import BertConfig, BertModel

from datamodules.storage.known_datasets import published_datasets
from datamodules.tokenizing.tokens import new_tokenizer
from scripts.cli.command_line.recipes import ROOT, read_recipe

ENGLISH = sorted((ROOT / "docs" / "en").rglob("*.md"))
# Each page in English and in Chinese.
PAGES = [
    (ROOT / "README.md", ROOT / "README.zh-CN.md"),
    *((page, ROOT / "docs" / "zh" / page.relative_to(ROOT / "docs" / "en")) for page in ENGLISH),
]
READMES = PAGES[0]


def read(page: Path) -> str:
    """The page's text."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The content of its code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


def commands(*pages: Path) -> list[str]:
    """The lines of the pages' shell blocks, each once."""
    lines = [line for page in pages for block in blocks(page, "bash") for line in block.splitlines() if line.strip()]
    return list(dict.fromkeys(lines))


def code_by_section(page: Path) -> list[tuple[list[str], list[str]]]:
    """The code blocks of each section, and the code within its text in any order, without what is translated."""
    found = []
    for section in re.split(r"^## ", read(page), flags=re.MULTILINE):
        fenced = re.findall(r"```.*?```", section, re.DOTALL)
        spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", section, flags=re.DOTALL))
        found.append((fenced, sorted(re.sub(r"<\w+>", "<>", " ".join(span.split())) for span in spans)))
    return found


def published_for(model: str) -> Collection[str]:
    """The names of the data sets that the data module of a model's recipe downloads."""
    return published_datasets(read_recipe(model)["data"]["class_path"])


def write_pretrained(folder: Path) -> None:
    """A model's folder as transformers writes it."""
    tokenizer = new_tokenizer("wordpiece", ["good bad 很 好 差"] * 3, vocab_size=60)
    config = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")

"""Export a language model to a folder as transformers writes one, after it has given the model's own text."""

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_modules.llm import LLM
from lightning_modules.tasks.sampling import continued
from scripts.cli.errors import UsageError

TOLERANCE = 1e-4  # relative to the maximum absolute logit, or to 1
PROMPT_TOKENS = 8  # of a text
GREEDY_TOKENS = 32  # that both continue it by
MAX_SHARD = "5GB"


def write_folder(model: LLM, output: Path, ids: Tensor) -> str:
    """Write the weights, the settings, the tokenizer and the chat template, if transformers reads the same from them.

    Args:
        model: merged, in evaluation mode, on the CPU.
        output: the folder, which must be empty or not exist.
        ids: (B, T) tokens on which both are compared.

    Returns:
        How far the logits differ, in words.

    Raises:
        UsageError: the folder has files, or what was read gives another text; nothing is written then.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"--output {output}: expected a new or an empty folder, which it is not")
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        _write(model, folder)
        result = _verified(model, folder, ids)
        if output.exists():
            output.rmdir()
        for path, mode in ((folder, 0o777), *((file, 0o666) for file in folder.iterdir())):
            os.chmod(path, mode & ~_umask())  # what is temporary is its owner's alone
        folder.rename(output)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return result


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _write(model: LLM, folder: Path) -> None:
    from huggingface_hub import save_torch_state_dict

    weights = {name: weight.detach().contiguous() for name, weight in model.state_dict().items() if _is_weight(name)}
    if model.sizes.tied:
        del weights["lm_head.weight"]
    save_torch_state_dict(weights, folder, max_shard_size=MAX_SHARD)
    special = {"bos_token_id": model.begin, "eos_token_id": model.stop_tokens, "pad_token_id": None}
    config = model.sizes.config() | special | {"torch_dtype": "float32"}
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", special)
    _write_json(folder / "tokenizer.json", _tokenizer(model))
    named = {
        f"{name}_token": model.tokenizer.id_to_token(token)
        for name, token in (("bos", model.begin), ("eos", model.stop_tokens[0]), ("pad", model.end))
        if token is not None
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.max_positions,
        "clean_up_tokenization_spaces": False,
        **named,
    }
    _write_json(
        folder / "tokenizer_config.json",
        settings | ({"chat_template": model.chat_template} if model.chat_template else {}),
    )


def _is_weight(name: str) -> bool:
    return name.startswith(("model.", "lm_head."))


def _tokenizer(model: LLM) -> dict[str, Any]:
    """The tokenizer's JSON, which puts the begin token before a text, as documents of the training have it."""
    described: dict[str, Any] = json.loads(model.tokenizer_json)
    if described.get("post_processor") is None and model.begin is not None:
        token = model.tokenizer.id_to_token(model.begin)
        first = {"SpecialToken": {"id": token, "type_id": 0}}
        described["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [model.begin], "tokens": [token]}},
        }
    return described


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


@contextmanager
def without_bars() -> Iterator[None]:
    """Without the bars that transformers draws while it reads weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@torch.no_grad()
def _verified(model: LLM, folder: Path, ids: Tensor) -> str:
    """Compare logits, a greedy continuation and the tokens of a text with what transformers reads from the folder.

    Raises:
        UsageError: one differs.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with without_bars():
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=None).eval()
    ours = copy.deepcopy(model).float().eval()
    caches = ours.start(len(ids), ids.shape[1])
    expected = ours.advance(ids, torch.arange(ids.shape[1]).expand_as(ids), caches)
    error = float((theirs(input_ids=ids).logits - expected).abs().max() / expected.abs().max().clamp(min=1))
    if not error <= TOLERANCE:
        raise UsageError(
            f"--format huggingface: what was written gives other logits than the model: they differ by {error:.2g} of "
            f"the maximum, more than {TOLERANCE:g}; nothing is written"
        )
    prompt = ids[0, :PROMPT_TOKENS].tolist()
    most = min(GREEDY_TOKENS, ours.max_positions - len(prompt))
    (text,) = continued(ours, [prompt], most, stop=())
    row = list(prompt)
    for _ in text:
        row.append(int(theirs(input_ids=torch.tensor([row])).logits[0, -1].argmax()))
    if row != prompt + text:
        raise UsageError("--format huggingface: what was written continues a text otherwise; nothing is written")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sample = model.tokenizer.decode(ids[0].tolist())
    tokens = model.tokenizer.encode(sample, add_special_tokens=False).ids
    if tokenizer(sample, add_special_tokens=False).input_ids != tokens:
        raise UsageError("--format huggingface: its tokenizer makes other tokens of a text; nothing is written")
    return f"logits differ by {error:.2g} at most ({TOLERANCE:g} tolerated), {len(text)} tokens follow alike"

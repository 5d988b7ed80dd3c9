"""A published Llama: its logits, its story, and how well it predicts texts of its kind."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.tokenizing.packed import Packed
from lightning_modules.tasks.sampling import continued
from scripts.cli.evaluate.chat import of_transformers

pytestmark = [pytest.mark.real_data, pytest.mark.long]

STORY = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."


@torch.no_grad()
def test_stories260k_has_transformers_logits_and_tells_its_story(shared_data: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = shared_data / "models" / "stories260K-hf"
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ours = of_transformers(str(folder))
    ids = torch.randint(3, 512, (2, 200), generator=torch.Generator().manual_seed(0))
    caches = ours.start(2, 200)
    places = torch.arange(200).expand(2, 200)
    torch.testing.assert_close(ours.advance(ids, places, caches), theirs(ids).logits, rtol=1e-5, atol=1e-5)
    begin = ours.prompt_of("")
    told = continued(ours, [begin], 200, ours.stop_tokens)[0]
    expected = theirs.generate(torch.tensor([begin]), max_new_tokens=200, do_sample=False)[0, 1:].tolist()
    assert told == expected[: len(told)]
    assert ours.tokenizer.decode(told).startswith(STORY)


@torch.no_grad()
def test_stories260k_needs_less_than_a_bit_for_a_byte_of_other_stories(shared_data: Path) -> None:
    text = (shared_data / "corpora" / "tinystories-val.txt").read_text(encoding="utf-8")
    stories = re.split(r"\n\n(?=Once upon a time|One day)", text)  # nothing else parts them in this file
    assert len(stories) > 900
    model: Any = of_transformers(str(shared_data / "models" / "stories260K-hf"))
    metrics = model.metrics()
    for story in stories[:300]:
        ids = torch.tensor([model.prompt_of(story)[:513]])
        size = len(model.tokenizer.decode(ids[0, 1:].tolist()).encode())
        step = model.step(Packed(ids[:, :-1], ids[:, 1:], None, torch.tensor([size])))
        metrics.update(step.prediction, step.target)
    assert 0.84 < float(metrics.compute()["bits_per_byte"]) < 0.92

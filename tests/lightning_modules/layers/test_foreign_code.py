"""Code that comes with a pretrained model is not run: not that of its folder, nor that of a pickle in its weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, BertConfig, BertModel

from datamodules.errors import DataError
from datamodules.tokenizing.tokens import pretrained_tokenizer
from lightning_modules.layers.bert import architecture_of, bert
from tests.helpers.fuzzing import SMALL_BERT, Leaves


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a small BERT whose weights are a pickle, and a module that leaves a trace."""
    folder = tmp_path / "my model 模型"
    network = BertModel(BertConfig.from_dict(SMALL_BERT))
    network.config.save_pretrained(folder)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    ran = tmp_path / "it ran"
    (folder / "modeling.py").write_text(
        f"import os\nos.mkdir({str(ran)!r})\nfrom transformers import BertConfig, BertModel\n"
        "class EvilConfig(BertConfig):\n    pass\nclass Evil(BertModel):\n    pass\n"
    )
    return folder


def configure(folder: Path, **changed: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def load(folder: Path) -> Any:
    return bert(str(folder), num_tokens=20, max_length=16)


MAPPED = {"AutoConfig": "modeling.EvilConfig", "AutoModel": "modeling.Evil", "AutoTokenizer": ["modeling.Evil", None]}


def test_weights_in_a_pickle_are_read_where_they_are_no_more_than_weights(model: Path) -> None:
    assert load(model).config.hidden_size == 8


def test_a_malicious_file_of_weights_is_refused_and_has_not_run(model: Path, tmp_path: Path) -> None:
    content: dict[str, Tensor | Leaves] = {**BertModel(BertConfig.from_dict(SMALL_BERT)).state_dict()}
    content["more"] = Leaves(tmp_path / "it ran")
    torch.save(content, model / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds more than weights") as caught:
        load(model)
    assert f"--model.pretrained {model}: refused" in str(caught.value)
    assert not (tmp_path / "it ran").exists()
    torch.load(model / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "it ran").exists(), "the file is malicious indeed"


def test_the_environment_does_not_allow_it(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"more": Leaves(tmp_path / "it ran")}, model / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds more than weights"):
        load(model)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_model_that_brings_its_own_code_is_refused_without_a_prompt(
    model: Path, tmp_path: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(model, model_type="evil", auto_map=MAPPED)
    if terminal:
        monkeypatch.setattr("builtins.input", lambda *_: "y")  # as a hurried user would type
    with pytest.raises(ValueError, match=r"--model\.pretrained"):
        load(model)
    with pytest.raises(DataError, match="no tokenizer there"):
        pretrained_tokenizer(str(model))
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, "null", "7", "{"])
def test_invalid_settings_of_a_tokenizer_are_reported(model: Path, name: str, content: str) -> None:
    (model / "tokenizer.json").unlink(missing_ok=True)
    (model / name).write_text(content)
    with pytest.raises(DataError, match="no tokenizer there"):
        pretrained_tokenizer(str(model))


def test_a_model_of_transformers_is_built_by_its_code_not_by_the_folders(model: Path, tmp_path: Path) -> None:
    configure(model, auto_map=MAPPED)
    assert type(load(model)) is BertModel
    assert not (tmp_path / "it ran").exists()


def test_an_attention_kernel_that_a_model_or_a_checkpoint_names_is_not_downloaded(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*args: object, **options: object) -> None:
        raise AssertionError("a kernel was requested")

    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", download)
    configure(model, attn_implementation="somebody/kernel")
    with pytest.raises(AssertionError, match="a kernel was requested"):
        AutoModel.from_pretrained(model)  # as it would be, if we did not ask for transformers' own choice
    settings = architecture_of(load(model)) | {"attn_implementation": "somebody/kernel", "auto_map": MAPPED}
    assert type(bert(None, num_tokens=20, max_length=16, architecture=settings)) is BertModel

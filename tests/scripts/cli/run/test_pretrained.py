"""A run starts from the weights of an earlier one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from callbacks.run.checkpoint_file import read_checkpoint, write_checkpoint
from scripts import test as testing
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.experiment import Experiment
from scripts.cli.run.pretrained import PretrainedRun, own_run
from scripts.export import main as export
from scripts.fit import main
from tests.helpers.stopping import SHORT, train

ONE_STEP = [*SHORT, "--trainer.max_steps", "1", "--model.optimizer.lr", "1e-12", "--model.optimizer.weight_decay", "0"]
SMALL = {
    "cnn": ["--model.channels", "[4,4]"],
    "bert_classifier": ["--model.hidden_size", "16", "--data.vocab_size", "300", "--data.num_reviews", "200"],
    "attention_rnn": ["--data.vocab_size", "300", "--data.num_reviews", "200"],
    "transformer": ["--data.num_phrases", "200"],
}


def run(name: str, folder: Path, *words: str) -> Path:
    """A run of one step, whose weights stay where they are; without the options that would be without effect."""
    small = SMALL.get(name, [])
    settled = {"--model.pretrained": ("--model.hidden_size", "--data.vocab_size"), "--data": ("--data.num_reviews",)}
    left_out = {option for given, options in settled.items() if given in words for option in options}
    small = [word for pair in zip(small[::2], small[1::2], strict=True) if pair[0] not in left_out for word in pair]
    assert train(["--model", name, *ONE_STEP, *small, "--logs", str(folder), *words]) == 0
    return max((folder / name).iterdir())


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Any:
    def refusing(*words: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        assert stop.value.code == 2
        return capsys.readouterr().err.strip()

    return refusing


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"TabularClassification": 7}, "the state of its data: expected dict, got int"),
        ({"lora": {"class_path": "theirs.Mine"}}, "lora: not its settings"),
        ({"lora": {"rank": 0}}, "lora: not its settings"),
    ],
)
def test_what_a_checkpoint_says_besides_weights_may_be_anything(
    changed: dict[str, Any], expected: str, tmp_path: Path, refused: Any
) -> None:
    path = run("mlp", tmp_path) / "checkpoints" / "last.ckpt"
    content = read_checkpoint(path)
    (content if "TabularClassification" in changed else content["config"]).update(changed)
    write_checkpoint(content, path)
    line = refused("--model", "mlp", "--model.pretrained", str(path), "--logs", str(tmp_path / "other"))
    assert line.startswith(f"error: --model.pretrained {path}: {expected}")
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("columns", [7, [{"name": "age"}], ["age"]])
def test_what_a_checkpoint_s_data_learned_may_be_anything(columns: Any, tmp_path: Path, capsys: Any) -> None:
    path = run("mlp", tmp_path) / "checkpoints" / "last.ckpt"
    content = read_checkpoint(path)
    content["TabularClassification"]["columns"] = columns
    write_checkpoint(content, path)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        testing.main(["--checkpoint", str(path)])
    assert stop.value.code == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith(f"error: --checkpoint {path}: the state of its data is not what TabularClassification")
    assert len(line.splitlines()) == 1


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Digits' size, three classes."""
    from PIL import Image

    for number in range(30):
        folder = tmp_path / "photos" / f"class {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 8 * number).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("name", ["cnn", pytest.param("resnet", marks=pytest.mark.long)])
def test_takes_what_fits_and_has_a_new_head_for_other_classes(
    name: str, photos: Path, tmp_path: Path, capsys: Any
) -> None:
    first = run(name, tmp_path, "--data.batch_size", "8")
    capsys.readouterr()
    second = run(name, tmp_path, "--data", str(photos), "--data.batch_size", "4", "--model.pretrained", str(first))
    shown = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("from "))
    before, after = weights(first), weights(second)
    assert before.keys() == after.keys()
    head = {"cnn": "head.3", "resnet": "network.fc"}[name]
    assert shown.startswith(f"from {first}: ")
    assert f" weights taken, fresh: {head} (its classes were " in shown
    for key, value in after.items():
        if not key.startswith(head) and "running" not in key and "num_batches" not in key:
            torch.testing.assert_close(value, before[key])
    assert after[f"{head}.bias"].shape == (3,)
    run_again = train(["--config", str(second / "config.yaml"), "--logs", str(tmp_path / "again")])
    assert run_again == 0


@pytest.mark.parametrize("name", ["bert_classifier", "attention_rnn"])
def test_texts_are_cut_into_the_tokens_whose_embeddings_were_learned(name: str, tmp_path: Path) -> None:
    first = run(name, tmp_path, "--data.batch_size", "8")
    file = tmp_path / "texts.csv"
    rows = [f"quite other words stand in number {number},{number % 3}" for number in range(60)]
    file.write_text("\n".join(["text,label", *rows]))
    words = ["--data", str(file), "--data.batch_size", "4", "--model.pretrained", str(first)]
    second = run(name, tmp_path, *words)
    tokenizers = [
        read_checkpoint(folder / "checkpoints" / "last.ckpt")["TextClassification"]["tokenizer_json"]
        for folder in (first, second)
    ]
    assert tokenizers[0] == tokenizers[1]
    before, after = weights(first), weights(second)
    for key, value in before.items():
        if not key.startswith("head."):
            torch.testing.assert_close(after[key], value)  # of BERT, whose size the source has, not the option


def test_an_encoder_starts_another_task(tmp_path: Path) -> None:
    first = run("bert_classifier", tmp_path, "--data.batch_size", "8")
    second = run("bert_ner", tmp_path, "--data.batch_size", "8", "--model.pretrained", str(first / "checkpoints"))
    before, after = weights(first), weights(second)
    encoder = [key for key in after if key.startswith("encoder.")]
    assert encoder
    for key in encoder:
        torch.testing.assert_close(after[key], before[key])


def test_translations_are_cut_into_the_same_tokens(tmp_path: Path) -> None:
    first = run("transformer", tmp_path, "--data.batch_size", "8", "--seed_everything", "1")
    second = run("transformer", tmp_path, "--data.batch_size", "8", "--model.pretrained", str(first))
    for name, value in weights(first).items():
        torch.testing.assert_close(weights(second)[name], value)
    for name in ("source_tokenizer", "target_tokenizer"):
        one, two = (read_checkpoint(f / "checkpoints" / "last.ckpt")["Translation"][name] for f in (first, second))
        assert one == two


@pytest.mark.parametrize(
    ("name", "further"),
    [
        *(("cnn", []), ("bert_classifier", ["--lora.rank", "2"]), ("attention_rnn", [])),
        pytest.param("resnet", [], marks=pytest.mark.long),
    ],
)
def test_an_exported_file_is_as_good_as_the_run(name: str, further: list[str], tmp_path: Path) -> None:
    small = ["--data.batch_size", "8"]
    first = run(name, tmp_path, *small, *further)
    file = tmp_path / "exported.safetensors"
    export(["--checkpoint", str(first), "--format", "safetensors", "--output", str(file)])
    of_run, of_file = (run(name, tmp_path, *small, "--model.pretrained", str(start)) for start in (first, file))
    expected, found = weights(of_run), weights(of_file)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, msg=lambda text, key=key: f"{key}: {text}")  # type: ignore[misc]
    if name in ("attention_rnn", "bert_classifier"):
        one, two = (read_checkpoint(f / "checkpoints" / "last.ckpt") for f in (of_run, of_file))
        assert one["TextClassification"]["tokenizer_json"] == two["TextClassification"]["tokenizer_json"]


def test_weights_of_torchvision_may_be_in_safetensors(tmp_path: Path, refused: Any) -> None:
    torch.manual_seed(1)
    network = resnet18(num_classes=10)
    file = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), file)
    words = ["--data.batch_size", "8", "--model.stride", "32", "--model.pretrained", str(file)]
    found = weights(run("resnet", tmp_path, *words))["network.layer4.1.conv2.weight"]
    torch.testing.assert_close(found, network.layer4[1].conv2.weight.data)
    file.write_bytes(b"no weights")
    line = refused("--model", "resnet", "--model.pretrained", str(file), "--logs", str(tmp_path))
    assert line.startswith(f"error: --model.pretrained {file}: not a file of weights (")


def test_is_tested_without_the_run_it_came_from(tmp_path: Path, monkeypatch: Any) -> None:
    import shutil

    from scripts.cli.evaluate import testing

    first = run("cnn", tmp_path, "--data.batch_size", "8")
    monkeypatch.chdir(first.parent)
    words = ["--model", "cnn", *SHORT, *SMALL["cnn"], "--model.pretrained", first.name, "--logs", str(tmp_path / "b")]
    results = Experiment(resolve(words)).fit().results
    shutil.rmtree(first)
    assert results is not None
    found = testing.test([], [str(tmp_path / "b" / "cnn" / "version_0")], None, None)
    assert found == pytest.approx(results["test"], rel=1e-5)


def test_what_is_no_run_is_refused(tmp_path: Path, refused: Any) -> None:
    line = refused("--model", "cnn", "--model.pretrained", "IMAGENET1K_V1", "--logs", str(tmp_path))
    assert line.startswith("error: --model.pretrained IMAGENET1K_V1: no run of this project; expected the folder of")
    (tmp_path / "weights.ckpt").write_text("no weights")
    line = refused("--model", "cnn", "--model.pretrained", str(tmp_path / "weights.ckpt"), "--logs", str(tmp_path))
    assert line == f"error: --model.pretrained {tmp_path / 'weights.ckpt'}: not a checkpoint"
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    line = refused("--model", "cnn", "--model.pretrained", str(tmp_path / "empty"), "--logs", str(tmp_path))
    assert line == f"error: --model.pretrained {tmp_path / 'empty'}: no checkpoint in it"


def test_a_model_that_no_weight_fits_is_refused(tmp_path: Path, refused: Any) -> None:
    first = run("mlp", tmp_path, "--data.batch_size", "8")
    line = refused("--model", "cnn", "--model.pretrained", str(first), "--logs", str(tmp_path))
    assert line.startswith(f"error: --model.pretrained {first}: no weight of this mlp fits CNN in name and shape")
    line = refused("--model", "gan", "--model.pretrained", str(first), "--logs", str(tmp_path))
    assert "expected a model with one loss, which GAN has not" in line


def test_a_folder_of_transformers_is_no_run_of_ours(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert own_run(str(tmp_path)) is None
    assert own_run("bert-base-uncased") is None
    assert own_run(None) is None
    with pytest.raises(ValueError, match="no checkpoint in it"):
        PretrainedRun(str(tmp_path))


def test_the_head_is_fresh_where_as_many_classes_have_other_names(tmp_path: Path, capsys: Any) -> None:
    for name, classes in (("before", "ab"), ("same", "ab"), ("other", "xy")):
        rows = "".join(f"{row},{row % 7},{classes[row % 2]}\n" for row in range(60))
        (tmp_path / f"{name}.csv").write_text(f"x,y,class\n{rows}", encoding="utf-8")

    def trained(name: str, *words: str) -> Path:
        return run("mlp", tmp_path, "--data", str(tmp_path / f"{name}.csv"), "--data.target", "class", *words)

    before = trained("before")
    for name, head_is_taken in (("same", True), ("other", False)):
        capsys.readouterr()
        after = trained(name, "--model.pretrained", str(before), "--seed_everything", "1")
        printed = capsys.readouterr().out
        told = "fresh: network.6 (its classes were a, b; here they are x, y)"
        assert (told not in printed) == head_is_taken
        same = {key: torch.allclose(weights(before)[key], value, atol=1e-6) for key, value in weights(after).items()}
        assert all(same[key] for key in same if "network.0" in key)
        assert same["network.6.weight"] == head_is_taken

"""An option that would be without effect is refused, before anything is written."""

from pathlib import Path
from typing import Any

import pytest

from scripts.fit import main as fit
from tests.helpers.stopping import SHORT


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--model mlp --lora.alpha 4", "--lora.alpha 4: is without effect without --lora.rank"),
        ("--model mlp --averaging.start 0.5", "--averaging.start 0.5: is without effect without --averaging.kind"),
        ("--model mlp --averaging.kind swa --averaging.decay 0.9", "is without effect with --averaging.kind swa"),
        ("--model mlp --early_stopping.min_delta 0.1", "is without effect without --early_stopping.patience"),
        ("--model mlp --trainer.gradient_clip_algorithm norm", "without effect without --trainer.gradient_clip_val"),
        ("--model bert_ner --model.pretrained x --model.num_layers 3", "is without effect with --model.pretrained"),
        ("--model mlp --data.header true", "is of your own files, not of breast_cancer"),
        ("--model lstm --data.fill linear", "is of your own files, not of sunspots"),
        ("--model gat_nodes --data.val_fraction 0.3", "karate has a val split of its own"),
        ("--model gat_nodes --data.split_seed 3", "karate has splits of its own"),
        ("--model mlp --data.num_folds 5 --data.fold 1 --data.test_fraction 0.3", "the fold is the test split"),
    ],
)
def test_it_is_refused(words: str, expected: str, refused: Any, tmp_path: Path) -> None:
    assert expected in refused(fit, *words.split(), "--logs", str(tmp_path))
    assert not any(tmp_path.iterdir())


def test_of_own_files_the_options_of_embedded_data_are_without_effect(
    refused: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("\n".join(["text,label", *(f"it is {row},{row % 2}" for row in range(40))]))
    words = ["--model", "attention_rnn", "--data", str(tmp_path / "x.csv"), "--logs", str(tmp_path / "logs")]
    with pytest.raises(SystemExit):
        fit([*words, "--data.num_reviews", "100"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "error: --data.num_reviews: is without effect: is of the embedded data, reviews"
    (tmp_path / "x.yaml").write_text("lora: {alpha: 4}\n")
    assert "without --lora.rank" in refused(fit, *words, "--config", str(tmp_path / "x.yaml"))


def test_a_default_that_is_given_is_accepted(tmp_path: Path) -> None:
    words = ["--averaging.decay", "0.999", "--early_stopping.min_delta", "0", "--logs", str(tmp_path)]
    fit(["--model", "mlp", *SHORT, *words])
    fit(["--resume", str(tmp_path / "mlp" / "version_0"), "--trainer.max_epochs", "3"])

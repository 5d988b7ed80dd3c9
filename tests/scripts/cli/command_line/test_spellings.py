"""Short forms of options, and what is proposed for those that are none."""

from typing import Any

import pytest

from scripts.cli.command_line.options import parse
from scripts.cli.command_line.recipes import recipe_names, resolve
from scripts.cli.command_line.spellings import SETTLED, SHORT_FORMS, SYNONYMS, proposal, short_forms, spelt_out
from scripts.cli.run.experiment import Experiment
from scripts.fit import main as fit


def options_of(*words: str) -> Any:
    return parse(resolve(["--model", "mlp", *words]))[1]


def test_short_forms_mean_their_options() -> None:
    found = options_of("--lr", "0.5", "--epochs=3", "--batch_size", "16", "--seed", "7", "--workers", "1")
    assert found.model.optimizer.init_args.lr == 0.5
    assert (found.trainer.max_epochs, found.data.batch_size, found.data.num_workers) == (3, 16, 1)
    assert found.seed_everything == 7
    assert Experiment("mlp", lr=0.5, epochs=3).options.trainer.max_epochs == 3


def test_gpus_are_no_processes_of_a_cpu() -> None:
    assert sorted(spelt_out(["--gpus", "2"])) == ["--trainer.accelerator=gpu", "--trainer.devices=2"]
    assert spelt_out(["--trainer.accelerator", "cuda", "--gpus=2"])[-1] == "--trainer.devices=2"


@pytest.mark.parametrize("short", SHORT_FORMS)
def test_the_help_names_every_short_form_and_refuses_it_beside_its_option(
    short: str, refused: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    option, _ = SHORT_FORMS[short]
    assert f"{short} for " in short_forms()
    expected = f"{short} is short for {option}; give one of them"
    assert refused(fit, "--model", "mlp", short, "1", option, "2") == expected


def test_a_class_may_come_after_its_arguments() -> None:
    found = options_of("--model.optimizer.momentum", "0.9", "--lr", "0.1", "--model.optimizer", "SGD")
    assert found.model.optimizer.class_path == "torch.optim.SGD"
    assert (found.model.optimizer.init_args.momentum, found.model.optimizer.init_args.lr) == (0.9, 0.1)


def test_what_is_proposed_exists() -> None:
    options = {option for name in recipe_names() for option in parse(resolve(["--model", name]))[0].options()}
    of_others = {"--model", "--config", "--resume", "--data"}
    nested = {"--model.optimizer.lr", "--model.optimizer.weight_decay"}
    for option, words in SYNONYMS.items():
        assert option in options | of_others | nested
        for word in words:
            assert word == "checkpoint" or f"--{word}" not in options, word


@pytest.mark.parametrize(
    ("name", "option", "expected"),
    [
        ("transformer", "--model.d_model", "; did you mean --model.hidden_size? ("),
        ("resnet", "--model.d_model", "no such option ("),
        ("resnet", "--d_model", "no such option ("),
        ("resnet", "--num_layers", "; did you mean --model.depth? ("),
        ("mlp", "--model.depth", "; did you mean --model.num_layers? ("),
        ("transformer", "--model.dim_feedforward", "; did you mean --model.feedforward_size? ("),
        ("llm", "--model.intermediate_size", "; did you mean --model.mlp_size? ("),
        ("llm", "--block_size", "; did you mean --data.window? ("),
        ("bert_classifier", "--block_size", "; did you mean --data.max_length? ("),
        ("lstm", "--pred_len", "; did you mean --data.horizon? ("),
        ("mlp", "--max_seq_len", "no such option ("),
        ("mlp", "--ckpt_path", "; did you mean --resume? ("),
    ],
)
def test_what_is_proposed_is_an_option_of_this_model(name: str, option: str, expected: str, refused: Any) -> None:
    assert expected in refused(fit, "--model", name, option, "1")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--n_epochs", "did you mean --trainer.max_epochs?"),
        ("--max-epochs", "did you mean --trainer.max_epochs?"),
        ("--ckpt_path", "did you mean --resume?"),
        ("--learning_rate", "did you mean --model.optimizer.lr?"),
        ("--weight_decay", "did you mean --model.optimizer.weight_decay?"),
        ("--hidden_size", "did you mean --model.hidden_size?"),
        ("--dropuot", "did you mean --model.dropout or --lora.dropout?"),
        ("--trainer.patience", "did you mean --early_stopping.patience?"),
        ("--seeds", "did you mean --seed?"),
        ("--wandb", "did you mean --logger?"),
        ("--trainer.logger", "--logger names the loggers"),
        ("--local_rank", "torchrun and SLURM tell each process its rank"),
        ("--foo", "no such option (--help_all"),
    ],
)
def test_an_option_of_another_tool_is_answered_with_ours(option: str, expected: str, refused: Any) -> None:
    assert expected in refused(fit, "--model", "mlp", option, "1")


@pytest.mark.parametrize("option", SETTLED)
def test_what_is_settled_elsewhere_says_where(option: str) -> None:
    assert proposal(option, ["--logs", "--logger"]) == f"; {SETTLED[option]}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data.num_neighbors", "15", "-1", "--seed", "1"], ["--data.num_neighbors=[15,-1]", "--seed_everything=1"]),
        (["--data.num_neighbors=15"], ["--data.num_neighbors=[15]"]),
        (["--data.num_neighbors", "[15,10]"], ["--data.num_neighbors", "[15,10]"]),
        (["--data.num_neighbors", "null"], ["--data.num_neighbors", "null"]),
        (["--other", "15", "10"], ["--other", "15", "10"]),
    ],
)
def test_several_numbers_of_one_option_are_a_list(words: list[str], expected: list[str]) -> None:
    assert spelt_out(words) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (["5"], "--data.num_neighbors 5: 1 number, but the model reads 2 edges away"),
        (["5", "-1", "2"], "--data.num_neighbors 5 -1 2: 3 numbers, but the model reads 2 edges away"),
    ],
)
def test_another_number_of_layers_than_of_neighbours_is_refused(
    numbers: list[str], expected: str, refused: Any
) -> None:
    assert expected in refused(fit, "--model", "gcn", "--data.num_neighbors", *numbers)

"""The fast reader of configurations, which reads what YAML does."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.cli.command_line.recipes import RECIPES, dump, recipe_names
from scripts.cli.errors import UsageError
from scripts.cli.runs import config_text
from scripts.cli.runs.config_text import parse, read_config
from tests.helpers.recorded_runs import configuration

AWKWARD: dict[str, Any] = {
    "texts": {
        "number": "12",
        "null": "null",
        "true": "yes",
        "empty": "",
        "colon": "a: b",
        "hash": "a # b",
        "dash": "- a",
    },
    "more": {
        "line": "one\ntwo",
        "long": "word " * 60,
        "quote": "it's",
        "double": 'say "hi"',
        "chinese": "我的 数据/文件.csv",
    },
    "numbers": {"int": 1, "float": 1e-08, "inf": float("inf"), "negative": -3, "none": None, "flag": False},
    "lists": {"empty": [], "flat": [1, "a", None], "nested": [[1, 2], {"a": 1}], "section": {}},
    "keys": {"no": 1, "1": 2, "a b": 3, "on": {"off": [0.9, 0.999]}},
}


@pytest.mark.parametrize("name", ["mlp", "gat", "seq2seq"])
def test_a_runs_configuration_is_read_without_yaml(name: str) -> None:
    text = configuration("--model", name)
    assert parse(text) == yaml.safe_load(text)


@pytest.mark.long
@pytest.mark.parametrize("name", recipe_names())
def test_every_runs_configuration_is_read_without_yaml(name: str) -> None:
    text = configuration("--model", name)
    assert parse(text) == yaml.safe_load(text)


@pytest.mark.parametrize("section", AWKWARD)
def test_whatever_a_run_may_write_is_read(section: str, tmp_path: Path) -> None:
    for key, value in AWKWARD[section].items():
        content = {"before": 1, "about": {key: value, "after": {"x": [1.5]}}, "end": "z"}
        (tmp_path / "config.yaml").write_text(dump(content), encoding="utf-8")
        assert read_config(tmp_path / "config.yaml") == content


@pytest.mark.parametrize("name", recipe_names())
def test_other_yaml_is_read_as_yaml(name: str) -> None:
    file = RECIPES / f"{name}.yaml"
    assert read_config(file) == yaml.safe_load(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ["", "a: [1", "- 1\n- 2", "a:\n\tb: 1", "a: 1\n b: 2", "just text", "a: &x [*x]"])
def test_what_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UsageError):
        read_config(tmp_path / "config.yaml")


@pytest.mark.parametrize("cut", range(5, 2000, 97))
def test_a_file_that_was_not_written_to_its_end_is_read_as_yaml_would(cut: int) -> None:
    text = configuration("--model", "mlp")[:cut]
    try:
        found = parse(text)
    except config_text._OtherYAMLError:
        return
    assert found == yaml.safe_load(text)

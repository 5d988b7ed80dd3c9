"""The plain loops train, ours and theirs are counted alike, and what became slower is told."""

import copy
import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from scripts.benchmark import main
from scripts.cli.command_line.recipes import resolve
from scripts.cli.measure import benchmark, comparison, growth
from scripts.cli.measure.comparison import WORKS, Row, figures, looped, slower, table
from scripts.cli.measure.growth import KINDS, exponent
from scripts.cli.measure.references import graphs, nodes

CPU = ["--trainer.accelerator", "cpu"]


def steps_of(name: str, count: int) -> tuple[Any, Any]:
    """The model before and after some steps of the plain loop."""
    run = benchmark.built(resolve(["--model", name, *CPU]))
    model: Any = copy.deepcopy(run.model)
    assert len([*islice(WORKS[name].plain(model, run.data, 10, 1.0), count)]) == count
    return run.model, model


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in WORKS if name not in ("gcn", "gat_nodes")])
def test_the_plain_loop_trains_the_same_network(name: str) -> None:
    before, after = steps_of(name, 3)
    assert any(not torch.equal(old, new) for old, new in zip(before.parameters(), after.parameters(), strict=True))
    assert all(weight.isfinite().all() for weight in after.parameters())


@pytest.mark.parametrize(("name", "width"), [("gcn", 16), ("gat_nodes", 64)])
def test_the_plain_networks_of_nodes_have_as_many_weights_as_ours(name: str, width: int) -> None:
    run = benchmark.built(resolve(["--model", name, *CPU]))
    graph, _ = run.data.split_examples("train")[torch.arange(2)]
    plain = (nodes.PlainGCN if name == "gcn" else nodes.PlainGAT)(run.model, graph.x.shape[1])
    ours, theirs = (sum(weight.numel() for weight in each.parameters()) for each in (run.model, plain))
    assert ours == theirs > width
    assert plain(graph.x.to_dense(), graph.edge_index).shape == (len(graph.x), 4)
    assert len([*islice(WORKS[name].plain(run.model, run.data, 10, None), 3)]) == 3


def test_the_plain_network_of_graphs_computes_what_ours_does() -> None:
    run = benchmark.built(resolve(["--model", "gat", *CPU]))
    ours: Any = copy.deepcopy(run.model).eval()
    plain = graphs.PlainGAT(ours).eval()
    for layer, ours_layer in zip(plain.layers, ours.layers, strict=True):
        weights = {
            "lin.weight": ours_layer.project.weight,
            "att_src": ours_layer.of_source[None],
            "att_dst": ours_layer.of_target[None],
            "bias": ours_layer.bias,
        }
        assert {*weights} == {*layer.state_dict()}
        layer.load_state_dict(weights)
    batch, _ = run.data.split_examples("test")[torch.arange(5)]
    theirs = Data(batch.x, batch.edge_index, batch.edge_attr, batch=batch.graph, num_graphs=5)
    torch.testing.assert_close(plain(theirs), ours(batch))


def test_both_sides_are_measured_in_turn_and_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(comparison, "ROUNDS", 2)
    monkeypatch.setattr(comparison, "MOST", 6)
    monkeypatch.setattr(comparison, "START_ROUNDS", 0)
    monkeypatch.setattr(comparison, "STARTS", ())
    file = tmp_path / "now.json"
    main(["--only", "mlp", "--json", str(file), *CPU])
    out = capsys.readouterr().out
    assert re.search(r"mlp +breast_cancer +step +\d+\.\d\d ms +\d+\.\d\d ms +\d+\.\d\d \(", out)
    content = json.loads(file.read_text())
    assert len(content["ratios"]["mlp"]) == len(content["rows"]["mlp"]["ours"]) == 2
    assert content["rows"]["mlp"]["scale"] == 32, "examples of a step"
    content["ratios"]["mlp"] = [1e-9, 2e-9]
    file.write_text(json.dumps(content))
    with pytest.raises(SystemExit) as stop:
        main(["--only", "mlp", "--compare", str(file), *CPU])
    assert stop.value.code == 1
    assert "slower than before:\nmlp: 0.00 (0.00–0.00) times the plain loop before" in capsys.readouterr().out


def test_a_plain_loop_counts_examples_or_tokens_after_its_first_step() -> None:
    batches = iter([(torch.zeros(8, 2), torch.zeros(8))] * 4)
    seconds, amount = looped(batches, 3)
    assert amount == 24
    assert seconds >= 0


def row(*ours: float) -> Row:
    return Row("digits", "step", 32, [1.0, 1.0, 1.0], [*ours], [*ours])


def test_only_what_is_beyond_the_spread_is_slower() -> None:
    before = figures({"mlp": row(1, 2, 3), "cnn": row(1, 2, 3), "gcn": row(1, 1, 1)}, {})
    now = figures({"mlp": row(3.1, 3.2, 9), "cnn": row(2.9, 4, 4), "lstm": row(9, 9, 9)}, {})
    assert slower(now, before) == ["mlp: 2.00 (1.00–3.00) times the plain loop before, 3.20 (3.10–9.00) now"]
    assert slower(before, before) == []


def test_a_rate_an_epoch_and_the_start_are_told_in_their_units() -> None:
    rate = Row("phrases", "tokens", 500, [0.001], [0.0005], [0.0005])
    text = table(
        {"transformer": rate, "mlp": row(0.02, 0.02, 0.02)}, {"mlp": {"import torch": [2.0], "first step": [5.0]}}
    )
    assert re.search(r"transformer +phrases +– +1,000 tokens/s +2,000 tokens/s +0.50 \(0.50–0.50\)", text)
    assert re.search(r"mlp +digits +step +32.00 s +640.00 ms +0.02", text)
    assert re.search(r"mlp +2.0 s +5.0 s +2.50", text)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5, 8, 20], 1.0), ([0, 15, 255], 2.0), ([3, 3, 3.1], None), ([7, 6.5, 9.7], None), ([7, 7, 17], 1.661)],
)
def test_the_exponent_leaves_out_what_does_not_grow(values: list[float], expected: float | None) -> None:
    assert exponent(values, 1.0) == (None if expected is None else pytest.approx(expected, rel=1e-3))


def test_a_step_worse_than_linear_is_named() -> None:
    text = growth.table({"tables": {"train": [0.0, 15.0, 255.0], "memory": [1e8, 1.1e8, 1.2e8]}})
    assert "worse than linear:\ntables, train: grows with the data to the power of 2.00\n" in text
    assert re.search(r"memory +100 MB +110 MB +120 MB +–", text)


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_data_is_written_read_trained_on_and_tested(name: str, tmp_path: Path) -> None:
    kind, report = KINDS[name], tmp_path / "report.json"
    (tmp_path / "data").mkdir()
    data = kind.write(tmp_path / "data", max(kind.size // 10, 200))
    words = ["--data", str(data), "--trainer.max_epochs", "1", "--logs", str(tmp_path / "logs"), *kind.words, *CPU]
    main(["--growth", "--model", kind.model, *words, "--report", str(report)])
    found = json.loads(report.read_text())
    assert [*found] == ["read and split", "train", "test and report", "memory"]
    assert all(value > 0 for value in found.values())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--only", "vgg"], "--only vgg: expected some of mlp, lstm"),
        (["--growth", "--only", "mlp"], "--only mlp: expected some of tables, series"),
        (["--growth", "--json", "x.json"], "--growth prints its figures; leave out --json and --compare"),
        (["--growth", "--model", "mlp"], "--growth: measures each kind of data with a model of its own"),
        (["--model", "mlp", "--json", "x.json"], "--json: belongs to the table of all models; leave out --model"),
        (["--devices", "2"], "which model?"),
    ],
)
def test_what_contradicts_is_refused(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err


def test_a_file_of_something_else_is_no_earlier_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    with pytest.raises(SystemExit) as stop:
        main(["--compare", str(file)])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: --compare {file}: expected a file that --json has written\n"

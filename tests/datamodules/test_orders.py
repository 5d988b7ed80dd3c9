"""No order comes from a set, a hash or a comparison with NaN: every process, and every start, has the same classes."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.labels import class_codes
from scripts.cli.command_line.recipes import ROOT
from tests.helpers.small_data import AWKWARD, CASES


@pytest.mark.long
def test_what_is_learned_split_and_known_again_does_not_depend_on_the_seed_of_hashes(tmp_path: Path) -> None:
    folders = {}
    for name, case in CASES.items():
        folder = tmp_path / name
        folder.mkdir()
        folders[name] = str(case.make(folder))
    running = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "helpers" / "hash_seeds.py"), json.dumps(folders)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (json.loads(process.communicate(timeout=300)[0]) for process in running)
    assert one.keys() == other.keys() == CASES.keys()
    for name in CASES:
        assert one[name] == other[name], name


def test_numbers_come_first_and_in_numerical_order_and_nan_is_none_of_them() -> None:
    expected = ["-inf", "-0", "0", "01", "1", "12", "１２", "1_000", "1e5", "inf", "-nan", "NaN", "nan", "猫"]
    for seed in range(20):
        labels = AWKWARD * 3
        random.Random(seed).shuffle(labels)
        names, codes = class_codes(labels, None, "here")
        assert names == expected
        assert [names[code] for code in codes.tolist()] == ["1" if label == "1.0" else label for label in labels]

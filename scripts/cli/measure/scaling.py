"""The scaling efficiency of several devices: each count is measured in processes of its own."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.cli.command_line.recipes import ROOT
from scripts.cli.text_table import aligned, megabytes


def scaling(words: list[str], counts: list[int]) -> None:
    """Measure each number of devices, and print a table.

    Args:
        words: options of fit.py.
        counts: numbers of devices.

    Raises:
        SystemExit: with the status of a measurement that failed, and has printed why.
    """
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), *words]
            command += ["--trainer.devices", str(count), "--report", str(report)]
            status = subprocess.run(command, check=False).returncode
            if status:
                raise SystemExit(status)
            rows.append(json.loads(report.read_text(encoding="utf-8")))
    print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each number of devices.

    Efficiency is the speed of N over N times the speed of one: 1 if nothing is lost.
    """
    first = rows[0]
    one = next((row["examples_per_second"] for row in rows if row["processes"] == 1), None)
    lines = [["devices", "batch of each", "threads", "examples a second", "efficiency", "peak memory of a process"]]
    for row in rows:
        count, speed = row["processes"], row["examples_per_second"]
        efficiency = f"{speed / (count * one):.2f}" if one else "-"
        size, memory = f"{row['batch_size'] / count:.4g}", megabytes(row["memory"], row["gpu_memory"])
        lines.append([str(count), size, str(row["threads"]), f"{speed:,.0f}", efficiency, memory])
    return (
        f"{first['model']} on {first['data']}, {first['device']}, precision {first['precision']}\n"
        f"strong scaling: all processes together take the {first['batch_size']} examples of a step; "
        f"{first['steps']} steps after {first['warm_up']} of warm-up\n\n{aligned(lines)}"
    )

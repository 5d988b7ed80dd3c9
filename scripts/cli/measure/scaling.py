"""What several devices gain over one: each number of them measured in processes of its own, and one table."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.command_line.recipes import ROOT, Request
from scripts.cli.errors import UsageError


def benchmark(request: Request, devices: list[int], report: str | None) -> None:
    """Compare the Trainer with a plain loop, or the speed on several numbers of devices.

    Args:
        request: what to train.
        devices: numbers of devices to compare; none for the plain loop.
        report: a file for the figures of one measurement, which `devices` asks for.

    Raises:
        UserError: the request cannot be met.
    """
    if devices:
        if CommandLine(request.arguments).mentions("--trainer.devices"):
            raise UsageError("--trainer.devices and --devices contradict each other; give --devices only")
        scaling(request.words, list(dict.fromkeys(devices)))
        return
    from scripts.cli.measure import benchmark  # imports torch, which only the measurements' own processes need

    if report:
        benchmark.measure(request, Path(report).absolute())
    else:
        benchmark.benchmark(request)


def scaling(words: list[str], numbers: list[int]) -> None:
    """Measure and print.

    Raises:
        SystemExit: with the status of a measurement that failed, and has said why.
    """
    rows = []
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), *words]
            command += ["--trainer.devices", str(number), "--report", str(report)]
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
    lines = [
        f"{first['model']} on {first['data']}, {first['device']}, precision {first['precision']}",
        f"strong scaling: all processes together take the {first['batch_size']} examples of a step; "
        f"{first['steps']} steps after {first['warm_up']} to warm up\n",
        f"{'devices':>7}  {'batch of each':>13}  {'threads':>7}  {'examples a second':>17}  {'efficiency':>10}  "
        f"{'peak memory of a process':>24}",
    ]
    for row in rows:
        number, speed = row["processes"], row["examples_per_second"]
        efficiency = f"{speed / (number * one):.2f}" if one else "-"
        memory = f"{row['memory'] / 1e6:,.0f} MB"
        if row["gpu_memory"]:
            memory += f", GPU {row['gpu_memory'] / 1e6:,.0f} MB"
        lines.append(
            f"{number:>7}  {row['batch_size'] / number:>13.4g}  {row['threads']:>7}  {speed:>17,.0f}  "
            f"{efficiency:>10}  {memory:>24}"
        )
    return "\n".join(lines)

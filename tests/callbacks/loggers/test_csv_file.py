import csv
import errno

import pytest

from callbacks.loggers.csv_file import MetricsFile


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_metrics_of_one_step_share_a_row_and_new_ones_get_a_column(tmp_path):
    file = MetricsFile(tmp_path)
    file.log_metrics({"train/loss": 1.0, "epoch": 0}, step=3)
    file.log_metrics({"val/loss": 2.0}, step=3)
    file.log_metrics({"train/loss": 0.5}, step=4)
    file.save()
    assert len(rows(tmp_path)) == 1  # the newest row may still grow
    file.log_metrics({"test/f1": 0.25}, step=4)
    file.finalize("success")
    assert rows(tmp_path) == [
        {"epoch": "0", "step": "3", "train/loss": "1.0", "val/loss": "2.0", "test/f1": ""},
        {"epoch": "", "step": "4", "train/loss": "0.5", "val/loss": "", "test/f1": "0.25"},
    ]


def test_a_thousand_steps_are_not_a_thousand_writes(tmp_path, monkeypatch):
    file = MetricsFile(tmp_path)
    writes = []
    write = file._write
    monkeypatch.setattr(file, "_write", lambda rows: (writes.append(len(rows)), write(rows)))
    for step in range(1000):
        file.log_metrics({"loss": 1.0}, step)
        file.save()
    file.finalize("success")
    assert len(writes) < 10
    assert [int(row["step"]) for row in rows(tmp_path)] == list(range(1000))


@pytest.mark.parametrize("arrived", [0, 2])
def test_rows_that_a_network_file_system_does_not_take_wait_for_the_next_time(tmp_path, monkeypatch, arrived):
    file = MetricsFile(tmp_path)
    for step in range(6):
        file.log_metrics({"loss": 1.0}, step)
        if step == 1:
            file._write(file.rows[:-1])
            file.rows = file.rows[-1:]

    class Failing(csv.DictWriter):
        def writerows(self, rows):
            super().writerows(list(rows)[:arrived])
            raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as failing:
        failing.setattr(csv, "DictWriter", Failing)
        file.save()
    file.finalize("success")
    assert [int(row["step"]) for row in rows(tmp_path)] == list(range(6))
    assert file.written == 6

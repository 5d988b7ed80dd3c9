import shutil
from pathlib import Path

import pytest

from callbacks.run.run_folder import FolderGoneError, RunFolder
from scripts.cli.run import folder as run_folders
from scripts.cli.run.folder import make_checkpoints_folder
from scripts.fit import main as fit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "version_0"
    path.mkdir()
    return path


@pytest.mark.parametrize("inner", [".", "checkpoints"])
@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_was_deleted_or_replaced_is_noticed(folder: Path, inner: str, again: bool) -> None:
    run = RunFolder(folder)
    (folder / "checkpoints").mkdir()
    run.check()
    run.check()
    shutil.rmtree(folder / inner)
    if again:
        for _ in range(20):  # file systems soon give an inode again that is free
            (folder / inner).mkdir(parents=True)
            with pytest.raises(FolderGoneError, match="was replaced by another of this name while"):
                run.check()
            shutil.rmtree(folder / inner)
    with pytest.raises(FolderGoneError, match="was deleted or moved while the run was writing into it"):
        run.check()


def test_both_folders_are_missed_from_the_beginning(folder: Path) -> None:
    make_checkpoints_folder(folder)
    run = RunFolder(folder)
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(FolderGoneError, match="checkpoints: this folder was deleted"):
        run.check()
    shutil.rmtree(folder)
    with pytest.raises(FolderGoneError, match="version_0: this folder was deleted"):
        make_checkpoints_folder(folder)


def test_a_folder_that_goes_while_its_first_files_are_written_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def locked(folder: Path, job: str | None) -> None:
        shutil.rmtree(folder)

    monkeypatch.setattr(run_folders, "lock", locked)
    with pytest.raises(SystemExit) as stop:
        fit(["--model", "linear_regression", "--logs", str(tmp_path)])
    assert stop.value.code == 2
    assert "replaced by another of this name while the run was writing into it" in capsys.readouterr().err
    assert not (tmp_path / "linear_regression" / "version_0" / "checkpoints").exists()


def test_a_folder_that_is_yet_to_be_made_is_not_missed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "version_0")
    run.check()
    (tmp_path / "version_0" / "checkpoints").mkdir(parents=True)
    run.check()
    (tmp_path / "version_0" / "metrics.csv").touch()
    run.check()

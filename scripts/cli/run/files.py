"""Where runs are, what they write there, and who holds a run: what commands need that import no torch."""

import json
from pathlib import Path
from typing import Any

from filelock import Timeout

from datamodules.errors import DataError
from datamodules.files.encoding import json_value
from datamodules.files.paths import regular, user_path
from datamodules.storage.atomic_file import write_file
from datamodules.storage.download import project_folder
from datamodules.storage.locks import Lock
from scripts.cli.errors import UsageError

LOGS = project_folder() / "lightning_logs"


def logs_at(given: str | None) -> Path:
    """Where runs go: the folder that `--logs` names, or else lightning_logs/ of this clone, or where one stands."""
    return user_path(given, "--logs").absolute() if given else LOGS


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically."""
    content = text.encode(errors="backslashreplace")  # of a name that is not UTF-8, which JSON reads as it was
    write_file(path, lambda file: file.write(content))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file atomically; values that JSON cannot represent become null."""
    write_whole(path, json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file that `write_json` has written.

    Raises:
        UsageError: it is no JSON object.
    """
    try:
        content = json_value(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not what a run has written ({error})") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def holder(path: Path) -> tuple[str, str, str]:
    """The process, the job and the host that a lock's file names, each empty where it does not."""
    try:
        lines = regular(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, DataError):  # there is none; on Windows also: it is locked
        lines = []
    process, job, host = [*lines, "", "", ""][:3]
    return process, job, host


def is_held(file: Path) -> bool:
    """Whether somebody holds a lock, such as this process."""
    try:
        Lock(file).close()
    except Timeout:
        return True
    return False

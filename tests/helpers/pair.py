"""Two processes as torchrun starts them, forked from one that has imported torch and the project for all of them."""

import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only

from tests.helpers.fork_server import Forked


def on_two_processes(folder: Path, function: Callable[..., object], *args: Any, seconds: float = 900) -> str:
    """Call a function in two processes, both of which have to end well; what the first one printed.

    Args:
        folder: for what they print.
        function: of a module, by which the processes find it.
        args: of the function.
        seconds: that it may take.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": uuid.uuid4().hex}
    printed = [folder / f"printed {rank}.txt" for rank in (0, 1)]
    processes = [
        Forked(run, rank, function, args, out=printed[rank], variables=os.environ | variables | ranks(rank))
        for rank in (0, 1)
    ]
    for process in processes:
        process.join(seconds)
    left = [process for process in processes if process.exitcode is None]
    for process in left:
        process.kill()
        process.join()
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in printed]
    assert [process.exitcode for process in processes] == [0, 0], "\n".join(text[-3000:] for text in texts)
    assert "Warning" not in "".join(texts), texts
    return texts[0]


def ranks(rank: int) -> dict[str, str]:
    """The variables by which a process knows which of the two it is."""
    alike = {name: str(rank) for name in ("RANK", "LOCAL_RANK")}
    return alike | dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "2") | {"TORCHELASTIC_RESTART_COUNT": "0"}


def run(rank: int, function: Callable[..., object], args: tuple[Any, ...]) -> None:
    """Be one of the two."""
    rank_zero_only.rank = rank  # type: ignore[attr-defined]
    function(*args)

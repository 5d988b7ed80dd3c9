"""What the datamodules' tests share."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

from datamodules.storage import cache_files, streaming

Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """One thread: tensors are tiny, and several processes share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder whose path contains spaces and non-ASCII letters."""
    folder = tmp_path / "my data 数据"
    folder.mkdir()
    return folder


@pytest.fixture
def refused() -> Refused:
    """`with refused(*parts):` passes if a ValueError is raised whose message contains all the parts."""

    @contextmanager
    def check(*parts: object) -> Iterator[None]:
        with pytest.raises(ValueError, match=re.escape(str(parts[0]))) as caught:
            yield
        for part in parts:
            assert str(part) in str(caught.value)

    return check


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Call it, and all files of texts are too large for memory."""
    monkeypatch.setattr(cache_files, "DATA_FOLDER", tmp_path / "cache")
    return lambda: monkeypatch.setattr(streaming, "IN_MEMORY", 0)

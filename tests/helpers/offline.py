"""A machine without a network, but for itself."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

HERE = ("127.0.0.1", "::1", "localhost", socket.gethostname(), None)


@contextmanager
def without_a_network() -> Iterator[None]:
    """Within this, no host but this one is found or connected to, and it is an error to have tried."""
    tried: list[Any] = []
    connect, find = socket.socket.connect, socket.getaddrinfo

    def connected(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in HERE:
            tried.append(address)
            raise OSError("there is no network")
        connect(self, address)

    def found(host: Any, *args: Any, **options: Any) -> Any:
        if host not in HERE:
            tried.append(host)
            raise socket.gaierror("there is no network")
        return find(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connected)
        patch.setattr(socket, "getaddrinfo", found)
        yield
    assert not tried

"""Sockets without a transport, for the checks of transports: callers and listeners that say
nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tallow_core.spi.transport import Transport
from tallow_core.types import Endpoint

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

DEADLINE_SECONDS = 0.3
"""Given to a dial that is not answered."""


@contextmanager
def silent(
    driver: type[Transport], settings: DriverSettings, *, room: bool
) -> Iterator[Endpoint | None]:
    """The endpoint of a bare socket that never answers, its backlog full unless `room`; None where
    there is no such thing."""
    endpoint = driver(settings).local()
    if (found := bare(endpoint)) is None:
        yield None
        return
    family, address = found
    callers: list[socket.socket] = []
    with socket.socket(family) as mute:
        try:
            if family != socket.AF_INET:
                os.makedirs(os.path.dirname(endpoint.host), mode=0o700, exist_ok=True)
            mute.bind(address)
            mute.listen(0)
            if endpoint.port is not None:
                endpoint = replace(endpoint, port=mute.getsockname()[1])
            yield endpoint if room or _is_filled(family, mute.getsockname(), callers) else None
        finally:
            for caller in callers:
                caller.close()
            if endpoint.port is None:
                os.unlink(endpoint.host)


def _is_filled(family: int, address: str | tuple[str, int], callers: list[socket.socket]) -> bool:
    """Call until a call is not taken; False where the system always takes or refuses them."""
    for _ in range(8):
        callers.append(socket.socket(family))
        callers[-1].settimeout(DEADLINE_SECONDS)
        try:
            callers[-1].connect(address)
        except (TimeoutError, BlockingIOError):
            return True
        except OSError:
            return False
    return False


def bare(endpoint: Endpoint) -> tuple[int, str | tuple[str, int]] | None:
    """Family and address of `endpoint` for a bare stream socket; None if the system has none."""
    if endpoint.port is not None:
        return socket.AF_INET, (endpoint.host, endpoint.port)
    return (
        (socket.AF_UNIX, endpoint.host)
        if hasattr(socket, "AF_UNIX") and os.path.isabs(endpoint.host)
        else None
    )

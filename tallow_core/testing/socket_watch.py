"""Sees to which addresses this process connects or sends, and stops what must not be dialled."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_watched: list[tuple[frozenset[str], list[str]]] = []
_hooked: list[bool] = []


@contextmanager
def forbidden(hosts: Iterable[str]) -> Iterator[list[str]]:
    """While this runs, a connection or datagram to one of `hosts` is a `PermissionError` where it
    is tried. The list has what was tried."""
    if not _hooked:
        sys.addaudithook(_audit)  # for good: audit hooks cannot be removed
        _hooked.append(True)
    watch: tuple[frozenset[str], list[str]] = frozenset(hosts), []
    _watched.append(watch)
    try:
        yield watch[1]
    finally:
        _watched.remove(watch)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not _watched or event not in _EVENTS:
        return
    address = arguments[1] if len(arguments) > 1 else None
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    for hosts, tried in _watched:
        if host in hosts:
            tried.append(host)
            raise PermissionError(f"{host} must not be dialled")

"""Socket files: connecting to them, and making and replacing them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys

from tallow_core.errors import UnreachableError
from tallow_core.text import printable
from tallow_core.types import Endpoint

LONGEST = (108 if sys.platform == "linux" else 104) - 1
"""Bytes of a path: `sun_path` of unix(7) and unix(4), less the zero at its end."""
_BACKLOG = 1024
_PAUSE = 0.02
"""Seconds before knocking again where the queue of a listener is full: the kernel has no way to
wait for a place in it."""


def size_of(path: str) -> int:
    """How many bytes a path has."""
    return len(os.fsencode(path))


async def connect(endpoint: Endpoint, deadline: float) -> socket.socket:
    """Connect before `deadline` (on the loop's clock), or `UnreachableError`."""
    loop = asyncio.get_running_loop()
    sock = _fresh()
    try:
        while loop.time() < deadline:
            try:
                sock.connect(endpoint.host)
                return sock
            except BlockingIOError:
                await asyncio.sleep(min(_PAUSE, max(deadline - loop.time(), 0)))
        raise UnreachableError(
            f"{_shown(endpoint)} did not answer in time: check that the other side is running."
        )
    except OSError as error:
        sock.close()
        raise UnreachableError(
            f"{_shown(endpoint)} cannot be reached ({_reason(error)}): check the path and that"
            " somebody listens."
        ) from error
    except BaseException:
        sock.close()
        raise


def listen(endpoint: Endpoint) -> tuple[socket.socket, os.stat_result]:
    """Listen at exactly that path, for this user only, and return the socket and what its file is,
    or `UnreachableError`."""
    path = endpoint.host
    sock = _fresh()
    try:
        try:
            sock.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _removed_if_stale(path):
                raise
            sock.bind(path)
        os.chmod(path, 0o600)  # nobody can connect before `listen`
        made = os.lstat(path)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise UnreachableError(
            f"Cannot listen at {_shown(endpoint)} ({_reason(error)}): choose another path."
        ) from error
    return sock, made


def remove(path: str, made: os.stat_result) -> None:
    """Remove the socket file that `listen` made, unless something else has taken its place."""
    try:
        if os.path.samestat(os.lstat(path), made):
            os.unlink(path)
    except OSError:
        pass


def _removed_if_stale(path: str) -> bool:
    """Remove a socket file at which nobody listens any more. Anything else is left alone."""
    found = os.lstat(path)
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "something that is no socket is there")
    with _fresh() as knock:
        if knock.connect_ex(path) != errno.ECONNREFUSED:
            return False
    remove(path, found)
    return True


def _fresh() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock


def _shown(endpoint: Endpoint) -> str:
    return printable(endpoint.url)


def _reason(error: OSError) -> str:
    return printable((error.strerror or str(error)).lower())

"""Socket files: connecting to them, and making, replacing and removing them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys

from tallow_core.errors import UnreachableError
from tallow_core.spi.sockets import BACKLOG, reason, unreachable
from tallow_core.text import printable
from tallow_core.types import Endpoint

MAX_PATH_BYTES = (108 if sys.platform == "linux" else 104) - 1
"""`sun_path` of unix(7) and unix(4), less the zero at its end."""
_PAUSE_SECONDS = 0.02
"""Before the next try where the queue of a listener is full: the kernel has no way to wait for a
place in it."""


def size_of(path: str) -> int:
    """How many bytes a path has."""
    return len(os.fsencode(path))


class _NoSocket(OSError):
    """Something else stands where the socket file would be."""

    def __init__(self) -> None:
        super().__init__("something that is no socket is there")


async def connect(endpoint: Endpoint, deadline: float) -> socket.socket:
    """Connect before `deadline` (on the loop's clock), or `UnreachableError`."""
    sock = _fresh()
    try:
        async with asyncio.timeout_at(deadline):
            await asyncio.sleep(0)  # a deadline in the past is noticed before anything is done
            while True:
                try:
                    sock.connect(endpoint.host)
                    return sock
                except BlockingIOError:
                    await asyncio.sleep(_PAUSE_SECONDS)
    except OSError as error:
        sock.close()
        raise unreachable(endpoint.url, error) from error
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
        os.chmod(path, 0o600)  # no connection is taken before `listen`
        made = os.lstat(path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise UnreachableError(
            f"cannot listen at {printable(endpoint.url)} ({reason(error)}); choose another path"
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
    """Remove a socket file at which nothing listens any more. Anything else is left alone."""
    found = os.lstat(path)
    if not stat.S_ISSOCK(found.st_mode):
        raise _NoSocket
    with _fresh() as knock:
        if knock.connect_ex(path) != errno.ECONNREFUSED:
            return False
    remove(path, found)
    return True


def _fresh() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock

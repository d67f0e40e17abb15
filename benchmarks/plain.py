"""The ceiling: a file copied over TCP by two plain Python processes, each with one buffer of 1 MiB
and the system's socket options.

`plain.py receive TARGET HOST BUFFER` prints its port, then the seconds from the connection to the
last byte; `plain.py send SOURCE HOST BUFFER PORT` sends. BUFFER is `bytearray`, or `aligned` for
one that begins at a page. `plain.py feed BYTES` writes that many random bytes to standard output,
and `plain.py drain` counts what comes from standard input.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import sys
import time

BUFFER = 1 << 20


def _buffer(kind: str) -> memoryview:
    return memoryview(mmap.mmap(-1, BUFFER) if kind == "aligned" else bytearray(BUFFER))


def _tell(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def receive(target: str, host: str, kind: str) -> None:
    """Take one connection and write all that comes to `target`."""
    with socket.create_server((host, 0)) as listener:
        _tell("listening", port=listener.getsockname()[1])
        connection, _ = listener.accept()
    began = time.monotonic()
    view = _buffer(kind)
    with connection, open(target, "wb", buffering=0) as file:
        while count := connection.recv_into(view):
            file.write(view[:count])
    _tell("done", seconds=time.monotonic() - began)


def send(source: str, host: str, kind: str, port: int) -> None:
    """Send all of `source`."""
    view = _buffer(kind)
    with (
        socket.create_connection((host, port)) as connection,
        open(source, "rb", buffering=0) as file,
    ):
        while count := file.readinto(view):
            connection.sendall(view[:count])


def feed(size: int) -> None:
    """Write `size` bytes: one random megabyte, numbered, so that it does not repeat."""
    block = bytearray(os.urandom(BUFFER))
    with open(1, "wb", buffering=0) as out:
        for number in range(-(-size // BUFFER)):
            block[:8] = number.to_bytes(8, "big")
            rest = memoryview(block)[: size - number * BUFFER]
            while rest:
                rest = rest[out.write(rest) :]


def drain() -> None:
    """Read standard input to its end, and tell how much it was."""
    view, total = _buffer("bytearray"), 0
    with open(0, "rb", buffering=0) as file:
        while count := file.readinto(view):
            total += count
    _tell("drained", bytes=total)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["receive", target, host, kind]:
            receive(target, host, kind)
        case ["send", source, host, kind, port]:
            send(source, host, kind, int(port))
        case ["feed", size]:
            feed(int(size))
        case ["drain"]:
            drain()

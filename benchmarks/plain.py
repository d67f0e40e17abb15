"""The measure: a file copied over TCP by two plain Python processes, each with one buffer of 1 MiB and the system's socket options.

`plain.py receive TARGET` prints its port, then the seconds from the connection to the last byte; `plain.py send SOURCE PORT` sends.
"""

from __future__ import annotations

import json
import socket
import sys
import time

BUFFER = 1 << 20


def receive(target: str) -> None:
    """Take one connection and write all that comes to `target`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(json.dumps({"event": "listening", "port": listener.getsockname()[1]}), flush=True)
        connection, _ = listener.accept()
    began = time.monotonic()
    view = memoryview(bytearray(BUFFER))
    with connection, open(target, "wb", buffering=0) as file:
        while count := connection.recv_into(view):
            file.write(view[:count])
    print(json.dumps({"event": "done", "seconds": time.monotonic() - began}), flush=True)


def send(source: str, port: int) -> None:
    """Send all of `source`."""
    view = memoryview(bytearray(BUFFER))
    with socket.create_connection(("127.0.0.1", port)) as connection, open(source, "rb", buffering=0) as file:
        while count := file.readinto(view):
            connection.sendall(view[:count])


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(sys.argv[2])
    else:
        send(sys.argv[2], int(sys.argv[3]))

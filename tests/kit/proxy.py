"""A TCP proxy on threads: the network between two processes, to be counted and cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on loopback and passes on to `target`, which may change. `down` counts bytes from
    there to whoever dialled, `connections` all that came."""

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self.down = 0
        self.connections = 0
        self._pairs: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self, only: int | None = None) -> None:
        """Reset every connection (or `only` the one of this number, in the order in which they
        came); new ones are taken."""
        with self._lock:
            if only is None:
                pairs, self._pairs = self._pairs, []
            else:
                pairs = self._pairs[2 * only : 2 * only + 2]
        for each in pairs:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._pairs += [near, far]
                    self.connections += 1
                threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
                if down:
                    self.down += len(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            if not down:
                each.close()

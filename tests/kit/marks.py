"""Which tests are fast: those that start no process, open no socket, and wait for no clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

SLOW = ("slow", "timing", "long", "processes", "sockets")
"""Marks of tests that are not in the fast lane; every other test gets the mark `fast`."""

FOLDERS = ("contrib", "e2e", "relay", "security")
"""Folders of tests that all start processes."""

PROCESS_EVENTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"})
SOCKET_EVENTS = frozenset({"socket.bind", "socket.connect"})


class Guard:
    """An audit hook that holds tests to what they are marked for. There is one in a process, since
    Python never removes a hook."""

    def __init__(self) -> None:
        self._forbidden: frozenset[str] = frozenset()
        self.broken: list[str] = []
        """The forbidden events of the test that runs."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, _args: tuple[object, ...]) -> None:
        if event in self._forbidden:
            self.broken.append(event)

    @contextmanager
    def forbidding(self, events: frozenset[str]) -> Iterator[None]:
        """Note these events while the block runs."""
        self.broken.clear()
        self._forbidden = events
        try:
            yield
        finally:
            self._forbidden = frozenset()

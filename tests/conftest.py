"""What tests share: where the code comes from, what is marked, fixtures for real processes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.lab import Lab
from tests.kit.marks import FOLDERS, PROCESS_EVENTS, SLOW, SOCKET_EVENTS, Guard
from tests.kit.one_place import mixed, place_of

_ROOM = 4 << 30
"""Bytes that must be free in memory-backed storage to use it for large files."""


def pytest_sessionstart() -> None:
    """`python -m pytest` in the checkout would find the core there and the plugins in a wheel. What
    a shell starts in the background ignores SIGINT, and so would the processes of the tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    reason = mixed(place_of("tallow_core"), place_of("tallow_plugins"))
    if reason is not None:
        raise pytest.UsageError(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes of Tallow, and what is left as fast."""
    for item in items:
        folder = Path(item.nodeid.partition("::")[0]).parent.name
        if "lab" in getattr(item, "fixturenames", ()) or folder in FOLDERS:
            item.add_marker("processes")
        if not any(item.get_closest_marker(name) for name in SLOW):
            item.add_marker("fast")


_guard = Guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The fast lane is what it says."""
    forbidden = PROCESS_EVENTS | SOCKET_EVENTS if item.get_closest_marker("fast") else frozenset()
    with _guard.forbidding(forbidden):
        yield
    if _guard.broken:
        pytest.fail(f"{_guard.broken[0]}: mark it `processes` or `sockets`", pytrace=False)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Processes that are ended, and whose output is checked, when the test is over."""
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Path]:
    """A folder for large files: in memory where there is room, else an ordinary temporary one."""
    memory = Path("/dev/shm")  # noqa: S108 - a new private folder in it is used
    if not (
        memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM
    ):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="tallow-test-", dir=memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)

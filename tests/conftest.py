"""What tests with real processes share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.lab import Lab

_ROOM = 4 << 30
"""Bytes that must be free in memory-backed storage to use it for large files."""


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

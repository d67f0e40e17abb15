"""The rooms of one relay process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tallow_core.directories import Directories
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.rooms import Rooms
from tallow_core.testing.checks.rooms_checks import CHECKS
from tallow_plugins.rooms.memory import MemoryRooms

SETTINGS = DriverSettings(Directories(*map(Path, ("config", "state", "data", "runtime"))))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: Callable[[type[Rooms], DriverSettings], None]) -> None:
    check(MemoryRooms, SETTINGS)


def test_t12_ten_thousand_rooms_never_collide() -> None:
    async def open_all() -> list[str]:
        rooms = MemoryRooms(SETTINGS, 10_000)
        return [await rooms.open(None, b"h" * 32, 0.0) for _ in range(10_000)]

    opened = asyncio.run(open_all())
    assert len(set(opened)) == 10_000
    lengths = [len(nameplate) for nameplate in opened]
    assert (lengths.count(4), lengths.count(5), lengths.count(6)) == (900, 9_000, 100)


def test_resting_nameplates_count_as_used_and_are_bounded() -> None:
    async def churn() -> tuple[str, str]:
        rooms = MemoryRooms(SETTINGS, 100)
        first = await rooms.open(None, b"h" * 32, 0.0)
        await rooms.close(first, 0.0)
        for moment in range(1000):
            nameplate = await rooms.open(None, b"h" * 32, float(moment))
            await rooms.close(nameplate, float(moment))
        assert (
            await rooms.open(first, b"h" * 32, 1000.0) == first
        )  # given up early: the eldest of more than 1,000
        return nameplate, await rooms.open(None, b"h" * 32, 10_000.0)

    while_resting, after = asyncio.run(churn())
    assert (len(while_resting), len(after)) == (5, 4)

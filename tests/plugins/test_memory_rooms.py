"""The rooms of one relay process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tallow_core.settings import Settings
from tallow_core.spi.rooms import Rooms
from tallow_core.testing.checks.rooms import CHECKS
from tallow_plugins.rooms.memory import Memory


def settings_for(rooms: int) -> Settings:
    settings = Settings()
    return replace(settings, relay_server=settings.relay_server._replace(rooms=rooms))


@pytest.mark.parametrize("rooms", [3, 2_500])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(check: Callable[[type[Rooms], Settings], None], rooms: int) -> None:
    check(Memory, settings_for(rooms))


def test_t12_ten_thousand_rooms_never_collide() -> None:
    async def open_all() -> list[str]:
        rooms = Memory(settings_for(10_000))
        return [await rooms.open(None, b"h" * 32, 0.0) for _ in range(10_000)]

    opened = asyncio.run(open_all())
    assert len(set(opened)) == 10_000
    lengths = [len(nameplate) for nameplate in opened]
    assert (lengths.count(4), lengths.count(5), lengths.count(6)) == (900, 9_000, 100)


def test_resting_nameplates_count_as_used_and_are_bounded() -> None:
    async def churn() -> tuple[str, str]:
        rooms = Memory(settings_for(100))
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

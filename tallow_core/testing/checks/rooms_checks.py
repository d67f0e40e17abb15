"""What every store of rooms has to do. Each check takes the driver class and settings; a shared
store has to be empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tallow_core.spi.rooms import Rooms, RoomsFull, RoomTaken
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.driver_checks import descriptor_is_complete
from tallow_core.testing.expect import ConformanceError, require

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_MANY = 2_000
"""Rooms: more than a tenth of the 9,000 nameplates of four digits, so that five are used too."""
_ROOMS = 2_500
"""What a store under test may hold."""


def nameplates_are_random(driver: type[Rooms], settings: DriverSettings) -> None:
    """T-12: nameplates are distinct, without leading zero, of the shortest length of which less
    than a tenth is in use."""

    descriptor_is_complete(driver)

    async def open_many() -> None:
        rooms = driver(settings, _ROOMS)
        count = _MANY
        opened = [await rooms.open(None, b"h" * 32, 0.0) for _ in range(count)]
        require(len(set(opened)) == count, "a nameplate was given out twice")
        require(
            all(re.fullmatch("[1-9][0-9]{3,9}", nameplate) for nameplate in opened),
            "a nameplate is not 4 to 10 digits",
        )
        require(
            all(len(nameplate) == 4 for nameplate in opened[:900]),
            "a longer nameplate although short ones are free",
        )
        require(
            all(len(nameplate) == 5 for nameplate in opened[900:]),
            "a tenth of a length is in use, and it is still used",
        )
        require(
            count < 20 or opened != sorted(opened, key=int),
            "nameplates are handed out in order, not at random",
        )
        for nameplate in opened:
            await rooms.close(nameplate, 0.0)

    complete(open_many())


def wanted_nameplate_is_given_once(driver: type[Rooms], settings: DriverSettings) -> None:
    """A free nameplate can be had by name, once; its owner is who opened it."""

    async def want() -> None:
        rooms = driver(settings, _ROOMS)
        require(await rooms.owner("7301") is None, "a room that was not opened has an owner")
        require(
            await rooms.open("7301", b"a" * 32, 0.0) == "7301", "a free nameplate was not given"
        )
        require(await _is_taken(rooms, "7301", 0.0), "a nameplate in use was given again")
        require(await rooms.owner("7301") == b"a" * 32, "the owner is not who opened the room")
        await rooms.close("7301", 0.0)

    complete(want())


def freed_nameplate_rests(driver: type[Rooms], settings: DriverSettings) -> None:
    """A freed nameplate has no owner, and is not drawn for `rest` seconds; who asks for it by name
    gets it."""

    async def rest() -> None:
        rooms = driver(settings, _ROOMS)
        count = 500
        freed = [await rooms.open(None, b"a" * 32, 0.0) for _ in range(count)]
        for nameplate in freed:
            await rooms.close(nameplate, 10.0)
        require(await rooms.owner(freed[0]) is None, "a closed room has an owner")
        require(
            not await _is_taken(rooms, freed[0], 11.0), "a freed nameplate cannot be had by name"
        )
        await rooms.close(freed[0], 11.0)
        drawn = [await rooms.open(None, b"b" * 32, 10.0 + rooms.rest - 1) for _ in range(count)]
        require(not set(drawn) & set(freed), "a freed nameplate was drawn before it had rested")
        for nameplate in drawn:
            await rooms.close(nameplate, 10.0 + rooms.rest - 1)

    complete(rest())


def limit_holds(driver: type[Rooms], settings: DriverSettings) -> None:
    """One room more than the store may hold is `RoomsFull`; closing one makes place."""

    async def fill() -> None:
        rooms = driver(settings, _ROOMS)
        opened = [await rooms.open(None, b"h" * 32, 0.0) for _ in range(_ROOMS)]
        try:
            await rooms.open(None, b"h" * 32, 0.0)
        except RoomsFull:
            await rooms.close(opened.pop(), 0.0)
            opened.append(await rooms.open(None, b"h" * 32, 0.0))
        else:
            raise ConformanceError("more rooms than its maximum")
        for nameplate in opened:
            await rooms.close(nameplate, 0.0)

    complete(fill())


CHECKS: tuple[Callable[[type[Rooms], DriverSettings], None], ...] = (
    nameplates_are_random,
    wanted_nameplate_is_given_once,
    freed_nameplate_rests,
    limit_holds,
)


async def _is_taken(rooms: Rooms, nameplate: str, now: float) -> bool:
    with suppress(RoomTaken):
        await rooms.open(nameplate, b"b" * 32, now)
        return False
    return True

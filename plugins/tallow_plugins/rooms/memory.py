"""Rooms in the memory of one relay process; they end with it."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.secrets import below
from tallow_core.spi.rooms import Rooms, RoomsFull, RoomTaken

_FIRST: dict[int, int] = {length: 10 ** (length - 1) for length in range(4, 11)}
"""Length -> the smallest nameplate. There are nine times as many nameplates of that length."""
_RESTING_PER_ROOM = 10
"""Resting nameplates kept for each room allowed. Above that number the oldest is released early,
which bounds the memory."""


class MemoryRooms(Rooms):
    """One dictionary of open rooms, one of resting nameplates. No call waits, so each is atomic
    within the event loop."""

    name = "memory"
    preference = 10

    def __init__(self, settings: DriverSettings, max_rooms: int) -> None:
        self._limit = max_rooms
        self._open: dict[str, bytes] = {}
        self._resting: OrderedDict[str, float] = OrderedDict()
        """Nameplate to the end of its rest, in the order of freeing."""
        self._in_use: Counter[int] = Counter()
        """Open and resting nameplates by length."""

    async def open(self, wanted: str | None, token_hash: bytes, now: float) -> str:
        self._wake(now)
        if len(self._open) >= self._limit:
            raise RoomsFull("the relay has no room left: try again later, or use another relay")
        if wanted in self._open:
            raise RoomTaken("the code's number is in use on this relay: start again for a new code")
        nameplate = self._drawn() if wanted is None else wanted
        self._open[nameplate] = token_hash
        if self._resting.pop(nameplate, None) is None:  # a resting one is counted already
            self._in_use[len(nameplate)] += 1
        return nameplate

    async def owner(self, nameplate: str) -> bytes | None:
        return self._open.get(nameplate)

    async def close(self, nameplate: str, now: float) -> None:
        if self._open.pop(nameplate, None) is None:
            return
        self._resting[nameplate] = now + self.rest
        if len(self._resting) > _RESTING_PER_ROOM * self._limit:
            self._release_oldest()

    def _wake(self, now: float) -> None:
        while self._resting and next(iter(self._resting.values())) <= now:
            self._release_oldest()

    def _release_oldest(self) -> None:
        nameplate, _ = self._resting.popitem(last=False)
        self._in_use[len(nameplate)] -= 1

    def _is_free(self, nameplate: str) -> bool:
        return nameplate not in self._open and nameplate not in self._resting

    def _drawn(self) -> str:
        """A random free nameplate. At the chosen length nine of ten draws succeed at once."""
        first = _FIRST[next(filter(self._has_plenty, _FIRST), max(_FIRST))]
        while True:
            nameplate = str(first + below(9 * first))
            if self._is_free(nameplate):
                return nameplate

    def _has_plenty(self, length: int) -> bool:
        """Whether less than a tenth of the nameplates of this length is in use."""
        return self._in_use[length] * 10 < 9 * _FIRST[length]


@hookimpl
def tallow_offer_rooms() -> Iterable[type[Rooms]]:
    """Offer the driver."""
    return [MemoryRooms]

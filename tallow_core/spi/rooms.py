"""The contract of a relay's store of rooms."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from tallow_core.errors import TallowError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.driver import Driver


class RoomTaken(TallowError):
    """The wanted nameplate is in use."""

    code = "room-taken"
    exit_status = 5


class RoomsFull(TallowError):
    """The store holds its maximum of rooms."""

    code = "rooms-full"
    exit_status = 5


class Rooms(Driver):
    """The nameplates in use, each with the SHA-256 of its host's token. The token itself is not
    stored.

    Every call is atomic, also among several relays that share a store. `now` is in seconds, from a
    clock that these relays share. A store that fails raises any `TallowError` from its asynchronous
    methods; the relay reports it to its operator and refuses the host (`FULL`). A cancelled call
    either takes effect as a whole or not at all.
    """

    rest: ClassVar[float] = 3600.0
    """Seconds for which a freed nameplate is not drawn again, because a guest of the old room may
    still come. A host that asks for it by name gets it."""

    @abstractmethod
    def __init__(self, settings: DriverSettings, max_rooms: int) -> None:
        """A store of at most `max_rooms` rooms. Raises `ConfigError` for unusable settings."""

    @abstractmethod
    async def open(self, wanted: str | None, token_hash: bytes, now: float) -> str:
        """Open a room and return its nameplate: `wanted`, or a random one of the shortest length of
        which less than a tenth is in use (4 to 10 digits, no leading zero).

        Raises `RoomTaken` or `RoomsFull`. Cancelled, the room may be open; it is then in use until
        it is closed.
        """

    @abstractmethod
    async def owner(self, nameplate: str) -> bytes | None:
        """The token hash of an open room, or None. Cancelling it changes nothing."""

    @abstractmethod
    async def close(self, nameplate: str, now: float) -> None:
        """Free a room; its nameplate rests from `now`. Does nothing if the room is not open.
        Cancelled, the room is closed or not; closing it once more is safe."""

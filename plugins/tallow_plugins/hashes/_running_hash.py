"""A running hash around the object of a library that has `update` and `digest`."""

from __future__ import annotations

from typing import Protocol

from tallow_core.spi.hash import Hasher
from tallow_core.types import ReadBuffer


class State(Protocol):
    """The interface of the libraries' running hashes."""

    def update(self, data: ReadBuffer, /) -> object: ...

    def digest(self) -> bytes: ...


class RunningHash(Hasher):
    """Passes every call on to the library's hash."""

    __slots__ = ("_state",)

    def __init__(self, state: State) -> None:
        self._state = state

    def update(self, data: ReadBuffer, /) -> None:
        """See `Hasher.update`."""
        self._state.update(data)

    def digest(self) -> bytes:
        """See `Hasher.digest`."""
        return self._state.digest()

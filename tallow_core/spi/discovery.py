"""The contract of discovery: how a guest finds a host without a relay."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.driver import Driver
from tallow_core.types import Endpoint, Touch

Scope: TypeAlias = Literal["host", "link", "site", "wide"]
"""Who can find an announcement: this machine, its network segment, its site, or anybody."""


@dataclass(frozen=True, slots=True)
class Advert:
    """Who waits where: the public nameplate and at least one endpoint, best first; nothing derived
    from the words of the code, no name, no size."""

    nameplate: str
    endpoints: tuple[Endpoint, ...]


class Discovery(Driver):
    """Announces and browses.

    A driver of scope `host` is given the endpoints that are reachable on this machine alone, any
    other the rest of those that the user's settings expose; without one it is not asked to
    announce. `touches` is what it uses of the network, `reveals` says in one sentence what others
    learn from an announcement.

    The core goes on without a driver that raises anything, and warns: discovery never ends a
    transfer. Use `TallowError` for what a person can mend.
    """

    scope: ClassVar[Scope]
    touches: ClassVar[frozenset[Touch]]
    reveals: ClassVar[str]

    @abstractmethod
    def __init__(self, settings: DriverSettings) -> None:
        """Take what the driver needs of the settings; touch neither network nor files."""

    @abstractmethod
    def announce(self, advert: Advert) -> AbstractAsyncContextManager[None]:
        """Announce while the context is open; the announcement is gone when it closes, also when it
        is cancelled, and when entering is. Entering must not take longer than a few seconds."""

    @abstractmethod
    async def nameplates(self, deadline: float) -> frozenset[str]:
        """The nameplates that are announced now, as far as can be seen before `deadline` (on the
        clock of the running loop): a new code avoids them. Returns what was found by then.
        Cancelling it leaves no socket or task behind."""

    @abstractmethod
    def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        """Yield endpoints announced for `nameplate`, each once, as they appear, until cancelled.

        An answer is a hint, and may be forged: the session decides. What is malformed is passed
        over. Cancelling it, or closing the iterator, leaves no socket or task behind.
        """

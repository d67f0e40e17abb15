"""The contract of discovery: how a guest finds a host without a relay."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.driver import Driver
from tallow_core.types import Endpoint


@dataclass(frozen=True, slots=True)
class Advert:
    """Who waits where: the public nameplate and an endpoint; nothing derived from the words of the
    code, no name, no size."""

    nameplate: str
    endpoint: Endpoint


class Discovery(Driver):
    """Announces and browses. `reveals` says in one sentence what others learn from an
    announcement."""

    reveals: ClassVar[str]

    @abstractmethod
    def __init__(self, settings: DriverSettings) -> None:
        """Take what the driver needs of the settings; touch neither network nor files."""

    @abstractmethod
    def announce(self, advert: Advert) -> AbstractAsyncContextManager[None]:
        """Announce while the context is open; the announcement is gone when it closes."""

    @abstractmethod
    def nameplates(self) -> frozenset[str]:
        """The nameplates that are announced right now, as far as can be seen at once: a new code
        avoids them."""

    @abstractmethod
    def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        """Yield endpoints announced for `nameplate`, each once, as they appear, until cancelled.

        An answer is a hint, and may be forged: the session decides. What is malformed is passed
        over.
        """

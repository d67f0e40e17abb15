"""A discovery within one process: what one object announces, all objects of the class find."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.discovery import Advert, Discovery, Scope
from tallow_core.types import Endpoint, Touch

_POLL_SECONDS = 0.02


class FakeDiscovery(Discovery):
    """Announces in `adverts`, a list that belongs to the class."""

    name: ClassVar[str] = "fake-discovery"
    scope: ClassVar[Scope] = "host"
    touches: ClassVar[frozenset[Touch]] = frozenset({"local"})
    reveals: ClassVar[str] = "Nothing: it stays in this process."
    adverts: ClassVar[list[Advert]] = []

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing of the settings is needed."""

    def announce(self, advert: Advert) -> AbstractAsyncContextManager[None]:
        """See `Discovery.announce`."""
        return self._announced(advert)

    @asynccontextmanager
    async def _announced(self, advert: Advert) -> AsyncIterator[None]:
        self.adverts.append(advert)
        try:
            yield
        finally:
            self.adverts.remove(advert)

    async def nameplates(self, deadline: float) -> frozenset[str]:
        """See `Discovery.nameplates`."""
        return frozenset(advert.nameplate for advert in self.adverts)

    async def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        """See `Discovery.browse`."""
        seen: set[Endpoint] = set()
        while True:
            for advert in [each for each in self.adverts if each.nameplate == nameplate]:
                for endpoint in advert.endpoints:
                    if endpoint not in seen:
                        seen.add(endpoint)
                        yield endpoint
            await asyncio.sleep(_POLL_SECONDS)

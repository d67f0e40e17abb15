"""The contract of a resolver: how a host name becomes addresses."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.driver import Driver
from tallow_core.types import Touch


class Resolved(NamedTuple):
    """An answer: numeric addresses, best first, at least one; `dnssec` says whether the driver has
    seen the answer validated (RFC 4035)."""

    addresses: tuple[str, ...]
    dnssec: bool = False


class Resolver(Driver):
    """Looks host names up.

    The core asks it before a dial, unless the proxy of the path resolves names itself. It is never
    asked for a numeric address or a name below `.onion` (RFC 7686). `touches` is what it uses of
    the network itself; it has no `Connector`, so that one that touches more than "local" is not
    asked where a proxy is required. `reveals` says in one sentence who learns which names.
    """

    touches: ClassVar[frozenset[Touch]]
    reveals: ClassVar[str]

    @abstractmethod
    def __init__(self, settings: DriverSettings) -> None:
        """Take what the driver needs of the settings; touch neither network nor files."""

    @abstractmethod
    async def resolve(self, name: str, deadline: float) -> Resolved:
        """The addresses of `name`, a host name as the user wrote it, before `deadline` (on the
        clock of the running loop).

        A name without an address, an answer that fails validation, a server that does not answer
        and a deadline that has passed are an `UnreachableError`. Cancelling it returns at once and
        leaves no socket open; a call of the system that cannot be ended may run on, and its answer
        is dropped.
        """

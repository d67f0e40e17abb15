"""Unix-domain sockets (unix(7)): two processes that share a folder, and perhaps nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import ClassVar

from tallow_core.errors import UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.private_files import ensure_private
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.transport import Addressing, ByteStream, Listener, Transport
from tallow_core.text import printable
from tallow_core.types import Endpoint, Trust
from tallow_transport_unix.places import LONGEST, connect, listen, size_of
from tallow_transport_unix.streams import UnixListener, UnixStream


class Unix(Transport):
    """Stream sockets at a path. Not encrypted: whoever can read the memory of this machine sees
    sealed records, sizes and times."""

    name: ClassVar[str] = "unix"
    preference: ClassVar[int] = 60
    addressing: ClassVar[Addressing] = "path"
    encrypted: ClassVar[bool] = False

    def __init__(self, settings: DriverSettings) -> None:
        self._runtime = settings.directories.runtime

    def parse(self, authority: str) -> Endpoint:
        """See `Transport.parse`: an absolute path that a socket's address has room for."""
        if not authority.startswith("/") or authority.endswith("/") or "\0" in authority:
            raise _unreadable(authority, "write an absolute path, as in unix:///run/x.sock")
        if "#" in authority:
            raise _unreadable(
                authority, "unix has no certificate to pin; leave out '#' and what follows"
            )
        if size_of(authority) > LONGEST:
            raise _unreadable(
                authority,
                f"it has {size_of(authority)} bytes, and a socket's path at most {LONGEST}; take a"
                " shorter one",
            )
        return Endpoint(self.name, authority)

    def local(self) -> Endpoint:
        """See `Transport.local`: a fresh path in the runtime directory."""
        return Endpoint(self.name, str(self._runtime / f"{secrets.token_hex(8)}.sock"))

    async def dial(self, endpoint: Endpoint, deadline: float, *, trust: Trust) -> ByteStream:
        """See `Transport.dial`. `trust` has nothing to compare: who listens at a path is a matter
        of the folder it lies in."""
        return UnixStream(await connect(endpoint, deadline), endpoint.host)

    async def listen(self, endpoint: Endpoint, *, lasting: bool) -> Listener:
        """See `Transport.listen`."""
        if endpoint.host.startswith(f"{self._runtime}/"):
            ensure_private(self._runtime)
        return UnixListener(endpoint, *listen(endpoint))


def _unreadable(authority: str, advice: str) -> UsageError:
    return UsageError(f"'{printable(authority)}' is no address for unix: {advice}.")


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [Unix]

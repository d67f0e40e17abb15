"""Unix-domain sockets (unix(7)): two processes that share a folder, and perhaps nothing else."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from typing import ClassVar

from tallow_core.errors import UsageError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.private_files import ensure_private
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.connector import Connector
from tallow_core.spi.socket_streams import SocketListener, SocketStream
from tallow_core.spi.transport import Addressing, ByteStream, Listener, StreamFacts, Transport
from tallow_core.text import printable
from tallow_core.types import Endpoint, SocketAddress, Touch, Trust
from tallow_transport_unix.places import MAX_PATH_BYTES, connect, listen, remove, size_of


class UnixListener(SocketListener):
    """A listening socket, and the file that is removed with it; `made` is what the file was when it
    was made."""

    def __init__(self, endpoint: Endpoint, sock: socket.socket, made: os.stat_result) -> None:
        super().__init__(endpoint, sock, lambda caller: _stream(caller, endpoint))
        self._made: os.stat_result | None = made

    async def aclose(self) -> None:
        """See `Listener.aclose`."""
        await super().aclose()
        if self._made is not None:
            remove(self.endpoint.host, self._made)
            self._made = None


class Unix(Transport):
    """Stream sockets at a path, not encrypted."""

    name: ClassVar[str] = "unix"
    preference: ClassVar[int] = 60
    addressing: ClassVar[Addressing] = "path"
    on_this_machine: ClassVar[bool] = True
    encrypted: ClassVar[bool] = False
    touches: ClassVar[frozenset[Touch]] = frozenset({"local"})
    reveals: ClassVar[str] = (
        "Nothing to the network; a process that can read this machine's memory sees sealed records,"
        " sizes and times."
    )

    def __init__(self, settings: DriverSettings) -> None:
        self._runtime = settings.directories.runtime

    def parse(self, scheme: str, text: str) -> Endpoint:
        """See `Transport.parse`: an absolute path that a socket's address has room for."""
        if not text.startswith("/") or text.endswith("/") or "\0" in text:
            raise _unreadable(text, "write an absolute path, as in unix:///run/x.sock")
        if "#" in text:
            raise _unreadable(
                text, "unix has no certificate to pin; leave out '#' and what follows"
            )
        if size_of(text) > MAX_PATH_BYTES:
            raise _unreadable(
                text,
                f"it has {size_of(text)} bytes, and a socket's path at most {MAX_PATH_BYTES}; take"
                " a shorter one",
            )
        return Endpoint(scheme, text)

    def local(self) -> Endpoint:
        """See `Transport.local`: a fresh path in the runtime directory."""
        return Endpoint(self.name, str(self._runtime / f"{secrets.token_hex(8)}.sock"))

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        trust: Trust,
        network: Connector,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        """See `Transport.dial`. `trust` has nothing to compare: who listens at a path is a matter
        of the folder it lies in."""
        return _stream(await connect(endpoint, deadline), endpoint)

    async def listen(self, endpoint: Endpoint, *, lasting: bool, shared: bool = False) -> Listener:
        """See `Transport.listen`."""
        if endpoint.host.startswith(f"{self._runtime}/"):
            ensure_private(self._runtime)
        return UnixListener(endpoint, *listen(endpoint))


def _stream(sock: socket.socket, endpoint: Endpoint) -> ByteStream:
    """The end that dials has no address, so either end is known by the listener's path."""
    facts = StreamFacts(endpoint.host, loopback=True, encrypted=False, path="local")
    return SocketStream(sock, facts)


def _unreadable(text: str, advice: str) -> UsageError:
    return UsageError(f"'{printable(text)}' is no address for unix: {advice}")


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [Unix]

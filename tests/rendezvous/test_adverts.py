"""What discovery is given, and that nothing it does ends a transfer; and which listeners are
opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tallow_core.aio import Scope
from tallow_core.config.schema import SendSettings, Settings
from tallow_core.directories import Directories
from tallow_core.errors import ConfigError, PolicyError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.rendezvous import adverts, host_setup
from tallow_core.spi.discovery import Advert, Discovery
from tallow_core.spi.discovery import Scope as ScopeName
from tallow_core.spi.transport import Listener, Transport
from tallow_core.testing.memory_transport import MemoryTransport
from tallow_core.types import Endpoint
from tallow_plugins.transports.tcp import Tcp

HERE = Endpoint("tcp", "127.0.0.1", 1)
SOCKET = Endpoint("memory", "x")
AWAY = Endpoint("tcp", "192.0.2.1", 1)
EVERYWHERE = Endpoint("tcp", "0.0.0.0", 1)


class Announcing(Discovery):
    """Remembers what it announces."""

    name = "announcing"
    scope: ClassVar[ScopeName] = "host"
    touches = frozenset({"local"})
    reveals = "Nothing."

    def __init__(self) -> None:
        self.given: list[Advert] = []
        self.open = 0

    def announce(self, advert: Advert) -> AbstractAsyncContextManager[None]:
        self.given.append(advert)
        return self._announced()

    @asynccontextmanager
    async def _announced(self) -> AsyncIterator[None]:
        self.open += 1
        yield
        self.open -= 1

    async def nameplates(self, deadline: float) -> frozenset[str]:
        return frozenset({"4821"})

    async def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        yield HERE


class Wide(Announcing):
    name = "wide"
    scope: ClassVar[ScopeName] = "wide"
    touches = frozenset({"tcp"})


class FailsToLook(Announcing):
    name = "fails-to-look"

    async def nameplates(self, deadline: float) -> frozenset[str]:
        raise RuntimeError("no idea")


class NeverAnswers(Announcing):
    name = "never-answers"

    async def nameplates(self, deadline: float) -> frozenset[str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError


class FailsToAnnounce(Announcing):
    name = "fails-to-announce"

    def announce(self, advert: Advert) -> AbstractAsyncContextManager[None]:
        raise ConfigError("the folder is not yours")


class FailsToEnd(Announcing):
    name = "fails-to-end"

    @asynccontextmanager
    async def _announced(self) -> AsyncIterator[None]:
        yield
        raise OSError("gone")


class Closed(Tcp):
    """Cannot listen."""

    name = "closed"

    async def listen(self, endpoint: Endpoint, **how: Any) -> Listener:
        raise UnreachableError("no sockets here")


class Hiding(Tcp):
    name = "hiding"
    hides_addresses: ClassVar[bool] = True


class Dialling(Tcp):
    name = "dialling"
    roles = frozenset({"dial"})


class Surroundings:
    """As much of a context as is looked at; `warnings` is what was said."""

    def __init__(self, tmp_path: Path, *drivers: Discovery, listen: tuple[str, ...] = ()) -> None:
        self.settings = Settings(send=SendSettings(listen=listen))
        self.discoveries = list(drivers)
        self.warnings: list[str] = []
        self.listening: list[Endpoint] = []
        folders = Directories(*(tmp_path / part for part in "csdr"))
        self.transports: list[Transport] = [
            driver(DriverSettings(folders)) for driver in (Tcp, MemoryTransport)
        ]
        self.folders = folders

    @cached_property
    def scope(self) -> Scope:
        return Scope()

    @property
    def reporter(self) -> Surroundings:
        return self

    @property
    def network(self) -> Surroundings:
        return self

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def transport(self, scheme: str) -> Transport:
        return next(each for each in self.transports if scheme in each.schemes)

    def addressed(self, role: Any) -> list[Transport]:
        return [each for each in self.transports if each.addressing == "ip" and role in each.roles]

    def endpoint(self, text: str, role: str) -> Endpoint:
        scheme, separator, rest = text.partition("://")
        first = self.transports[0].schemes[0]
        return self.transport(scheme if separator else first).parse(
            scheme if separator else first, rest if separator else text
        )

    async def accept(self, *given: object) -> None:
        """Stands for the host's."""


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def test_drivers_that_fail_to_look_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adverts, "NAMEPLATES_SECONDS", 0.05)
    monkeypatch.setattr(adverts, "PATIENCE_SECONDS", 0.05)
    good = Announcing()
    context: Any = Surroundings(tmp_path, FailsToLook(), NeverAnswers(), good)
    assert run(adverts.nameplates(context)) == {"4821"}
    assert context.discoveries == [good]
    assert sorted(context.warnings) == [
        "discovery by fails-to-look is left out: RuntimeError: no idea",
        "discovery by never-answers is left out: it did not answer in time",
    ]


def test_drivers_that_fail_to_announce_are_left_out(tmp_path: Path) -> None:
    good, late = Announcing(), FailsToEnd()
    context: Any = Surroundings(tmp_path, FailsToAnnounce(), good, late)

    async def work() -> None:
        async with AsyncExitStack() as stack:
            assert await adverts.announce(context, "4821", [HERE], stack, relays=[])
            assert (good.open, context.discoveries) == (1, [good, late])
        assert (good.open, context.discoveries) == (0, [good])

    run(work())
    assert context.warnings == [
        "discovery by fails-to-announce is left out: the folder is not yours",
        "discovery by fails-to-end is left out: OSError: gone",
    ]


def test_each_scope_is_given_what_it_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener at every address is announced at each of them; nothing fitting is nothing."""
    monkeypatch.setattr(adverts, "interface_addresses", lambda: ["fd00::1", "10.0.0.7"])
    here, wide = Announcing(), Wide()
    context: Any = Surroundings(tmp_path, here, wide)

    async def work(*endpoints: Endpoint) -> bool:
        async with AsyncExitStack() as stack:
            return await adverts.announce(context, "4821", list(endpoints), stack, relays=[])

    assert run(work(HERE, SOCKET, AWAY, EVERYWHERE))
    assert here.given == [Advert("4821", (HERE, SOCKET))]
    assert wide.given == [Advert("4821", (AWAY, Endpoint("tcp", "10.0.0.7", 1)))]
    context.discoveries = [here]
    assert not run(work(AWAY))


def test_nothing_that_others_see_is_announced_beside_one_that_hides(tmp_path: Path) -> None:
    here, wide = Announcing(), Wide()
    context: Any = Surroundings(tmp_path, here, wide)
    context.transports.append(Hiding(DriverSettings(context.folders)))
    onion = Endpoint("hiding", "x.onion", 1)

    async def work(endpoints: list[Endpoint], relays: list[Endpoint]) -> None:
        async with AsyncExitStack() as stack:
            await adverts.announce(context, "4821", endpoints, stack, relays=relays)

    run(work([HERE, onion], []))
    run(work([HERE, AWAY], [onion]))
    assert wide.given == []
    assert here.given == [Advert("4821", (HERE,))] * 2
    assert adverts.drivers_beside(context, [onion]) == [here]


async def listen(context: Any, *, relayed: bool) -> None:
    async with AsyncExitStack() as stack:
        await host_setup._listen(context, context, stack, relayed=relayed)
    await context.scope.close()


@pytest.mark.sockets
def test_the_next_transport_listens_where_the_first_cannot(tmp_path: Path) -> None:
    context: Any = Surroundings(tmp_path, Announcing())
    context.transports.insert(0, Closed(DriverSettings(context.folders)))
    run(listen(context, relayed=False))
    assert [each.scheme for each in context.listening] == ["tcp"]
    assert context.warnings == []


def test_no_implicit_listener_is_a_warning_while_a_relay_remains(tmp_path: Path) -> None:
    context: Any = Surroundings(tmp_path, Announcing())
    context.transports = [Closed(DriverSettings(context.folders))]
    run(listen(context, relayed=True))
    assert context.warnings == ["not reachable on this machine itself: no sockets here"]
    with pytest.raises(UnreachableError, match="no sockets here"):
        run(listen(context, relayed=False))


def test_a_dial_only_transport_is_never_asked_to_listen(tmp_path: Path) -> None:
    context: Any = Surroundings(tmp_path, Announcing(), listen=("dialling://127.0.0.1:0",))
    context.transports.insert(0, Dialling(DriverSettings(context.folders)))
    with pytest.raises(PolicyError, match="dialling does not listen"):
        run(listen(context, relayed=True))
    context.settings = Settings()
    assert host_setup._implicit(context) == [Endpoint("tcp", "127.0.0.1", 0)]


def test_no_address_is_listened_at_beside_one_that_hides(tmp_path: Path) -> None:
    texts = ("hiding://127.0.0.1:0", "tcp://192.0.2.1:0")
    context: Any = Surroundings(tmp_path, listen=texts)
    context.transports.append(Hiding(DriverSettings(context.folders)))
    with pytest.raises(PolicyError, match=r"hiding hides where this machine is, and tcp://192"):
        run(listen(context, relayed=True))

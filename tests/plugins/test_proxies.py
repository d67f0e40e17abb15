"""Proxies and resolvers: the kit's checks over the drivers and the fakes, and drivers that break
them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import ConfigError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.resolver import Resolved
from tallow_core.testing import ConformanceError
from tallow_core.testing.checks import bounded, proxy_checks, resolver_checks
from tallow_core.testing.fake_network import FakeProxy, FakeResolver
from tallow_plugins.proxies.none import NoProxy
from tallow_plugins.proxies.socks5 import Options, Socks5
from tallow_plugins.resolvers.system import SystemResolver

pytestmark = pytest.mark.sockets


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    return DriverSettings(Directories(*(tmp_path / part for part in "csdr")))


@pytest.mark.parametrize("driver", [NoProxy, Socks5, FakeProxy])
@pytest.mark.parametrize("check", proxy_checks.CHECKS, ids=lambda check: check.__name__)
def test_proxies_conform(
    check: Callable[..., None], driver: type[Any], settings: DriverSettings
) -> None:
    check(driver, settings)


@pytest.mark.parametrize("driver", [SystemResolver, FakeResolver])
@pytest.mark.parametrize("check", resolver_checks.CHECKS, ids=lambda check: check.__name__)
def test_resolvers_conform(
    check: Callable[..., None], driver: type[Any], settings: DriverSettings
) -> None:
    check(driver, settings)


class KeepsOpen(Socks5):
    """Leaves the connection to its server open when it gives up."""

    kept: ClassVar[list[ByteStream]] = []

    async def connect(self, direct: Connector, *given: Any, **more: Any) -> Any:
        self.kept.append(await direct.connect(*given))
        raise UnreachableError("given up")


class DialsItself(FakeProxy):
    """Does not use what it is given."""

    async def connect(self, direct: Connector, *given: Any, **more: Any) -> Any:
        raise UnreachableError("not by you")


class Bursts(FakeProxy):
    """Takes nonsense for a bug."""

    async def connect(self, direct: Connector, *given: Any, **more: Any) -> Any:
        stream = await direct.connect(*given)
        await stream.aclose()
        raise ValueError("nonsense")


class WaitsForever(FakeProxy):
    """Has no deadline."""

    async def connect(self, direct: Connector, *given: Any, **more: Any) -> Any:
        stream = await direct.connect(*given)
        try:
            await stream.receive_into(bytearray(1))
        finally:
            await stream.aclose()


@pytest.mark.parametrize(
    ("driver", "check", "why"),
    [
        (KeepsOpen, proxy_checks.a_silent_server_is_left, "stays open"),
        (DialsItself, proxy_checks.a_dead_server_is_unreachable, "`direct` was not used"),
        (Bursts, proxy_checks.nonsense_is_unreachable, "raised ValueError"),
        (WaitsForever, proxy_checks.a_silent_server_is_left, "did not end in time"),
    ],
)
def test_a_broken_proxy_is_refused(
    driver: type[Any],
    check: Callable[..., None],
    why: str,
    settings: DriverSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded, "PATIENCE_SECONDS", 6.0)
    monkeypatch.setattr(proxy_checks, "SOON", 1.0)
    with pytest.raises(ConformanceError, match=why):
        check(driver, settings)
    while KeepsOpen.kept:
        if (sock := KeepsOpen.kept.pop().detach()) is not None:
            sock.close()


class Invents(FakeResolver):
    """Answers with a name."""

    async def resolve(self, name: str, deadline: float) -> Resolved:
        return Resolved(("example.org",))


def test_a_broken_resolver_is_refused(settings: DriverSettings) -> None:
    with pytest.raises(ConformanceError, match="raised nothing"):
        resolver_checks.an_unknown_name_is_unreachable(Invents, settings)
    with pytest.raises(ConformanceError, match="are not numeric"):
        resolver_checks.addresses_are_numeric(Invents, settings)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options("http://h:1"), "is no SOCKS 5 proxy"),
        (Options("h:x"), "is no address for socks5"),
        (Options(user="a"), "a user name or a password only"),
        (Options(user="a" * 256, password="b"), "at most 255"),
    ],
)
def test_options_that_cannot_work(options: Options, told: str, settings: DriverSettings) -> None:
    with pytest.raises(ConfigError, match=told):
        Socks5(settings._replace(options=options))


def test_the_password_is_not_in_the_options_text() -> None:
    assert "hunter2" not in repr(Options(password="hunter2"))

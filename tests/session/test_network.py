"""How resolver, proxy and transport are put together for a path, with drivers that only
remember."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from tallow_core.config.schema import (
    Condition,
    NetworkSettings,
    PolicySettings,
    Rule,
    Settings,
)
from tallow_core.directories import Directories
from tallow_core.errors import PolicyError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import DISCOVERY, NAT, PROXY, RESOLVER, TRANSPORT, Kind
from tallow_core.session.network import Network
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.resolver import Resolved
from tallow_core.spi.transport import Transport
from tallow_core.testing.fake_nat import FakeNat
from tallow_core.testing.fake_network import FakeProxy, FakeResolver
from tallow_core.types import Endpoint, NetworkPath, SocketAddress, Touch, Trust
from tallow_plugins.discoveries.local import Local
from tallow_plugins.nats.interfaces import Interfaces
from tallow_plugins.proxies.none import NoProxy

RELAY = NetworkPath("relay", "tls://r:1", "plain")
DIRECT = NetworkPath("direct", "plain://p:1", "plain")
LOCAL = NetworkPath("local", "plain://127.0.0.1:1", "plain")


class Plain(Transport):
    """Dials by the connector, and returns nothing."""

    name = "plain"
    encrypted: ClassVar[bool] = False
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = "Nothing."

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing is needed."""

    def parse(self, scheme: str, text: str) -> Endpoint:
        host, _, port = text.rpartition(":")
        return Endpoint(scheme, host, int(port))

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        trust: Trust,
        network: Connector,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        return await network.connect(endpoint.host, endpoint.port or 0, deadline, local=local)


class Datagrams(Plain):
    name = "datagrams"
    schemes: ClassVar[tuple[str, ...]] = ("dg", "dgs")
    encrypted: ClassVar[bool] = True
    touches: ClassVar[frozenset[Touch]] = frozenset({"udp"})


class Onion(Plain):
    name = "onion"
    hides_addresses: ClassVar[bool] = True


class LinkDiscovery(Local):
    name = "link"
    scope = "link"
    touches = frozenset({"multicast"})


class Dialled(NamedTuple):
    """What a proxy was asked."""

    proxy: str
    host: str
    isolation: str


class Remembering(FakeProxy):
    """Connects to nothing."""

    calls: ClassVar[list[Dialled]] = []

    async def connect(
        self,
        direct: Connector,
        host: str,
        port: int,
        deadline: float,
        *,
        isolation: str,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        self.calls.append(Dialled(self.name, host, isolation))
        if host == "192.0.2.1":
            raise UnreachableError(f"{host} is not there")
        return None  # type: ignore[return-value]


class Numeric(Remembering):
    name = "numeric"
    remote_names: ClassVar[bool] = False


class Names(FakeResolver):
    table: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "two.example": ("192.0.2.1", "192.0.2.2"),
        "bad.example": ("not numeric",),
    }

    async def resolve(self, name: str, deadline: float) -> Resolved:
        if name == "slow.example":
            await asyncio.Event().wait()
        return await super().resolve(name, deadline)


class AsksServers(Names):
    name = "dns"
    touches: ClassVar[frozenset[Touch]] = frozenset({"local", "tcp", "udp"})


DRIVERS: dict[str, list[type[Any]]] = {
    TRANSPORT.name: [Plain, Datagrams, Onion],
    PROXY.name: [NoProxy, Remembering, Numeric],
    RESOLVER.name: [Names, AsksServers],
    DISCOVERY.name: [Local, LinkDiscovery],
    NAT.name: [Interfaces, FakeNat],
}


class Judged(NamedTuple):
    """A verdict."""

    name: str
    driver: type[Any]
    reason: str = ""


class Stub:
    """Policy and loader over `DRIVERS`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def drivers(self, kind: Kind[Any]) -> list[type[Any]]:
        return DRIVERS[kind.name]

    def judge(self, kind: Kind[Any]) -> list[Any]:
        return [Judged(each.name, each) for each in DRIVERS[kind.name]]

    def check_name(self, kind: Kind[Any], name: str, where: str) -> None:
        assert name in [each.name for each in DRIVERS[kind.name]]

    def rule_for(self, path: NetworkPath) -> int:
        return next(
            (
                number
                for number, rule in enumerate(self._settings.policy.rule, 1)
                if rule.when.relay in (None, path.relayed)
            ),
            0,
        )

    def build(self, kind: Kind[Any], driver: type[Any]) -> Any:
        return driver(DriverSettings(self._settings.directories))

    def build_usable(self, kind: Kind[Any], drivers: list[Any], **rest: Any) -> dict[str, Any]:
        return {each.name: self.build(kind, each) for each in drivers}


@pytest.fixture(autouse=True)
def calls() -> list[Dialled]:
    Remembering.calls.clear()
    return Remembering.calls


def network(tmp_path: Path, *rules: Rule, proxy: str = "", resolver: str = "") -> Network:
    settings = Settings(
        policy=PolicySettings(rule=rules),
        network=NetworkSettings(proxy=proxy, resolver=resolver),
        directories=Directories(*(tmp_path / part for part in "csdr")),
    )
    stub: Any = Stub(settings)
    return Network(settings, stub, stub)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(5):
            return await work

    return asyncio.run(bounded())


def dial(made: Network, endpoint: Endpoint, path: NetworkPath) -> None:
    async def work() -> None:
        deadline = asyncio.get_running_loop().time() + 2
        await made.dial(endpoint, deadline, path, trust=Trust.SESSION)

    run(work())


def test_a_name_is_left_to_a_proxy_that_resolves_it(tmp_path: Path, calls: list[Dialled]) -> None:
    dial(network(tmp_path, proxy="fake-proxy"), Endpoint("plain", "x.onion", 1), RELAY)
    assert [call.host for call in calls] == ["x.onion"]


def test_another_proxy_is_given_each_address_in_turn(tmp_path: Path, calls: list[Dialled]) -> None:
    dial(network(tmp_path, proxy="numeric"), Endpoint("plain", "two.example", 1), RELAY)
    assert [call.host for call in calls] == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("x.onion", "an onion address"),
        ("X.ONION.", "an onion address"),
        ("bad.example", "knows no address of bad.example"),
        ("none.example", "is not in the table"),
    ],
)
def test_names_that_are_not_looked_up_or_not_found(
    tmp_path: Path, calls: list[Dialled], host: str, told: str
) -> None:
    for proxy in ("", "numeric"):
        with pytest.raises(UnreachableError, match=told):
            dial(network(tmp_path, proxy=proxy), Endpoint("plain", host, 1), DIRECT)
    assert calls == []


def test_destinations_and_runs_are_kept_apart(tmp_path: Path, calls: list[Dialled]) -> None:
    for made in (network(tmp_path, proxy="fake-proxy"), network(tmp_path, proxy="fake-proxy")):
        for host in ("a", "b", "a"):
            dial(made, Endpoint("plain", host, 1), RELAY)
    words = [call.isolation for call in calls]
    assert words[0] == words[2]
    assert len(set(words)) == 4
    assert all(len(word) <= 64 and word.replace("-", "").isalnum() for word in words)


def test_a_proxy_refuses_what_it_does_not_carry(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"not carry the transport datagrams \(it uses udp\)"):
        dial(network(tmp_path, proxy="fake-proxy"), Endpoint("dgs", "a", 1), RELAY)


@pytest.mark.sockets
def test_what_stays_on_this_machine_needs_no_proxy(tmp_path: Path, calls: list[Dialled]) -> None:
    with pytest.raises(UnreachableError, match="connection refused"):
        dial(network(tmp_path, proxy="fake-proxy"), Endpoint("plain", "127.0.0.1", 1), LOCAL)
    assert calls == []


def test_rules_choose_the_proxy_of_a_path(tmp_path: Path, calls: list[Dialled]) -> None:
    rule = Rule(when=Condition(relay=True), via="fake-proxy")
    made = network(tmp_path, rule, proxy="numeric")
    dial(made, Endpoint("plain", "203.0.113.1", 1), RELAY)
    dial(made, Endpoint("plain", "203.0.113.1", 1), DIRECT)
    assert [call.proxy for call in calls] == ["fake-proxy", "numeric"]


@pytest.mark.parametrize(
    ("rules", "proxy", "path", "alone"),
    [
        ((), "", RELAY, False),
        ((), "fake-proxy", RELAY, True),
        ((), "fake-proxy", LOCAL, False),
        ((Rule(when=Condition(relay=True), via="fake-proxy"),), "", RELAY, False),
        (
            (Rule(when=Condition(relay=True), via="fake-proxy", via_required=True),),
            "",
            RELAY,
            True,
        ),
        (
            (Rule(when=Condition(relay=True), via="fake-proxy", via_required=True),),
            "",
            DIRECT,
            False,
        ),
        ((), "", NetworkPath("relay", "onion://x:1", "onion"), True),
    ],
)
def test_what_nothing_may_go_beside(
    tmp_path: Path, rules: tuple[Rule, ...], proxy: str, path: NetworkPath, alone: bool
) -> None:
    assert network(tmp_path, *rules, proxy=proxy).alone(path) is alone


def by(proxy: str, *, required: bool, relay: bool = True) -> Rule:
    return Rule(when=Condition(relay=relay), via=proxy, via_required=required)


@pytest.mark.parametrize(
    ("rules", "proxy", "left"),
    [
        ((), "", 2),
        ((), "none", 2),
        ((), "fake-proxy", 1),
        ((by("fake-proxy", required=False),), "", 2),
        ((by("fake-proxy", required=True),), "", 1),
        ((by("fake-proxy", required=True, relay=False),), "", 1),
        ((by("none", required=True),), "", 2),
        ((by("none", required=True),), "fake-proxy", 1),
    ],
)
def test_a_required_proxy_leaves_out_discoveries_and_nat_drivers_beyond_this_machine(
    tmp_path: Path, rules: tuple[Rule, ...], proxy: str, left: int
) -> None:
    made = network(tmp_path, *rules, proxy=proxy)
    assert [each.name for each in made.discoveries] == ["local", "link"][:left]
    assert [each.name for each in made.nats] == ["interfaces", "fake-nat"][:left]


@pytest.mark.parametrize(
    ("rules", "proxy", "where"),
    [
        ((), "numeric", "`[network] proxy`"),
        ((by("numeric", required=True),), "", "rule 1 of `[policy]`"),
    ],
)
def test_no_resolver_is_asked_beside_a_required_proxy(
    tmp_path: Path, calls: list[Dialled], rules: tuple[Rule, ...], proxy: str, where: str
) -> None:
    made = network(tmp_path, *rules, proxy=proxy, resolver="dns")
    with pytest.raises(
        PolicyError, match=r"proxy numeric, and the resolver dns .*tcp and udp"
    ) as e:
        dial(made, Endpoint("plain", "two.example", 1), RELAY)
    assert str(e.value).startswith(where)
    dial(made, Endpoint("plain", "203.0.113.1", 1), RELAY)
    assert [call.host for call in calls] == ["203.0.113.1"]


@pytest.mark.parametrize(
    ("rules", "resolver"),
    [
        ((by("numeric", required=True),), ""),  # with a resolver that stays on this machine
        ((by("fake-proxy", required=True),), "dns"),  # the proxy resolves
        ((by("numeric", required=False),), "dns"),  # what goes beside it is allowed
    ],
)
def test_names_are_resolved_where_nothing_goes_beside_a_required_proxy(
    tmp_path: Path, calls: list[Dialled], rules: tuple[Rule, ...], resolver: str
) -> None:
    dial(network(tmp_path, *rules, resolver=resolver), Endpoint("plain", "two.example", 1), RELAY)
    assert calls


def test_schemes_are_apart_from_names(tmp_path: Path) -> None:
    made = network(tmp_path)
    assert made.transport("dgs").name == "datagrams"
    assert made.endpoint("dgs://a:1", "dial") == Endpoint("dgs", "a", 1)
    assert made.endpoint("a:1", "dial") == Endpoint("plain", "a", 1)
    assert made.endpoint("a:1", "dial", encrypted=True) == Endpoint("dg", "a", 1)
    with pytest.raises(PolicyError, match="the transport datagrams is not allowed or not in"):
        made.transport("datagrams")


@pytest.mark.parametrize("proxy", ["", "numeric"])
def test_a_resolver_that_never_answers_is_an_address_out_of_reach(
    tmp_path: Path, proxy: str
) -> None:
    """A bare TimeoutError would look like the deadline of whatever waits above."""
    made = network(tmp_path, proxy=proxy)

    async def work() -> None:
        deadline = asyncio.get_running_loop().time() + 0.05
        endpoint = Endpoint("plain", "slow.example", 1)
        await made.dial(endpoint, deadline, RELAY, trust=Trust.PEER)

    with pytest.raises(UnreachableError, match="did not answer in time"):
        run(work())


def test_a_rule_that_requires_a_proxy_keeps_discovery_on_this_machine(tmp_path: Path) -> None:
    rule = Rule(when=Condition(relay=True), via="fake-proxy", via_required=True)
    assert [each.name for each in network(tmp_path, rule).discoveries] == ["local"]
    assert [each.name for each in network(tmp_path).discoveries] == ["local", "link"]

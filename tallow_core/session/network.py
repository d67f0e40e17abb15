"""How a command reaches other machines: its transports, and for each dial a resolver and a proxy.

This is the one place where they are put together. A transport opens TCP connections by a
`Connector` and knows neither of names nor of proxies; which proxy it goes by is chosen for the
path, by the first rule of `[policy]` that matches and says `via`, else by `[network] proxy`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, get_args

from tallow_core.config.policy import Policy
from tallow_core.config.schema import Settings
from tallow_core.errors import PolicyError, UnreachableError, UsageError
from tallow_core.registry.kinds import DISCOVERY, NAT, PROXY, RESOLVER, TRANSPORT, Kind
from tallow_core.registry.loader import PluginLoader
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.discovery import Discovery
from tallow_core.spi.driver import Driver
from tallow_core.spi.proxy import Proxy
from tallow_core.spi.resolver import Resolver
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.sockets import is_numeric, unreachable
from tallow_core.spi.transport import Transport, TransportRole
from tallow_core.text import printable
from tallow_core.types import Endpoint, NetworkPath, SocketAddress, Touch, Trust

D = TypeVar("D", bound=Driver)

_ALL_TOUCHES: frozenset[Touch] = frozenset(get_args(Touch))
_HERE: frozenset[Touch] = frozenset({"local"})


class _Via(NamedTuple):
    """The proxy of a path (None connects directly), the setting that names it, and whether nothing
    may go beside it."""

    proxy: Proxy | None
    where: str
    required: bool


class Network:
    """The drivers of one command; each is built once, when it is first used."""

    def __init__(self, settings: Settings, policy: Policy, plugins: PluginLoader) -> None:
        self._settings = settings
        self._policy = policy
        self._plugins = plugins
        self._proxies: dict[str, Proxy] = {}
        self._isolation = secrets.token_hex(8)
        self._destinations: dict[tuple[str, int], int] = {}

    # -- transports ------------------------------------------------------------------------------

    @cached_property
    def transports(self) -> Mapping[str, Transport]:
        """The transports that policy allows, by name, best first; a `PolicyError` if there is
        none."""
        built = self._plugins.build_usable(
            TRANSPORT,
            self._policy.drivers(TRANSPORT),
            named=self._settings.chosen.get(TRANSPORT.name),
        )
        if not built:
            raise PolicyError(
                "policy allows no transport; allow one with [policy] transports in the config file"
            )
        return built

    def transport(self, scheme: str) -> Transport:
        """The best transport for `scheme`; a `PolicyError` if policy does not allow one."""
        for transport in self.transports.values():
            if scheme in transport.schemes:
                return transport
        known = dict.fromkeys(each for one in self.transports.values() for each in one.schemes)
        raise PolicyError(
            f"the transport {printable(scheme)} is not allowed or not installed; allowed are"
            f" {', '.join(known)}"
        )

    def endpoint(self, text: str, role: TransportRole, *, encrypted: bool = False) -> Endpoint:
        """Read `[SCHEME://]HOST:PORT...`. Without a scheme it is that of the best transport that
        has addresses and `role`, and encrypts by itself if that is asked.

        Raises `UsageError` or `PolicyError`.
        """
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = self.default_scheme(role, encrypted=encrypted), text
        if not rest:
            raise UsageError(f"{text!r} names no host; write it as HOST:PORT")
        return self.transport(scheme).parse(scheme, rest)

    def default_scheme(self, role: TransportRole, *, encrypted: bool = False) -> str:
        """The scheme of an endpoint that names none, as `endpoint` takes it."""
        fitting = [
            transport for transport in self.addressed(role) if transport.encrypted or not encrypted
        ]
        return (fitting or list(self.transports.values()))[0].schemes[0]

    def addressed(self, role: TransportRole) -> list[Transport]:
        """The transports whose endpoints are addresses and that have `role`, best first."""
        return [
            transport
            for transport in self.transports.values()
            if transport.addressing == "ip" and role in transport.roles
        ]

    # -- dialling --------------------------------------------------------------------------------

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        path: NetworkPath,
        *,
        trust: Trust,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        """Dial `endpoint`, which is on `path`, as `Transport.dial` does; a `PolicyError` where the
        proxy of the path does not carry its transport."""
        transport = self.transport(endpoint.scheme)
        if "dial" not in transport.roles:
            raise PolicyError(f"the transport {transport.name} does not dial; use another one")
        network = self._connector(transport, path)
        return await transport.dial(endpoint, deadline, trust=trust, network=network, local=local)

    def _connector(self, transport: Transport, path: NetworkPath) -> Connector:
        if path.kind == "local":
            return DirectConnector(self._resolve)
        via = self._via(path)
        if via.proxy is None:
            return DirectConnector(self._resolve)
        if not transport.touches <= via.proxy.carries | _HERE:
            beyond = " and ".join(sorted(transport.touches - via.proxy.carries - _HERE))
            raise PolicyError(
                f"{via.where} sends this path by the proxy {via.proxy.name}, which does not carry"
                f" the transport {transport.name} (it uses {beyond}); use another transport, or"
                " another proxy"
            )
        return _ProxiedConnector(self, via.proxy)

    def alone(self, path: NetworkPath) -> bool:
        """Whether nothing may go beside `path`: its transport hides where this machine is, or its
        proxy is there to do that. Then no other path is looked for, and no address given away."""
        transport = self.transports.get(path.transport)
        return (transport is not None and transport.hides_addresses) or (
            path.kind != "local" and self._via(path).required
        )

    def check(self) -> None:
        """Raise what is wrong with the names of resolver and proxies: a `ConfigError` for one that
        there is not, a `PolicyError` for one that policy does not admit."""
        if self._settings.network.resolver or self._is_restricted(RESOLVER):
            self._named_resolver()
        if self._is_restricted(NAT):
            self._policy.drivers(NAT)
        self._default_via()
        for number, rule in enumerate(self._settings.policy.rule, 1):
            if rule.via is not None:
                self._proxy(rule.via, self._rule(number))

    # -- proxies ---------------------------------------------------------------------------------

    def _via(self, path: NetworkPath) -> _Via:
        number = self._policy.rule_for(path)
        rule = self._settings.policy.rule[number - 1] if number else None
        if rule is None or rule.via is None:
            return self._default_via()
        where = self._rule(number)
        return _Via(self._proxy(rule.via, where), where, rule.via_required)

    def _default_via(self) -> _Via:
        """The proxy for every path that no rule sends elsewhere. Nothing goes around a proxy that
        does not carry everything: all else would show what it hides."""
        where = f"`[network] proxy` ({self._settings.origin('network.proxy')})"
        name = self._settings.network.proxy
        if not name and not self._is_restricted(PROXY):
            return _Via(None, where, required=False)
        if not name:
            admitted = self._policy.drivers(PROXY)
            if not admitted:
                raise PolicyError(
                    "policy allows no way to connect, not even without a proxy; allow one with"
                    " [policy] proxies in the config file"
                )
            name = admitted[0].name
        proxy = self._proxy(name, where)
        return _Via(proxy, where, proxy.carries < _ALL_TOUCHES)

    def _is_restricted(self, kind: Kind[Any]) -> bool:
        """Whether a setting narrows which drivers of `kind` there are. Without one none has to be
        loaded to know that the choice is free."""
        policy, prefix = self._settings.policy, f"{kind.name}:"
        listed: tuple[str, ...] = getattr(policy, kind.plural)
        denied = (*policy.deny, *self._settings.plugins.block)
        return listed != ("auto",) or any(each.startswith(prefix) for each in denied)

    def _proxy(self, name: str, where: str) -> Proxy:
        if name not in self._proxies:
            self._proxies[name] = self._plugins.build(PROXY, self._admitted(PROXY, name, where))
        return self._proxies[name]

    def isolation(self, host: str, port: int) -> str:
        """The isolation key for one destination. It keeps connections to it apart from those to
        others and of other runs."""
        number = self._destinations.setdefault((host, port), len(self._destinations))
        return f"{self._isolation}-{number}"

    # -- names -----------------------------------------------------------------------------------

    @cached_property
    def _resolver(self) -> Resolver:
        return self._plugins.build(RESOLVER, self._named_resolver())

    def _named_resolver(self) -> type[Resolver]:
        if name := self._settings.network.resolver:
            where = f"`[network] resolver` ({self._settings.origin('network.resolver')})"
            return self._admitted(RESOLVER, name, where)
        admitted = self._policy.drivers(RESOLVER)
        if not admitted:
            raise PolicyError(
                "policy allows no resolver of names; allow one with [policy] resolvers in the"
                " config file"
            )
        return admitted[0]

    async def _resolve(self, host: str, deadline: float) -> tuple[str, ...]:
        return await self.resolve(host, deadline)

    async def resolve(self, host: str, deadline: float) -> tuple[str, ...]:
        """The addresses of `host`; an onion name (RFC 7686) is never looked up."""
        if is_numeric(host):
            return (host,)
        if host.rstrip(".").lower().endswith(".onion"):
            raise UnreachableError(
                f"{printable(host)} is an onion address, which only a proxy into that network"
                " reaches"
            ).then("choose a proxy")
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._resolver.resolve(host, deadline)
        except OSError as error:  # a TimeoutError is one
            raise unreachable(host, error) from error
        addresses = tuple(found.addresses)
        if not addresses or not all(map(is_numeric, addresses)):
            raise UnreachableError(
                f"the resolver {self._resolver.name} knows no address of {printable(host)}; check"
                " the name"
            )
        return addresses

    # -- discoveries -----------------------------------------------------------------------------

    @cached_property
    def discoveries(self) -> list[Discovery]:
        """The discovery drivers that policy allows and that no proxy forbids."""
        beyond = self._default_via().required or any(
            rule.via is not None and rule.via_required for rule in self._settings.policy.rule
        )
        fitting = [
            driver
            for driver in self._policy.drivers(DISCOVERY)
            if driver.touches <= _HERE or not beyond
        ]
        return [*self._plugins.build_usable(DISCOVERY, fitting, needed=False).values()]

    # -- drivers ---------------------------------------------------------------------------------

    def _admitted(self, kind: Kind[D], name: str, where: str) -> type[D]:
        self._policy.check_name(kind, name, where)
        verdicts = [each for each in self._policy.judge(kind) if each.name == name]
        for verdict in verdicts:
            if verdict.driver is not None:
                return verdict.driver
        reason = verdicts[0].reason if verdicts else "not allowed"
        raise PolicyError(
            f"{where} names the {kind.name} {printable(name)}, which is {reason}; choose another"
            " one, or allow it in the config file"
        )

    def _rule(self, number: int) -> str:
        return f"rule {number} of `[policy]` ({self._settings.origin('policy.rule')})"


class _ProxiedConnector(Connector):
    """TCP by a proxy. Names are resolved here, unless the proxy does it at its end."""

    def __init__(self, network: Network, proxy: Proxy) -> None:
        self._network = network
        self._proxy = proxy
        self._direct = DirectConnector(network.resolve)

    async def connect(
        self, host: str, port: int, deadline: float, *, local: SocketAddress | None = None
    ) -> ByteStream:
        """See `Connector.connect`."""
        isolation = self._network.isolation(host, port)
        if self._proxy.remote_names or is_numeric(host):
            return await self._proxy.connect(
                self._direct, host, port, deadline, isolation=isolation, local=local
            )
        loop = asyncio.get_running_loop()
        addresses = await self._network.resolve(host, deadline)
        failure = UnreachableError("it has no address")
        for position, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - position)
            try:
                return await self._proxy.connect(
                    self._direct,
                    address,
                    port,
                    loop.time() + share,
                    isolation=isolation,
                    local=local,
                )
            except UnreachableError as error:
                failure = error
        raise UnreachableError(f"{printable(host)}: {failure}")

    async def resolve(self, host: str, deadline: float) -> tuple[str, ...]:
        """See `Connector.resolve`."""
        if self._proxy.remote_names and not is_numeric(host):
            raise PolicyError(
                f"{printable(host)} is not looked up: the proxy {self._proxy.name} resolves names"
                " itself; use a transport that dials TCP"
            )
        return await self._network.resolve(host, deadline)

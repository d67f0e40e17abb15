"""How a command reaches other machines: its transports, and for each dial a resolver and a proxy.

This is the one place where they are put together. A transport opens TCP connections by a
`Connector` and knows neither of names nor of proxies; which proxy it goes by is chosen for the
path, by the first rule of `[policy]` that matches and says `via`, else by `[network] proxy`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args

from tallow_core.config.policy import Policy
from tallow_core.config.schema import Settings
from tallow_core.errors import PolicyError, UnreachableError, UsageError
from tallow_core.registry.kinds import DISCOVERY, NAT, PROXY, RESOLVER, TRANSPORT, Kind
from tallow_core.registry.loader import PluginLoader
from tallow_core.session.proxied_connector import ProxiedConnector
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

if TYPE_CHECKING:
    from tallow_core.spi.nat import Nat

D = TypeVar("D", bound=Driver)
B = TypeVar("B", "Discovery", "Nat")

_ALL_TOUCHES: frozenset[Touch] = frozenset(get_args(Touch))
_HERE: frozenset[Touch] = frozenset({"local"})


class _Via(NamedTuple):
    """The proxy of a path (None connects directly), the setting that names it, and whether nothing
    may go beside it."""

    proxy: Proxy | None
    where: str
    required: bool

    @property
    def hides(self) -> bool:
        """Whether this machine may use the network by the proxy alone. One that carries everything
        (`none`) hides nothing."""
        return self.required and self.proxy is not None and self.proxy.carries < _ALL_TOUCHES


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
        return ProxiedConnector(
            via.proxy, self.isolation, self.resolve, partial(self.resolve, via=via)
        )

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
        return self._via_of(self._policy.rule_for(path))

    def _via_of(self, number: int) -> _Via:
        """As the rule of this number says, counted from 1; 0 stands for no rule."""
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

    async def resolve(
        self, host: str, deadline: float, *, via: _Via | None = None
    ) -> tuple[str, ...]:
        """The addresses of `host`, which is dialled by `via`; an onion name (RFC 7686) is never
        looked up. A `PolicyError` where the resolver would be asked beside a required proxy."""
        if is_numeric(host):
            return (host,)
        if host.rstrip(".").lower().endswith(".onion"):
            raise UnreachableError(
                f"{printable(host)} is an onion address, which only a proxy into that network"
                " reaches"
            ).then("choose a proxy")
        if via is not None and via.hides:
            self._check_resolver(via)
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

    def _check_resolver(self, via: _Via) -> None:
        """A resolver has no `Connector`: the proxy carries nothing of what it uses."""
        beyond = self._resolver.touches - _HERE
        if beyond:
            assert via.proxy is not None
            raise PolicyError(
                f"{via.where} sends this path by the proxy {via.proxy.name}, and the resolver"
                f" {self._resolver.name} would be asked beside it (it uses"
                f" {' and '.join(sorted(beyond))}); use a numeric address, a proxy that resolves"
                " names, or a resolver that stays on this machine"
            )

    # -- discoveries and nat drivers -------------------------------------------------------------

    @cached_property
    def discoveries(self) -> list[Discovery]:
        """The discovery drivers that policy allows and that no required proxy forbids."""
        fitting = self._beside_proxies(self._policy.drivers(DISCOVERY))
        return [*self._plugins.build_usable(DISCOVERY, fitting, needed=False).values()]

    @cached_property
    def nats(self) -> list[Nat]:
        """The nat drivers that policy allows and that no required proxy forbids, best first."""
        fitting = self._beside_proxies(self._policy.drivers(NAT))
        return [*self._plugins.build_usable(NAT, fitting, needed=False).values()]

    def _beside_proxies(self, drivers: Sequence[type[B]]) -> list[type[B]]:
        """Of `drivers`, where any path has a required proxy, those that stay on this machine."""
        beyond = not self._hides()
        return [driver for driver in drivers if beyond or driver.touches <= _HERE]

    def _hides(self) -> bool:
        rules = enumerate(self._settings.policy.rule, 1)
        required = [self._via_of(number) for number, rule in rules if rule.via_required]
        return any(via.hides for via in [self._default_via(), *required])

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

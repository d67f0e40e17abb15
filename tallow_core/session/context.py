"""What a running command works with: settings, plugins, policy, and where to report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from tallow_core.config.policy import Policy
from tallow_core.config.schema import Settings
from tallow_core.errors import ConfigError, PolicyError, UsageError
from tallow_core.event_fields import for_plugins
from tallow_core.events import Event, Reporter
from tallow_core.protocol.handshake.suite_offer import Drivers
from tallow_core.registry.kinds import DISCOVERY, SUITE_KINDS, TRANSPORT
from tallow_core.registry.loader import PluginLoader
from tallow_core.spi.discovery import Discovery
from tallow_core.spi.transport import Transport
from tallow_core.types import Endpoint, NetworkPath


@dataclass(eq=False, repr=False)
class Context:
    """Handed to everything from `session` up; holds no state of a transfer."""

    settings: Settings
    plugins: PluginLoader
    policy: Policy
    reporter: Reporter

    def report(self, event: Event) -> None:
        """Report an event to the reporter and to observing plugins."""
        self.reporter.emit(event)
        if self.plugins.observed:
            self.plugins.observe(for_plugins(event))

    def drivers(self, path: NetworkPath) -> Drivers:
        """For each kind that two peers agree on, the drivers that policy allows on `path`, best
        first; a `PolicyError` if a rule leaves none there."""
        offers = self.policy.offers(path)
        return {
            kind.name: {
                driver.name: driver
                for driver in self.policy.drivers(kind, path)
                if driver.name in offers[kind.name]
            }
            for kind in SUITE_KINDS
        }

    def admits(self, suite: Mapping[str, str], path: NetworkPath) -> bool:
        """Whether policy lets a session with `suite` use a path like `path`: a rule may admit less
        there than where the session began."""
        try:
            offers = self.policy.offers(path)
        except PolicyError:
            return False
        return all(name in offers[kind] for kind, name in suite.items() if kind in offers)

    @cached_property
    def transports(self) -> Mapping[str, Transport]:
        """The stream transports that policy allows, best first."""
        drivers = [each for each in self.policy.drivers(TRANSPORT) if each.shape == "stream"]
        named = self.settings.chosen.get(TRANSPORT.name)
        built = self.plugins.build_usable(TRANSPORT, drivers, named=named)
        if not built:
            raise PolicyError(
                "policy allows no transport; allow one with [policy] transports in the config file"
            )
        return built

    @property
    def hidden(self) -> bool:
        """Whether no address of this machine may be given away: the profile or `[relay] only` says
        so."""
        return self.policy.limits.hidden or self.settings.relay.only

    @cached_property
    def discoveries(self) -> list[Discovery]:
        """The discovery drivers that policy allows; none where no address of this machine may be
        given away."""
        if self.hidden:
            return []
        drivers = self.policy.drivers(DISCOVERY)
        return [*self.plugins.build_usable(DISCOVERY, drivers, needed=False).values()]

    def announced(self) -> frozenset[str]:
        """The nameplates that discovery sees now. A driver that cannot look (`ConfigError`) is left
        out from then on, with a warning."""
        found: set[str] = set()
        for driver in list(self.discoveries):
            try:
                found |= driver.nameplates()
            except ConfigError as error:
                self.reporter.warn(f"discovery by {driver.name} is left out: {error}")
                self.discoveries.remove(driver)
        return frozenset(found)

    def transport(self, scheme: str) -> Transport:
        """The transport for `scheme`; raises `PolicyError` if policy does not allow it."""
        try:
            return self.transports[scheme]
        except KeyError:
            raise PolicyError(
                f"the transport {scheme} is not allowed or not installed; allowed are"
                f" {', '.join(self.transports)}"
            ) from None

    def endpoint(self, text: str, default: str) -> Endpoint:
        """Read `[SCHEME://]HOST:PORT[#sha256=PIN]`; raises `UsageError` or `PolicyError`."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = default, text
        if not rest:
            raise UsageError(f"{text!r} names no host; write it as HOST:PORT")
        return self.transport(scheme).parse(rest)

    def veto_suite(self, suite: Mapping[str, str]) -> str | None:
        """Ask every plugin whether it refuses `suite`."""
        return self.plugins.veto("tallow_veto_suite", suite=suite)

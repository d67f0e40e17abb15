"""The context of a running command: settings, plugins, policy, and the reporter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tallow_core.config.policy import Policy
from tallow_core.config.schema import Settings
from tallow_core.errors import PolicyError
from tallow_core.event_fields import for_plugins
from tallow_core.events import Event, Reporter
from tallow_core.protocol.handshake.suite_offer import Drivers
from tallow_core.registry.kinds import SUITE_KINDS
from tallow_core.registry.loader import PluginLoader
from tallow_core.session.network import Network
from tallow_core.spi.discovery import Discovery
from tallow_core.types import NetworkPath

if TYPE_CHECKING:
    from tallow_core.spi.nat import Nat


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
        """The drivers that policy allows on `path`, best first, for each kind that two peers agree
        on. Raises `PolicyError` if a rule leaves none there."""
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
    def network(self) -> Network:
        """The network through which this command reaches other machines."""
        return Network(self.settings, self.policy, self.plugins)

    @property
    def hidden(self) -> bool:
        """Whether no address of this machine may be given away: the profile or `[relay] only` says
        so."""
        return self.policy.limits.hidden or self.settings.relay.only

    @cached_property
    def discoveries(self) -> list[Discovery]:
        """The discovery drivers in use, without those that have failed; none where no address of
        this machine may be given away."""
        return [] if self.hidden else self.network.discoveries

    @cached_property
    def nats(self) -> list[Nat]:
        """The nat drivers that policy allows and that no required proxy forbids, best first; none
        where no address of this machine may be given away."""
        return [] if self.hidden else self.network.nats

    def veto_suite(self, suite: Mapping[str, str]) -> str | None:
        """Ask every plugin whether it refuses `suite`."""
        return self.plugins.veto("tallow_veto_suite", suite=suite)

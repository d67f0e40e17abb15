"""Policy: which drivers may be used, in which order, at which minimum strength; and why.

A list in `[policy]` orders and narrows; `auto` in it stands for the drivers it does not name. `require` asks every KEM, cipher and hash for
labels. A flag chooses among what is left: it may name any driver that is allowed and carries the labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from tallow_core.catalog import FIRST_PARTY, LEFT_OUT, Entry, canonical
from tallow_core.errors import ConfigError, PolicyError
from tallow_core.host import PluginHost
from tallow_core.kinds import CIPHER, HASH, KEM, SUITE_KINDS, Kind
from tallow_core.profiles import PROFILES, Limits
from tallow_core.settings import Settings, nearest
from tallow_core.spi.driver import Driver
from tallow_core.text import printable

D = TypeVar("D")

MOST_OFFERED = 16
"""How many names an offer lists for one kind at most (docs/protocol/session.md)."""

_GRADED = frozenset({KEM.name, CIPHER.name, HASH.name})
"""The kinds that `require` applies to. No authenticator by a code phrase is post-quantum, and the documentation says so."""


@dataclass(frozen=True, slots=True)
class _Verdict(Generic[D]):
    """`driver` is None where policy leaves the driver out; `reason` explains either."""

    name: str
    driver: type[D] | None
    reason: str


class Policy:
    """Applies the settings to what the host can load. Answers are kept: drivers are loaded once."""

    def __init__(self, host: PluginHost, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._verdicts: dict[str, list[_Verdict[Any]]] = {}

    @property
    def limits(self) -> Limits:
        """The limits of the profile, made stricter where the settings are."""
        limits, session = PROFILES[self._settings.policy.profile].limits, self._settings.session
        return replace(
            limits,
            rekey_bytes=min(limits.rekey_bytes, session.rekey_bytes),
            rekey_seconds=min(limits.rekey_seconds, session.rekey_seconds),
        )

    def drivers(self, kind: Kind[D]) -> tuple[type[D], ...]:
        """The drivers that may be used, best first.

        Raises `ConfigError` for a setting that names an unknown driver, `PolicyError` for a flag that names one that `require`
        leaves out, `PluginError` for a named one that is blocked or broken. A broken one that nothing names is only left out.
        """
        return tuple(verdict.driver for verdict in self._judge(kind) if verdict.driver is not None)

    def offers(self) -> dict[str, tuple[str, ...]]:
        """Kind -> names, best first, for all kinds of a suite. A `PolicyError` explains a kind for which nothing is left."""
        return {kind.name: self._offer(kind) for kind in SUITE_KINDS}

    def explain(self, kind: Kind[Any]) -> list[tuple[str, bool, str]]:
        """Every installed driver of `kind`: name, whether it may be used, and why; those that may come first, best first."""
        verdicts = sorted(self._judge(kind), key=lambda verdict: verdict.driver is None)
        return [(verdict.name, verdict.driver is not None, verdict.reason) for verdict in verdicts]

    def _offer(self, kind: Kind[Any]) -> tuple[str, ...]:
        names = tuple(cast("type[Driver]", driver).name for driver in self.drivers(kind))
        if not names:
            left_out = "; ".join(f"{name}: {reason}" for name, _, reason in self.explain(kind)) or "none is installed"
            raise PolicyError(f"policy leaves no {kind.name} to use ({left_out})")
        return names[:MOST_OFFERED]

    def _judge(self, kind: Kind[D]) -> list[_Verdict[D]]:
        if kind.name not in self._verdicts:
            self._verdicts[kind.name] = self._judge_now(kind)
        return self._verdicts[kind.name]

    def _judge_now(self, kind: Kind[D]) -> list[_Verdict[D]]:
        listed = dict.fromkeys(self._listed(kind))
        entries = {entry.name: entry for entry in self._host.catalog.entries(kind) if entry.state in ("allowed", "duplicate")}
        named = {name: self._named(kind, name) for name in listed if name != "auto"}
        rest = [name for name in entries if name not in named]
        verdicts: list[_Verdict[D]] = []
        for name in listed:
            verdicts += self._automatic(kind, rest, entries) if name == "auto" else [named[name]]
        if "auto" not in listed:
            verdicts += [_Verdict(name, None, f"not listed in {self._where(kind)}") for name in rest]
        refused = [entry for entry in self._host.catalog.entries(kind) if entry.state in LEFT_OUT]
        return verdicts + [_Verdict(printable(entry.name), None, self._host.catalog.reason(entry)) for entry in refused]

    def _listed(self, kind: Kind[Any]) -> tuple[str, ...]:
        # Rooms and commands have no order to choose: all that are allowed.
        return cast("tuple[str, ...]", getattr(self._settings.policy, kind.plural, ("auto",)))

    def _named(self, kind: Kind[D], name: str) -> _Verdict[D]:
        known = [entry.name for entry in self._host.catalog.entries(kind)]
        if name not in known:
            raise ConfigError(f'there is no {kind.name} "{printable(name)}", which {self._where(kind)} names{nearest(name, known)}')
        driver = self._host.load(kind, name)
        missing = self._missing(kind, driver)
        if missing and self._origin(kind) == "flag":
            raise PolicyError(
                f"the {kind.name} {name} is not {missing}, which {self._required()} asks for;"
                f" to allow it, write `[policy] require = []` in {printable(str(self._settings.file_to_write))}"
            )
        return self._verdict(name, driver, missing, f"named by {self._where(kind)}")

    def _automatic(self, kind: Kind[D], names: list[str], entries: dict[str, Entry]) -> list[_Verdict[D]]:
        loaded = {name: self._host.attempt(kind, name) for name in names}

        def rank(name: str) -> tuple[bool, int, str]:
            preference = cast("type[Driver]", loaded[name]).preference if loaded[name] else 0
            return canonical(entries[name].distribution) != FIRST_PARTY, preference, name

        return [self._automatic_verdict(kind, name, loaded[name]) for name in sorted(names, key=rank)]

    def _automatic_verdict(self, kind: Kind[D], name: str, driver: type[D] | None) -> _Verdict[D]:
        if driver is None:
            failures = self._host.failures
            return _Verdict(name, None, next(each.message for each in failures if (each.kind, each.name) == (kind.name, name)))
        return self._verdict(name, driver, self._missing(kind, driver), f"in the automatic order ({self._where(kind)})")

    def _verdict(self, name: str, driver: type[D], missing: str, reason: str) -> _Verdict[D]:
        if missing:
            return _Verdict(name, None, f"not {missing}, which {self._required()} asks for")
        return _Verdict(name, driver, reason)

    def _missing(self, kind: Kind[Any], driver: type[Any]) -> str:
        """The required labels that the driver lacks, as text; "" if it has them all or needs none."""
        if kind.name not in _GRADED:
            return ""
        labels = cast("type[Driver]", driver).labels
        return " and ".join(printable(label) for label in self._settings.policy.require if label not in labels)

    def _origin(self, kind: Kind[Any]) -> str:
        return self._settings.origin(f"policy.{kind.plural}")

    def _where(self, kind: Kind[Any]) -> str:
        """The setting that lists drivers of `kind` and where it came from, for messages."""
        origin = self._origin(kind)
        return f"the flag --{kind.name}" if origin == "flag" else f"`[policy] {kind.plural}` ({origin})"

    def _required(self) -> str:
        return f"`[policy] require` ({self._settings.origin('policy.require')})"

"""Policy: which drivers may be used, in which order, at which minimum strength; and why.

What stands in `[policy]` is applied in this order, and each step only takes away: the lists (`auto`
in one stands for the drivers it does not name), `deny`, the profile, a driver that a flag chose,
the labels of `require`, and then the first rule that matches the path. So a flag chooses among what
policy admits, and a rule narrows and never widens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar, cast

from tallow_core.config import calibration
from tallow_core.config.profiles import PROFILES, Limits
from tallow_core.config.schema import Condition, Rule, Settings
from tallow_core.errors import ConfigError, PolicyError
from tallow_core.registry.catalog import FIRST_PARTY, LEFT_OUT, Entry, canonical
from tallow_core.registry.kinds import (
    CIPHER,
    HASH,
    KEM,
    KINDS,
    SIGNATURE,
    SUITE_KINDS,
    TRANSPORT,
    Kind,
)
from tallow_core.registry.loader import PluginLoader
from tallow_core.spi.driver import Driver
from tallow_core.text import nearest, printable

D = TypeVar("D")

MOST_OFFERED = 16
"""How many names an offer lists for one kind at most (docs/protocol/handshake.md)."""

GRADED: Mapping[str, frozenset[str]] = {"hybrid": frozenset({KEM.name, SIGNATURE.name})}
"""Label -> the kinds that must carry it where it is required; a label that is not listed is asked
of all of `_BY_DEFAULT`."""
_BY_DEFAULT = frozenset({KEM.name, CIPHER.name, HASH.name, SIGNATURE.name})
"""No authenticator by a code phrase is post-quantum, and the documentation says so. A compressor
protects nothing."""


class Route(NamedTuple):
    """What rules look at: the transport of a path at this end, and whether a relay is on it."""

    transport: str
    relay: bool


class Verdict(NamedTuple, Generic[D]):
    """What policy says of one installed driver: `driver` is None where it is left out. `reason`
    explains either; `remedy` says what to write so that it would be admitted, "" where nothing in
    `[policy]` would."""

    name: str
    driver: type[D] | None
    reason: str
    remedy: str = ""


class Policy:
    """Applies the settings to what the host can load. Answers are kept: drivers are loaded once."""

    def __init__(self, host: PluginLoader, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._policy = settings.policy
        self._profile = PROFILES[settings.policy.profile]
        self._verdicts: dict[tuple[str, int], list[Verdict[Any]]] = {}

    @property
    def limits(self) -> Limits:
        """The limits of the profile, made stricter where the settings are."""
        limits, session = self._profile.limits, self._settings.session
        return limits._replace(
            rekey_bytes=min(limits.rekey_bytes, session.rekey_bytes),
            rekey_seconds=min(limits.rekey_seconds, session.rekey_seconds),
        )

    def drivers(self, kind: Kind[D], route: Route | None = None) -> tuple[type[D], ...]:
        """The drivers that may be used, on `route` or (None) where no rule matches; best first.

        Raises `ConfigError` for a setting or flag that names an unknown driver, `PolicyError` for a
        flag that names one that policy does not admit, `PluginError` for a named one that is
        blocked or broken. A broken one that nothing names is only left out.
        """
        return tuple(
            verdict.driver for verdict in self.judge(kind, route) if verdict.driver is not None
        )

    def offers(self, route: Route | None = None) -> dict[str, tuple[str, ...]]:
        """Kind -> names, best first, for all kinds of a suite. A `PolicyError` explains a kind for
        which nothing is left."""
        return {kind.name: self._offer(kind, route) for kind in SUITE_KINDS}

    def judge(self, kind: Kind[D], route: Route | None = None) -> list[Verdict[D]]:
        """The verdict on every installed driver of `kind`: those that may be used first, best
        first. Raises as `drivers` does."""
        return self._under_rule(kind, self.rule_for(route))

    def _under_rule(self, kind: Kind[D], number: int) -> list[Verdict[D]]:
        key = kind.name, number
        if key not in self._verdicts:
            self._verdicts[key] = self._narrowed(kind, number) if number else self._judge(kind)
        return self._verdicts[key]

    def rule_for(self, route: Route | None) -> int:
        """The number, from 1, of the first rule that matches `route`; 0 if none does."""
        if route is None:
            return 0
        return next(
            (number for number, rule in enumerate(self._policy.rule, 1) if _matches(rule, route)), 0
        )

    def demand(self) -> None:
        """Raise what `offers` raises for any path at all, so that it is said at the start: a rule
        that leaves nothing is an error, not a path that silently never works."""
        self.offers()
        # also those that nothing here needs now: a mistyped name would be found when it is too late
        for each in KINDS:
            self._check_names(each)
        for number, rule in enumerate(self._policy.rule, 1):
            if rule.when.transport is not None:
                self.check_name(TRANSPORT, rule.when.transport, f"rule {number} of `[policy]`")
            for kind in SUITE_KINDS:
                # A flag that a rule does not admit closes the paths of that rule, not the program;
                # unless that is every path.
                if kind.name not in self._settings.chosen or rule.when == Condition():
                    self._require_some(kind, self._under_rule(kind, number), number)

    def order(self, kind: Kind[Any]) -> str:
        """The setting that orders drivers of `kind` and where it came from, for messages."""
        return f"`[policy] {kind.plural}` ({self._settings.origin(f'policy.{kind.plural}')})"

    # -- what stands in [policy] -----------------------------------------------------------------

    def _offer(self, kind: Kind[Any], route: Route | None) -> tuple[str, ...]:
        verdicts = self.judge(kind, route)
        self._require_some(kind, verdicts, self.rule_for(route))
        return tuple(verdict.name for verdict in verdicts if verdict.driver is not None)[
            :MOST_OFFERED
        ]

    def _require_some(self, kind: Kind[Any], verdicts: list[Verdict[Any]], rule: int) -> None:
        if not any(verdict.driver is not None for verdict in verdicts):
            left_out = (
                "; ".join(f"{verdict.name}: {verdict.reason}" for verdict in verdicts)
                or "none is installed"
            )
            who = (
                f"rule {rule} of `[policy]` ({self._settings.origin('policy.rule')})"
                if rule
                else "policy"
            )
            raise PolicyError(
                f"{who} leaves no {kind.name} to use ({left_out}){self._misspelt_label()}"
            )

    def _misspelt_label(self) -> str:
        """A label that no driver can carry is probably mistyped."""
        known = {
            label
            for verdicts in self._verdicts.values()
            for each in verdicts
            if each.driver
            for label in each.driver.labels
        }
        known |= {label for profile in PROFILES.values() for label in profile.require} | {
            "post-quantum"
        }
        required = (
            *self._policy.require,
            *(label for rule in self._policy.rule for label in rule.require),
        )
        asked = [label for label in required if label not in known]
        return next(
            (
                f"; no driver has the label {printable(label)}{near}"
                for label in asked
                if (near := nearest(label, known))
            ),
            "",
        )

    def _judge(self, kind: Kind[D]) -> list[Verdict[D]]:
        entries = {
            entry.name: entry
            for entry in self._host.catalog.entries(kind)
            if entry.state in ("allowed", "duplicate")
        }
        listed = dict.fromkeys(self._listed(kind))
        self._check_names(kind)
        verdicts: list[Verdict[D]] = []
        for name in listed:
            verdicts += (
                self._automatic(kind, [each for each in entries if each not in listed])
                if name == "auto"
                else [self._named(kind, name)]
            )
        if "auto" not in listed:
            unlisted = [name for name in entries if name not in listed]
            verdicts += [
                Verdict(
                    name, None, f"not listed in {self.order(kind)}", self._line(kind.plural, name)
                )
                for name in unlisted
            ]
        refused = [entry for entry in self._host.catalog.entries(kind) if entry.state in LEFT_OUT]
        verdicts += [
            Verdict(printable(entry.name), None, self._host.catalog.reason(entry))
            for entry in refused
            if entry.name not in listed
        ]
        self._check_chosen(kind, verdicts)
        return _best_first(verdicts)

    def _listed(self, kind: Kind[Any]) -> tuple[str, ...]:
        # Rooms and commands have no order to choose: all that are allowed.
        return cast("tuple[str, ...]", getattr(self._policy, kind.plural, ("auto",)))

    def check_name(self, kind: Kind[Any], name: str, where: str) -> None:
        """Raise `ConfigError` with the nearest name if no driver of `kind` is called `name`;
        `where` says what names it."""
        known = [entry.name for entry in self._host.catalog.entries(kind)]
        if name not in known:
            raise ConfigError(
                f'there is no {kind.name} "{printable(name)}", which {where}'
                f" names{nearest(name, known)}"
            )

    def _check_names(self, kind: Kind[Any]) -> None:
        """What lists and `deny` name must be there: a mistyped name in `deny` would deny
        nothing."""
        for name in self._listed(kind):
            if name != "auto":
                self.check_name(kind, name, self.order(kind))
        rules = [
            (rule.deny, f"rule {number} of `[policy]`")
            for number, rule in enumerate(self._policy.rule, 1)
        ]
        for denied, where in [(self._policy.deny, self._setting("deny")), *rules]:
            for name in (
                item.removeprefix(f"{kind.name}:")
                for item in denied
                if item.startswith(f"{kind.name}:")
            ):
                self.check_name(kind, name, where)

    def _check_chosen(self, kind: Kind[Any], verdicts: list[Verdict[Any]]) -> None:
        """A flag that names what policy does not admit says what to write."""
        name = self._settings.chosen.get(kind.name)
        if name is None:
            return
        self.check_name(kind, name, f"the flag --{kind.name}")
        verdict = next((each for each in verdicts if each.name == name), None)
        if verdict is None or (verdict.driver is None and not verdict.remedy):
            self._host.load(kind, name)  # raises: it is blocked or broken
        if verdict is not None and verdict.driver is None:
            file = printable(str(self._settings.file_to_write))
            raise PolicyError(
                f"the {kind.name} {name} is {verdict.reason}; to allow it, {verdict.remedy} in"
                f" {file}"
            )

    def _named(self, kind: Kind[D], name: str) -> Verdict[D]:
        verdict = self._by_name(kind, name)
        return verdict or self._graded(
            kind, name, self._host.load(kind, name), f"named by {self.order(kind)}"
        )

    def _automatic(self, kind: Kind[D], names: list[str]) -> list[Verdict[D]]:
        """The drivers that no list orders: first-party ones first, then by preference and name."""
        left_out = [verdict for name in names if (verdict := self._by_name(kind, name))]
        rest = [name for name in names if name not in {verdict.name for verdict in left_out}]
        loaded = {name: self._host.attempt(kind, name) for name in rest}
        broken: list[Verdict[D]] = [
            Verdict(name, None, self._failure(kind, name)) for name in rest if loaded[name] is None
        ]
        usable = {name: driver for name, driver in loaded.items() if driver is not None}
        how = "fastest here first" if self._is_measured(kind) else "by preference"
        why = f"in the automatic order, {how} ({self.order(kind)})"
        ranked = sorted(usable, key=self._rank(kind, usable))
        return [self._graded(kind, name, usable[name], why) for name in ranked] + broken + left_out

    def _rank(
        self, kind: Kind[Any], drivers: Mapping[str, type[Any]]
    ) -> Callable[[str], tuple[bool, float, str]]:
        # Only of what may be loaded: a blocked driver of the same name must not change the place of
        # an allowed one.
        owners: dict[str, Entry] = {
            entry.name: entry
            for entry in self._host.catalog.entries(kind)
            if entry.state == "allowed"
        }
        costs = self._costs(kind, drivers)

        def rank(name: str) -> tuple[bool, float, str]:
            return canonical(owners[name].distribution) != FIRST_PARTY, costs[name], name

        return rank

    def _costs(self, kind: Kind[Any], drivers: Mapping[str, type[Any]]) -> Mapping[str, float]:
        """What orders drivers that no list orders, least first: the time they take here, for
        ciphers and with the profile `fast` for KEMs and hashes too; else the preference that each
        states."""
        if self._is_measured(kind) and len(drivers) > 1:
            return calibration.speeds(
                kind.name, list(drivers.values()), self._settings.directories.state
            )
        return {name: cast("type[Driver]", driver).preference for name, driver in drivers.items()}

    def _is_measured(self, kind: Kind[Any]) -> bool:
        return kind is CIPHER or (
            self._policy.profile == "fast" and kind.name in calibration.MEASURED
        )

    def _failure(self, kind: Kind[Any], name: str) -> str:
        return next(
            each.message
            for each in self._host.failures
            if (each.kind, each.name) == (kind.name, name)
        )

    def _by_name(self, kind: Kind[D], name: str) -> Verdict[D] | None:
        """What can be said of a driver without importing it: denied, not of the profile, or not the
        one that a flag chose."""
        if f"{kind.name}:{name}" in self._policy.deny:
            return Verdict(
                name, None, f"denied by {self._setting('deny')}", "take it out of `[policy] deny`"
            )
        only = self._profile.only.get(kind.name)
        if only is not None and name not in only:
            return Verdict(
                name,
                None,
                f"not in the profile {self._whose_profile()}",
                'write `[policy] profile = "default"`',
            )
        chosen = self._settings.chosen.get(kind.name)
        if chosen is not None and name != chosen:
            return Verdict(name, None, f"not the one that the flag --{kind.name} names")
        return None

    def _graded(self, kind: Kind[D], name: str, driver: type[D], reason: str) -> Verdict[D]:
        """Admit `driver`, unless it is for something else than sessions, or lacks a label that the
        session must carry."""
        if getattr(driver, "situation", "code") != "code":
            return Verdict(name, None, "for logins, not for codes")
        mine = missing(kind, driver, self._policy.require)
        if mine:
            return Verdict(
                name,
                None,
                f"not {mine}, which {self._setting('require')} asks for",
                f"write {self._without(mine)}",
            )
        theirs = missing(kind, driver, self._profile.require)
        if theirs:
            reason = f"not {theirs}, which the profile {self._whose_profile()} asks for"
            return Verdict(name, None, reason, 'write `[policy] profile = "default"`')
        return Verdict(
            name,
            driver,
            f"chosen by the flag --{kind.name}"
            if name == self._settings.chosen.get(kind.name)
            else reason,
        )

    # -- the first rule that matches -------------------------------------------------------------

    def _narrowed(self, kind: Kind[D], number: int) -> list[Verdict[D]]:
        """The verdicts where rule `number` applies: its list orders and narrows, its labels and
        denials narrow."""
        rule, where = (
            self._policy.rule[number - 1],
            f"rule {number} of `[policy]` ({self._settings.origin('policy.rule')})",
        )
        listed: tuple[str, ...] = getattr(rule, kind.plural, ("auto",))
        if (
            listed == ("auto",)
            and not rule.require
            and not any(denied.startswith(f"{kind.name}:") for denied in rule.deny)
        ):
            return self.judge(kind)
        for name in listed:
            if name != "auto":
                self.check_name(kind, name, where)
        above: dict[str, Verdict[D]] = {}
        for verdict in self.judge(
            kind
        ):  # the admitted first: a blocked driver of the same name comes later and does not count
            above.setdefault(verdict.name, verdict)
        rest = [name for name in above if name not in listed]
        order = [
            each for name in dict.fromkeys(listed) for each in (rest if name == "auto" else [name])
        ]
        narrowed = [
            self._under(kind, rule, where, above[name], "auto" in listed or name in listed)
            for name in (*order, *rest)
            if name in above
        ]
        return _best_first(list({verdict.name: verdict for verdict in narrowed}.values()))

    def _under(
        self, kind: Kind[D], rule: Rule, where: str, verdict: Verdict[D], listed: bool
    ) -> Verdict[D]:
        if verdict.driver is None:
            return verdict
        lacking = missing(kind, verdict.driver, rule.require)
        if f"{kind.name}:{verdict.name}" in rule.deny:
            return verdict._replace(driver=None, reason=f"denied by {where}")
        if lacking:
            return verdict._replace(driver=None, reason=f"not {lacking}, which {where} asks for")
        if not listed:
            return verdict._replace(driver=None, reason=f"not listed in {where}")
        return verdict._replace(reason=f"{verdict.reason}, under {where}")

    # -- sentences -------------------------------------------------------------------------------

    def _setting(self, key: str) -> str:
        return f"`[policy] {key}` ({self._settings.origin(f'policy.{key}')})"

    def _whose_profile(self) -> str:
        return f"{self._policy.profile} ({self._settings.origin('policy.profile')})"

    def _line(self, key: str, *names: str) -> str:
        present: tuple[str, ...] = getattr(self._policy, key)
        return f"write `[policy] {key} = {_array((*present, *names))}`"

    def _without(self, labels: str) -> str:
        kept = [label for label in self._policy.require if label not in labels.split(" and ")]
        return f"`[policy] require = {_array(kept)}`"


def missing(kind: Kind[Any], driver: type[Any], labels: Iterable[str]) -> str:
    """Those of `labels` that a driver of `kind` should carry and does not, as text; "" if it has
    them all or needs none."""
    carried = cast("type[Driver]", driver).labels
    asked = (label for label in labels if kind.name in GRADED.get(label, _BY_DEFAULT))
    return " and ".join(printable(label) for label in asked if label not in carried)


def _array(words: Iterable[str]) -> str:
    quoted = ", ".join(f'"{printable(word)}"' for word in words)
    return f"[{quoted}]"


def _matches(rule: Rule, route: Route) -> bool:
    when = rule.when
    return when.transport in (None, route.transport) and when.relay in (None, route.relay)


def _best_first(verdicts: list[Verdict[D]]) -> list[Verdict[D]]:
    return sorted(verdicts, key=lambda verdict: verdict.driver is None)

"""Policy: which drivers may be used, in which order, at which minimum strength; and why.

What stands in `[policy]` is applied in this order, and each step only takes away: the lists (`auto`
in one stands for the drivers it does not name), `deny`, the profile, a driver that a flag chose,
the labels of `require`, and then the first rule that matches the path. So a flag chooses among what
policy admits, and a rule narrows and never widens.
"""

from __future__ import annotations

from typing import Any, TypeVar

from tallow_core.config.base_verdicts import BaseVerdicts
from tallow_core.config.profiles import PROFILES, Limits
from tallow_core.config.rules import listed_by, matches, narrowed, narrows
from tallow_core.config.schema import Condition, Settings
from tallow_core.config.verdicts import Verdict, check_name
from tallow_core.errors import PolicyError
from tallow_core.offers import MAX_OFFER_NAMES
from tallow_core.registry.kinds import KINDS, SUITE_KINDS, TRANSPORT, Kind
from tallow_core.registry.loader import PluginLoader
from tallow_core.text import nearest, printable
from tallow_core.types import NetworkPath

D = TypeVar("D")


class Policy:
    """Applies the settings to what the loader can load. Answers are kept: drivers are loaded
    once."""

    def __init__(self, plugins: PluginLoader, settings: Settings) -> None:
        self._plugins = plugins
        self._settings = settings
        self._policy = settings.policy
        self._profile = PROFILES[settings.policy.profile]
        self._base = BaseVerdicts(plugins, settings)
        self._verdicts: dict[tuple[str, int], list[Verdict[Any]]] = {}

    @property
    def limits(self) -> Limits:
        """The limits of the profile, made stricter where the settings are."""
        limits, session = self._profile.limits, self._settings.session
        return limits._replace(
            rekey_bytes=min(limits.rekey_bytes, session.rekey_bytes),
            rekey_seconds=min(limits.rekey_seconds, session.rekey_seconds),
        )

    def flag(self, kind: Kind[Any]) -> str:
        """The name of the flag that chooses the one driver of `kind`."""
        return self._base.flag(kind)

    def drivers(self, kind: Kind[D], path: NetworkPath | None = None) -> tuple[type[D], ...]:
        """The drivers that may be used, on `path` or (None) where no rule matches; best first.

        Raises `ConfigError` for a setting or flag that names an unknown driver, `PolicyError` for a
        flag that names one that policy does not admit, `PluginError` for a named one that is
        blocked or broken. A broken one that nothing names is only left out.
        """
        return tuple(
            verdict.driver for verdict in self.judge(kind, path) if verdict.driver is not None
        )

    def offers(self, path: NetworkPath | None = None) -> dict[str, tuple[str, ...]]:
        """Kind -> names, best first, for all kinds of a suite. A `PolicyError` explains a kind for
        which nothing is left."""
        return {kind.name: self._offer(kind, path) for kind in SUITE_KINDS}

    def judge(self, kind: Kind[D], path: NetworkPath | None = None) -> list[Verdict[D]]:
        """The verdict on every installed driver of `kind`: those that may be used first, best
        first. Raises as `drivers` does."""
        return self._under_rule(kind, self.rule_for(path))

    def _under_rule(self, kind: Kind[D], number: int) -> list[Verdict[D]]:
        key = kind.name, number
        if key not in self._verdicts:
            self._verdicts[key] = self._narrowed(kind, number) if number else self._judge(kind)
        return self._verdicts[key]

    def rule_for(self, path: NetworkPath | None) -> int:
        """The number, from 1, of the first rule that matches `path`; 0 if none does."""
        if path is None:
            return 0
        return next(
            (number for number, rule in enumerate(self._policy.rule, 1) if matches(rule, path)), 0
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

    def _offer(self, kind: Kind[Any], path: NetworkPath | None) -> tuple[str, ...]:
        verdicts = self.judge(kind, path)
        self._require_some(kind, verdicts, self.rule_for(path))
        return tuple(verdict.name for verdict in verdicts if verdict.driver is not None)[
            :MAX_OFFER_NAMES
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
        self._check_names(kind)
        return self._base.judge(kind)

    def _narrowed(self, kind: Kind[D], number: int) -> list[Verdict[D]]:
        """The verdicts where rule `number` applies."""
        rule = self._policy.rule[number - 1]
        if not narrows(rule, kind):
            return self.judge(kind)
        where = f"rule {number} of `[policy]` ({self._settings.origin('policy.rule')})"
        for name in listed_by(rule, kind):
            if name != "auto":
                self.check_name(kind, name, where)
        return narrowed(rule, where, kind, self.judge(kind))

    def check_name(self, kind: Kind[Any], name: str, where: str) -> None:
        """Raise `ConfigError` with the nearest name if no driver of `kind` is called `name`;
        `where` says what names it."""
        check_name(self._plugins.catalog, kind, name, where)

    def _check_names(self, kind: Kind[Any]) -> None:
        """What lists and `deny` name must be there: a mistyped name in `deny` would deny
        nothing."""
        for name in self._base.listed(kind):
            if name != "auto":
                self.check_name(kind, name, self._base.order(kind))
        rules = [
            (rule.deny, f"rule {number} of `[policy]`")
            for number, rule in enumerate(self._policy.rule, 1)
        ]
        for denied, where in [(self._policy.deny, self._base.setting("deny")), *rules]:
            for name in (
                item.removeprefix(f"{kind.name}:")
                for item in denied
                if item.startswith(f"{kind.name}:")
            ):
                self.check_name(kind, name, where)

"""The verdicts of `[policy]` without its rules: lists, denials, the profile, a driver that a flag
chose, and the labels of `require`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from tallow_core.config import calibration
from tallow_core.config.profiles import PROFILES
from tallow_core.config.schema import Settings
from tallow_core.config.verdicts import Verdict, best_first, check_name, missing
from tallow_core.errors import PolicyError
from tallow_core.registry.entry import LEFT_OUT, PluginEntry
from tallow_core.registry.kinds import CIPHER, Kind
from tallow_core.registry.loader import PluginLoader
from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.spi.driver import Driver
from tallow_core.text import printable

D = TypeVar("D")


class BaseVerdicts:
    """Judges drivers where no rule of `[policy]` applies."""

    def __init__(self, plugins: PluginLoader, settings: Settings) -> None:
        self._plugins = plugins
        self._settings = settings
        self._policy = settings.policy
        self._profile = PROFILES[settings.policy.profile]

    def judge(self, kind: Kind[D]) -> list[Verdict[D]]:
        """The verdict on every installed driver of `kind`: the admitted ones first, best first."""
        entries = {
            entry.name: entry
            for entry in self._plugins.catalog.entries(kind)
            if entry.state in ("allowed", "duplicate")
        }
        listed = dict.fromkeys(self.listed(kind))
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
        refused = [
            entry for entry in self._plugins.catalog.entries(kind) if entry.state in LEFT_OUT
        ]
        verdicts += [
            Verdict(printable(entry.name), None, self._plugins.catalog.reason(entry))
            for entry in refused
            if entry.name not in listed
        ]
        self._check_chosen(kind, verdicts)
        return best_first(verdicts)

    def listed(self, kind: Kind[Any]) -> tuple[str, ...]:
        """What `[policy]` lists; `auto` for kinds that have no order to choose (rooms,
        commands)."""
        return cast("tuple[str, ...]", getattr(self._policy, kind.plural, ("auto",)))

    def order(self, kind: Kind[Any]) -> str:
        """The setting that orders drivers of `kind` and where it came from, for messages."""
        return f"`[policy] {kind.plural}` ({self._settings.origin(f'policy.{kind.plural}')})"

    def _check_chosen(self, kind: Kind[Any], verdicts: list[Verdict[Any]]) -> None:
        """A flag that names what policy does not admit says what to write."""
        name = self._settings.chosen.get(kind.name)
        if name is None:
            return
        check_name(self._plugins.catalog, kind, name, f"the flag {self.flag(kind)}")
        verdict = next((each for each in verdicts if each.name == name), None)
        if verdict is None or (verdict.driver is None and not verdict.remedy):
            self._plugins.load(kind, name)  # raises: it is blocked or broken
        if verdict is not None and verdict.driver is None:
            file = printable(str(self._settings.file_to_write))
            raise PolicyError(
                f"the {kind.name} {name} is {verdict.reason}; to allow it, {verdict.remedy} in"
                f" {file}"
            )

    def _named(self, kind: Kind[D], name: str) -> Verdict[D]:
        verdict = self._by_name(kind, name)
        return verdict or self._graded(
            kind, name, self._plugins.load(kind, name), f"named by {self.order(kind)}"
        )

    def _automatic(self, kind: Kind[D], names: list[str]) -> list[Verdict[D]]:
        """The drivers that no list orders: first-party ones first, then by preference and name."""
        left_out = [verdict for name in names if (verdict := self._by_name(kind, name))]
        rest = [name for name in names if name not in {verdict.name for verdict in left_out}]
        loaded = {name: self._plugins.attempt(kind, name) for name in rest}
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
        owners: dict[str, PluginEntry] = {
            entry.name: entry
            for entry in self._plugins.catalog.entries(kind)
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
            for each in self._plugins.failures
            if (each.kind, each.name) == (kind.name, name)
        )

    def _by_name(self, kind: Kind[D], name: str) -> Verdict[D] | None:
        """What can be said of a driver without importing it: denied, not of the profile, or not the
        one that a flag chose."""
        if f"{kind.name}:{name}" in self._policy.deny:
            return Verdict(
                name, None, f"denied by {self.setting('deny')}", "take it out of `[policy] deny`"
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
            return Verdict(name, None, f"not the one that the flag {self.flag(kind)} names")
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
                f"not {mine}, which {self.setting('require')} asks for",
                f"write {self._without(mine)}",
            )
        theirs = missing(kind, driver, self._profile.require)
        if theirs:
            reason = f"not {theirs}, which the profile {self._whose_profile()} asks for"
            return Verdict(name, None, reason, 'write `[policy] profile = "default"`')
        return Verdict(
            name,
            driver,
            f"chosen by the flag {self.flag(kind)}"
            if name == self._settings.chosen.get(kind.name)
            else reason,
        )

    # -- sentences -------------------------------------------------------------------------------

    def setting(self, key: str) -> str:
        return f"`[policy] {key}` ({self._settings.origin(f'policy.{key}')})"

    def flag(self, kind: Kind[Any]) -> str:
        return self._settings.option(f"choose.{kind.name}")

    def _whose_profile(self) -> str:
        return f"{self._policy.profile} ({self._settings.origin('policy.profile')})"

    def _line(self, key: str, *names: str) -> str:
        present: tuple[str, ...] = getattr(self._policy, key)
        return f"write `[policy] {key} = {_quoted((*present, *names))}`"

    def _without(self, labels: str) -> str:
        kept = [label for label in self._policy.require if label not in labels.split(" and ")]
        return f"`[policy] require = {_quoted(kept)}`"


def _quoted(words: Iterable[str]) -> str:
    quoted = ", ".join(f'"{printable(word)}"' for word in words)
    return f"[{quoted}]"

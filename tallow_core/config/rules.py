"""The rules of `[policy]`: on the paths that a rule describes, it narrows what `[policy]`
admits."""

from __future__ import annotations

from typing import TypeVar

from tallow_core.config.schema import Rule
from tallow_core.config.verdicts import Verdict, best_first, missing
from tallow_core.registry.kinds import Kind
from tallow_core.types import NetworkPath

D = TypeVar("D")


def matches(rule: Rule, path: NetworkPath) -> bool:
    """Whether `rule` applies on `path`."""
    when = rule.when
    return when.transport in (None, path.transport) and when.relay in (None, path.relayed)


def narrows(rule: Rule, kind: Kind[D]) -> bool:
    """Whether `rule` says anything about drivers of `kind`."""
    return (
        listed_by(rule, kind) != ("auto",)
        or bool(rule.require)
        or any(denied.startswith(f"{kind.name}:") for denied in rule.deny)
    )


def listed_by(rule: Rule, kind: Kind[D]) -> tuple[str, ...]:
    """The drivers of `kind` that `rule` lists, `auto` for all others."""
    listed: tuple[str, ...] = getattr(rule, kind.plural, ("auto",))
    return listed


def narrowed(rule: Rule, where: str, kind: Kind[D], verdicts: list[Verdict[D]]) -> list[Verdict[D]]:
    """`verdicts` as they are where `rule` applies: its list orders and narrows, its labels and
    denials narrow. `where` names the rule in reasons."""
    listed = listed_by(rule, kind)
    above: dict[str, Verdict[D]] = {}
    for verdict in verdicts:
        # The admitted come first: a blocked driver of the same name comes later and does not count.
        above.setdefault(verdict.name, verdict)
    rest = [name for name in above if name not in listed]
    order = [
        each for name in dict.fromkeys(listed) for each in (rest if name == "auto" else [name])
    ]
    under = [
        _under(kind, rule, where, above[name], "auto" in listed or name in listed)
        for name in (*order, *rest)
        if name in above
    ]
    return best_first(list({verdict.name: verdict for verdict in under}.values()))


def _under(kind: Kind[D], rule: Rule, where: str, verdict: Verdict[D], listed: bool) -> Verdict[D]:
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

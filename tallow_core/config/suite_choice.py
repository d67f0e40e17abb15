"""Why a suite is chosen: what policy says of each driver here, held against what the other side
offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tallow_core.config.policy import Policy
from tallow_core.offers import MAX_OFFER_NAMES, NoCommonDriver, Offer, ranked
from tallow_core.registry.kinds import SUITE_KINDS, Kind
from tallow_core.text import printable
from tallow_core.types import NetworkPath


class SuiteChoice(NamedTuple):
    """What two sides would use of one kind: `chosen`, None if they share nothing, and `others`:
    every other driver -> why not."""

    kind: str
    chosen: str | None
    reason: str
    others: Mapping[str, str]


def explain(policy: Policy, path: NetworkPath | None, theirs: Offer) -> list[SuiteChoice]:
    """For each kind of a suite, what would be chosen against a peer that offers `theirs`, and why
    every other driver would not."""
    return [_explain(policy, path, kind, tuple(theirs[kind.name])) for kind in SUITE_KINDS]


def _explain(
    policy: Policy, path: NetworkPath | None, kind: Kind[object], theirs: tuple[str, ...]
) -> SuiteChoice:
    verdicts = policy.judge(kind, path)
    admitted = [verdict.name for verdict in verdicts if verdict.driver is not None]
    ours = admitted[:MAX_OFFER_NAMES]
    common = ranked(ours, theirs)
    chosen = common[0] if common else None
    others = {
        verdict.name: verdict.reason
        for verdict in verdicts
        if verdict.driver is None and verdict.name not in admitted
    }
    others |= dict.fromkeys(
        admitted[MAX_OFFER_NAMES:], f"behind the {MAX_OFFER_NAMES} that an offer lists"
    )
    others |= {name: "the other side does not offer it" for name in ours if name not in theirs}
    others |= {
        name: f"both sides offer it, but {_place(name, ours, theirs)}" for name in common[1:]
    }
    others |= {
        printable(name): "not installed here"
        for name in theirs
        if name not in ours and name not in others
    }
    reason = _place(chosen, ours, theirs) if chosen else "the two sides share none"
    return SuiteChoice(kind.name, chosen, reason, others)


def _place(name: str, ours: list[str], theirs: tuple[str, ...]) -> str:
    return f"it is number {ours.index(name) + 1} here and number {theirs.index(name) + 1} there"


def why_no_common(policy: Policy, path: NetworkPath, error: NoCommonDriver) -> str:
    """The sentence of `error` with the reason why each driver that the other side offers is left
    out here."""
    kind = next(kind for kind in SUITE_KINDS if kind.name == error.kind)
    others = _explain(policy, path, kind, error.theirs).others
    left_out = "; ".join(
        f"{printable(name)} is left out here: {others[printable(name)]}" for name in error.theirs
    )
    return (
        f"{error} ({left_out}); allow a common one on either side ([policy] in the config file,"
        f" or {policy.flag(kind)})"
    )

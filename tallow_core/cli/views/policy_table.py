"""What `tallow policy` prints: the effective order with the origin of each value, and why a suite
is chosen."""

from __future__ import annotations

import json as encoding
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tallow_core.app.compose import make_policy
from tallow_core.cli.views.output import put
from tallow_core.cli.views.reporters import json_line
from tallow_core.config.profiles import Limits, ProfileName
from tallow_core.config.schema import PolicySettings, Settings
from tallow_core.config.suite_choice import SuiteChoice, explain
from tallow_core.errors import EXIT_DONE, PolicyError, UsageError
from tallow_core.events import ChoiceExplained, PolicyShown
from tallow_core.offers import MAX_OFFER_NAMES, NAME, Offer
from tallow_core.registry.kinds import (
    AUTHENTICATOR,
    DISCOVERY,
    SIGNATURE,
    SUITE_KINDS,
    TRANSPORT,
    Kind,
)
from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.session.context import Context
from tallow_core.text import printable
from tallow_core.types import NetworkPath

_KINDS: tuple[Kind[Any], ...] = (*SUITE_KINDS, SIGNATURE, TRANSPORT, DISCOVERY)


def show_policy(context: Context, path: NetworkPath | None, *, json: bool) -> int:
    """Print the policy; a `PolicyError` follows if it leaves nothing to use."""
    facts = _facts(context, path)
    if json:
        put(json_line(PolicyShown(**facts)))
    else:
        for line in _lines(facts):
            put(line)
    context.policy.demand()
    if not _admitted(facts["drivers"][SIGNATURE.name]):
        raise PolicyError("policy leaves no signature to use: admit one in `[policy]`")
    return EXIT_DONE


def _facts(context: Context, path: NetworkPath | None) -> dict[str, Any]:
    settings, policy = context.settings, context.policy
    kinds = {
        kind.name: [_driver(context, kind, verdict) for verdict in policy.judge(kind, path)]
        for kind in _KINDS
    }
    names = [name for name in PolicySettings._fields if name != "rule"]
    return {
        "settings": {
            name: {
                "value": getattr(settings.policy, name),
                "origin": settings.origin(f"policy.{name}"),
            }
            for name in names
        },
        "rules": [
            {
                "when": _when(asdict(rule.when)),
                "origin": settings.origin("policy.rule"),
                "narrows": _narrowing(asdict(rule)),
            }
            for rule in settings.policy.rule
        ],
        "rule": policy.rule_for(path),
        "limits": policy.limits._asdict(),
        "drivers": kinds,
        "offer": {kind.name: _admitted(kinds[kind.name])[:MAX_OFFER_NAMES] for kind in SUITE_KINDS},
    }


def _driver(context: Context, kind: Kind[Any], verdict: Any) -> dict[str, Any]:
    named = [entry for entry in context.plugins.catalog.entries(kind) if entry.name == verdict.name]
    entry = next(
        (entry for entry in named if (entry.state == "allowed") is (verdict.driver is not None)),
        None,
    )
    labels = (
        sorted(printable(label) for label in verdict.driver.labels)
        if verdict.driver is not None
        else []
    )
    return {
        "name": verdict.name,
        "admitted": verdict.driver is not None,
        "distribution": printable(entry.distribution) if entry else "",
        "labels": labels,
        "reason": verdict.reason,
    }


def _admitted(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows if row["admitted"]]


def _when(condition: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in condition.items() if value is not None}


def _narrowing(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in rule.items()
        if key != "when" and value not in ((), ("auto",), None, False)
    }


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    for name, setting in facts["settings"].items():
        value = (
            setting["value"]
            if isinstance(setting["value"], str)
            else ", ".join(map(printable, setting["value"])) or "none"
        )
        yield f"{name:<15} {value}  ({setting['origin']})"
    for number, rule in enumerate(facts["rules"], 1):
        when = (
            " and ".join(f"{key} = {encoding.dumps(value)}" for key, value in rule["when"].items())
            or "always"
        )
        narrows = (
            "; ".join(
                f"{key} {', '.join(map(printable, value))}"
                if isinstance(value, list | tuple)
                else f"{key} {printable(encoding.dumps(value))}"
                for key, value in rule["narrows"].items()
            )
            or "nothing"
        )
        yield f"rule {number:<10} when {printable(when)}: {narrows}  ({rule['origin']})"
    yield f"{'limits':<15} {_limits(facts['limits'])}"
    if facts["rule"]:
        yield f"{'on this path':<15} rule {facts['rule']} applies"
    foreign = False
    for kind, rows in facts["drivers"].items():
        yield ""
        yield kind
        for place, row in enumerate(rows, 1):
            labels = f"  [{', '.join(row['labels'])}]" if row["labels"] else ""
            foreign = foreign or (
                row["admitted"]
                and bool(row["labels"])
                and canonical(row["distribution"]) != FIRST_PARTY
            )
            yield (
                f"  {f'{place}.' if row['admitted'] else '-':<3} {row['name']:<22}"
                f" {row['reason']}{labels}"
            )
    if foreign:
        yield ""
        yield "Labels of drivers of other distributions are their authors' word."
    proofs = [
        row["name"]
        for row in facts["drivers"].get(AUTHENTICATOR.name, [])
        if row["admitted"] and "post-quantum" not in row["labels"]
    ]
    if proofs:
        yield ""
        yield (
            f"The proof of the code ({', '.join(proofs)}) is not post-quantum and has no NIST form,"
            " under every profile."
        )


def _limits(limits: dict[str, Any]) -> str:
    shown = Limits(**limits)
    parts = [
        f"codes of {shown.words} words or more",
        f"{shown.guesses} wrong guesses",
        f"fresh keys every {shown.rekey_bytes >> 20} MiB or {shown.rekey_seconds:g} s",
    ]
    switches = {
        "pinned": "pinned relays only",
        "hidden": "no address given away",
        "padded": "padded records",
        "safety_number": "a safety number",
    }
    return "; ".join(parts + [text for name, text in switches.items() if limits[name]])


def explain_policy(
    context: Context,
    path: NetworkPath | None,
    offer: str | None,
    against: ProfileName | None,
    *,
    json: bool,
) -> int:
    """Print the choice of each kind and why every other driver was not chosen; a `PolicyError`
    follows if a kind has none."""
    context.policy.demand()
    choices = explain(context.policy, path, _theirs(context, path, offer, against))
    for choice in choices:
        if json:
            put(json_line(ChoiceExplained(**choice._asdict())))
        else:
            for line in _explained(choice):
                put(line)
    missing = [choice.kind for choice in choices if choice.chosen is None]
    if missing:
        lacking = " and no ".join(missing)
        raise PolicyError(
            f"the two sides share no {lacking}: admit a common one on either side ([policy] in the"
            " config file)"
        )
    return EXIT_DONE


def _explained(choice: SuiteChoice) -> Iterator[str]:
    yield f"{choice.kind:<14} {choice.chosen or 'none'}  ({choice.reason})"
    for name, why in choice.others.items():
        yield f"  not {name:<22} {why}"


def _theirs(
    context: Context, path: NetworkPath | None, offer: str | None, against: ProfileName | None
) -> Offer:
    if offer is not None:
        return _read_offer(Path(offer))
    if against is None:
        return context.policy.offers(path)
    settings = Settings(
        policy=PolicySettings(profile=against), directories=context.settings.directories
    )
    return make_policy(settings).offers()


def _read_offer(path: Path) -> Offer:
    """Kind -> names, out of a file from a peer."""
    where = printable(str(path))
    try:
        read = [
            encoding.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()
        ]
    except OSError as error:
        raise UsageError(f"the offer {where} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        read = []
    found = next((each.get("offer", each) for each in read if isinstance(each, dict)), None)
    if not isinstance(found, dict):
        raise UsageError(
            f"{where} holds no offer: write what `tallow policy show --json` prints on the other"
            " side into it"
        )
    for kind in SUITE_KINDS:
        if not _are_names(found.get(kind.name)):
            raise UsageError(
                f"the offer in {where} lists no {kind.name} names (1 to {MAX_OFFER_NAMES}, best"
                " first)"
            )
    return {kind.name: tuple(found[kind.name]) for kind in SUITE_KINDS}


def _are_names(value: object) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_OFFER_NAMES:
        return False
    return len({*map(str, value)}) == len(value) and all(
        isinstance(name, str) and NAME.fullmatch(name) for name in value
    )

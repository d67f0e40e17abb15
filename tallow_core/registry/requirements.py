"""The requirements of a distribution, as its metadata states them: libraries of extras, and a
version of Tallow."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tallow_core import __version__
from tallow_core.registry.distributions import discovered, search_path
from tallow_core.registry.permissions import FIRST_PARTY, canonical

WORD = r"[A-Za-z0-9](?:[\w.-]*\w)?"
"""The name of a distribution or an extra (PEP 508)."""
_OF_AN_EXTRA = re.compile(
    rf"""\s*({WORD})[^;]*;\s*\(?\s*extra\s*==\s*["']({WORD})["']\s*\)?\s*""", re.ASCII
)
"""A dependency (PEP 508) whose whole marker is `extra == "..."`; one with a further condition is
not decided here, but by importing."""
_TALLOW = re.compile(rf"\s*{FIRST_PARTY}(?![\w.-])", re.IGNORECASE)


def missing_libraries(requires: Iterable[str], extras: Iterable[str]) -> tuple[str, ...]:
    """The distributions that `extras` ask for and that are not installed in any version."""
    wanted, path = set(map(canonical, extras)), search_path()
    required = (found for line in requires if (found := _OF_AN_EXTRA.fullmatch(line)) is not None)
    names = dict.fromkeys(found[1] for found in required if canonical(found[2]) in wanted)
    return tuple(name for name in names if discovered(name, path) is None)


def unmet_version(requires: Iterable[str]) -> str:
    """The version of Tallow that a distribution asks for, as in `tallow>=9`; "" if this one will
    do. A requirement with a marker that does not hold here asks for nothing."""
    asked = [line for line in requires if _TALLOW.match(line)]
    return next((needs for line in asked if (needs := _unmet(line))), "")


def _unmet(line: str) -> str:
    # Imported here: few distributions state it, and `tallow --help` reads the catalogue.
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return ""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    met = requirement.specifier.contains(__version__, prereleases=True)
    return "" if met else f"{FIRST_PARTY}{requirement.specifier}"

"""What policy says of one driver, and the labels that a session must carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar, cast

from tallow_core.errors import ConfigError
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.kinds import CIPHER, HASH, KEM, SIGNATURE, Kind
from tallow_core.spi.driver import Driver
from tallow_core.text import nearest, printable

D = TypeVar("D")

GRADED: Mapping[str, frozenset[str]] = {"hybrid": frozenset({KEM.name, SIGNATURE.name})}
"""Label -> the kinds that must carry it where it is required; a label that is not listed is asked
of all of `_BY_DEFAULT`."""
_BY_DEFAULT = frozenset({KEM.name, CIPHER.name, HASH.name, SIGNATURE.name})
"""No authenticator by a code phrase is post-quantum, and the documentation says so. A compressor
protects nothing."""


class Verdict(NamedTuple, Generic[D]):
    """What policy says of one installed driver: `driver` is None where it is left out. `reason`
    explains either; `remedy` says what to write so that it would be admitted, "" where nothing in
    `[policy]` would."""

    name: str
    driver: type[D] | None
    reason: str
    remedy: str = ""


def missing(kind: Kind[Any], driver: type[Any], labels: Iterable[str]) -> str:
    """Those of `labels` that a driver of `kind` should carry and does not, as text; "" if it has
    them all or needs none."""
    carried = cast("type[Driver]", driver).labels
    asked = (label for label in labels if kind.name in GRADED.get(label, _BY_DEFAULT))
    return " and ".join(printable(label) for label in asked if label not in carried)


def best_first(verdicts: list[Verdict[D]]) -> list[Verdict[D]]:
    """The admitted ones before the others, else in the order in which they stand."""
    return sorted(verdicts, key=lambda verdict: verdict.driver is None)


def check_name(catalog: Catalog, kind: Kind[Any], name: str, where: str) -> None:
    """Raise `ConfigError` with the nearest name if no driver of `kind` is called `name`; `where`
    says what names it."""
    known = [entry.name for entry in catalog.entries(kind)]
    if name not in known:
        raise ConfigError(
            f'there is no {kind.noun} "{printable(name)}", which {where}'
            f" names{nearest(name, known)}"
        )

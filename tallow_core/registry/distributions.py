"""Installed distributions: which of them state entry points for Tallow, and where their files lie.

Metadata is read; nothing is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from functools import cache
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from typing import Any, NamedTuple

from tallow_core.registry.permissions import FIRST_PARTY, canonical
from tallow_core.text import printable


class Installed(NamedTuple):
    """One distribution: `requires` are its dependencies (PEP 508), `points` its entry points in
    the groups that were asked for."""

    name: str
    version: str
    requires: tuple[str, ...]
    points: tuple[EntryPoint, ...]
    metadata: Distribution


def installed(groups: Collection[str]) -> Iterator[Installed]:
    """Every distribution with an entry point of Tallow, each once: the one that comes first on the
    path, which is the one that Python imports."""
    path = search_path()
    names = {
        name
        for metadata in Distribution.discover(path=path)
        if (name := _name_if_ours(metadata)) is not None
    }
    for name in sorted(names):
        # By name, so that metadata filed under another name than it claims is not found.
        first = discovered(name, path)
        if first is None or _name_if_ours(first) not in (name, None):
            warn(
                f"the distribution {printable(name)} is passed over: its metadata does not agree"
                " on its name"
            )
        elif (facts := _read(first, groups)) is not None:
            yield facts


def discovered(name: str, path: list[str]) -> Distribution | None:
    """The first distribution of that name on `path`, or None."""
    return next(iter(Distribution.discover(name=name, path=path)), None)


def _name_if_ours(metadata: Distribution) -> str | None:
    try:
        # Names are parsed out of long files: only where the short one mentions Tallow.
        if f"[{FIRST_PARTY}." not in (metadata.read_text("entry_points.txt") or ""):
            return None
        return canonical(metadata.metadata["Name"])
    except Exception as error:
        _pass_over(metadata, error)
        return None


def _read(metadata: Distribution, groups: Collection[str]) -> Installed | None:
    try:
        facts = metadata.metadata  # parsed anew each time
        return Installed(
            str(facts["Name"]),
            str(facts["Version"]),
            tuple(map(str, facts.get_all("Requires-Dist") or ())),
            tuple(point for point in metadata.entry_points if point.group in groups),
            metadata,
        )
    except Exception as error:
        _pass_over(metadata, error)
        return None


def _pass_over(metadata: Distribution, error: Exception) -> None:
    reason = printable(f"{type(error).__name__}: {error}")
    warn(
        f"a distribution in {printable(home(metadata))} is passed over: its metadata cannot be read"
        f" ({reason})"
    )


def search_path() -> list[str]:
    """`sys.path` without the working directory, which `python -m` puts there.

    A file that lies there by chance must not become a plugin.
    """
    here = os.path.realpath("")
    # Where our own code lies, everybody who can write is in control already.
    ours = os.path.realpath(Path(__file__).parents[2])
    return [
        entry for entry in sys.path if entry and (here == ours or os.path.realpath(entry) != here)
    ]


def find_module(name: str) -> str | None:
    """The file of a module, through the finders that an import would ask, in their order; importing
    nothing, not even parents."""
    path: Any = None
    origin: str | None = None
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        full = ".".join(parts[:length])
        finders = (finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((spec for find in finders if (spec := find(full, path)) is not None), None)
        if spec is None or (length < len(parts) and spec.submodule_search_locations is None):
            return None
        path, origin = spec.submodule_search_locations, spec.origin if spec.has_location else None
    return origin


def home(metadata: Distribution) -> str:
    """The folder that the distribution is installed in."""
    return str(metadata.locate_file(""))


@cache
def editable_home(metadata: Distribution) -> str | None:
    """The source tree of a distribution that was installed with `pip install --editable` (PEP 610);
    None for any other."""
    import json
    from urllib.parse import unquote, urlsplit

    try:
        facts = json.loads(metadata.read_text("direct_url.json") or "{}")
        url = urlsplit(facts["url"]) if facts.get("dir_info", {}).get("editable") is True else None
    except (ValueError, KeyError, AttributeError):
        return None
    if url is None or url.scheme != "file":
        return None
    return unquote(url.path).lstrip("/") if os.name == "nt" else unquote(url.path)


def below(path: str, folder: str) -> bool:
    """Whether `path` lies in `folder`, links resolved."""
    return os.path.realpath(path).startswith(os.path.join(_real(folder), ""))


@cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def warn(message: str) -> None:
    """Log a warning on plugins, which a running command shows."""
    # Imported here: `--help` reads the catalogue, and hardly ever has something to say.
    import logging

    logging.getLogger("tallow.plugins").warning("%s", message)

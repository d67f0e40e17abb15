"""Published test vectors, shipped with the kit: one JSON file a driver, each naming its source;
bytes are written in hexadecimal.

Long values that several vectors share, or that they change in a few bytes, stand once under
`named`; see `assembled`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_NAMED = re.compile(r"@([a-z0-9-]+)(?:\[(\d*):(\d*)\])?")


def published(kind: str, driver: str) -> Mapping[str, Any]:
    """The vectors of `driver`, or an empty mapping if the kit has none: an unknown driver is still
    held to every other check."""
    source = files("tallow_core.testing") / "vectors" / kind / f"{driver}.json"
    if not source.is_file():
        return {}
    loaded: Mapping[str, Any] = json.loads(source.read_text("utf-8"))
    return loaded


def assembled(vectors: Mapping[str, Any], text: str) -> bytes:
    """The bytes that `text` spells: words, each hexadecimal, `@name` for a value under `named`, or
    `@name[start:stop]` for its slice."""
    return b"".join(_spelt(vectors, word) for word in text.split())


def _spelt(vectors: Mapping[str, Any], word: str) -> bytes:
    found = _NAMED.fullmatch(word)
    if found is None:
        return bytes.fromhex(word)
    value = bytes.fromhex(vectors["named"][found[1]])
    start, stop = (int(bound) if bound else None for bound in (found[2], found[3]))
    return value[start:stop]

"""Published test vectors, shipped with the kit: one JSON file a driver, each naming its source; bytes are written in hexadecimal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def published(kind: str, driver: str) -> Mapping[str, Any]:
    """The vectors of `driver`, or an empty mapping if the kit has none: an unknown driver is still held to every other check."""
    source = files("tallow_core.testing") / "vectors" / kind / f"{driver}.json"
    if not source.is_file():
        return {}
    loaded: Mapping[str, Any] = json.loads(source.read_text("utf-8"))
    return loaded

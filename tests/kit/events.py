"""The events of docs/reference/events.md, read from the page: what a test sees is held against
it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from tallow_core.registry.kinds import kind_named

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

_ROW = re.compile(
    r"\| `(?P<field>\w+)` \| (?P<type>[^|,]+)(?P<optional>, (?:show|sender) only)? \|"
)


def _is_integer(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_suite(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"kem", "cipher", "hash", "authenticator", "compressor"}
        and all(map(_is_string, value.values()))
    )


def _is_skipped(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"path", "reason"}
        and all(map(_is_string, value.values()))
    )


def _is_renamed(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"path", "name"}
        and all(map(_is_string, value.values()))
    )


TYPES: Mapping[str, Callable[[object], bool]] = {
    "string": _is_string,
    "integer": _is_integer,
    "integer or null": lambda value: value is None or _is_integer(value),
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: type(value) in (int, float),
    "list of strings": lambda value: isinstance(value, list) and all(map(_is_string, value)),
    "object of strings": _is_suite,
    "object": lambda value: isinstance(value, dict) and all(map(_is_string, value)),
    "list of rules": lambda value: (
        isinstance(value, list) and all(isinstance(rule, dict) for rule in value)
    ),
    "string or null": lambda value: value is None or _is_string(value),
    "list of names": lambda value: isinstance(value, list) and all(map(_is_renamed, value)),
    "list of options": lambda value: (
        isinstance(value, list)
        and all(each.keys() == {"name", "value", "origin"} for each in value)
    ),
    "list of objects": lambda value: isinstance(value, list) and all(map(_is_skipped, value)),
}


@cache
def documented() -> Mapping[str, Mapping[str, tuple[str, bool]]]:
    """Event -> field -> (type, whether it may be missing)."""
    sections = re.split(r"^## ", (REFERENCE / "events.md").read_text("utf-8"), flags=re.MULTILINE)[
        1:
    ]
    return {section.partition("\n")[0].strip(): _fields(section) for section in sections}


def _fields(section: str) -> Mapping[str, tuple[str, bool]]:
    return {
        row["field"]: (row["type"].strip(), row["optional"] is not None)
        for row in _ROW.finditer(section)
    }


def check_event(event: Mapping[str, Any]) -> None:
    """Fail unless the event is one of the page, with all of its fields, no others, and of their
    types."""
    name = event["event"]
    fields = documented().get(name)
    assert fields is not None, f"the event {name} is not documented"
    assert event["v"] == 1
    given = {key: value for key, value in event.items() if key not in ("event", "v")}
    if name == "plugin" and (kind := kind_named(given["kind"])) is not None:
        # The page says that `show` adds the descriptor of the contract.
        contracts = (kind.contract, *kind.contract.__subclasses__())
        described = {
            key
            for each in contracts
            if each.__module__.startswith("tallow_core.spi.")
            for key in get_type_hints(each)
        }
        given = {
            key: value for key, value in given.items() if key in fields or key not in described
        }
    missing = {field for field, (_, optional) in fields.items() if not optional} - given.keys()
    assert not missing, f"{name} lacks {missing}: {event}"
    assert given.keys() <= fields.keys(), (
        f"{name} has fields that are not documented: {given.keys() - fields.keys()}"
    )
    wrong = [field for field, value in given.items() if not TYPES[fields[field][0]](value)]
    assert not wrong, f"{name}: {wrong} not of the documented type: {event}"

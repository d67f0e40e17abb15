"""The form in which events leave the process: JSON, and what observing plugins get.

An event is an object with `event` (its name in `EVENTS`), `v` (`VERSION`), and its fields in the
order of its class.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tallow_core.events import (
    CheckEnded,
    ChecksEnded,
    ChoiceExplained,
    CodeReady,
    CommandFailed,
    ConnectionLost,
    DemoDone,
    EntryListed,
    Event,
    FileDone,
    LeftOut,
    OfferMade,
    PathChanged,
    PeerProved,
    PluginListed,
    PolicyShown,
    ProgressMade,
    ProjectWritten,
    RelayListening,
    SafetyShown,
    SpeedMeasured,
    SuiteAgreed,
    TextReceived,
    TransferDone,
    TransferResumed,
)

VERSION = 1

EVENTS: Mapping[str, type[Event]] = MappingProxyType(
    {
        "code": CodeReady,
        "peer": PeerProved,
        "path": PathChanged,
        "suite": SuiteAgreed,
        "safety": SafetyShown,
        "offer": OfferMade,
        "entry": EntryListed,
        "left_out": LeftOut,
        "resume": TransferResumed,
        "reconnect": ConnectionLost,
        "progress": ProgressMade,
        "file": FileDone,
        "text": TextReceived,
        "done": TransferDone,
        "relay": RelayListening,
        "plugin": PluginListed,
        "project": ProjectWritten,
        "policy": PolicyShown,
        "choice": ChoiceExplained,
        "bench": SpeedMeasured,
        "check": CheckEnded,
        "checked": ChecksEnded,
        "demo": DemoDone,
        "error": CommandFailed,
    }
)
"""Name in JSON -> class, in the order of docs/reference/events.md."""
_NAMES = {event: name for name, event in EVENTS.items()}

OMITTED_IF_NONE = frozenset(
    {"renamed", "module", "summary", "reason", "class_name", "hooks", "options"}
)
"""Fields that are left out where they are None: those that only some events of a class have."""
JSON_NAMES: Mapping[str, str] = MappingProxyType({"class_name": "class"})
"""Field -> its name in JSON, where that is a keyword of Python."""
UNFOLDED = "variables"
"""The field whose members stand in the event itself."""
PRIVATE = frozenset({"code", "say"})
"""Fields that no plugin gets: the code of `CodeReady`, this side's number of `SafetyShown`."""


def as_mapping(event: Event) -> dict[str, Any]:
    """The event as JSON has it: `event`, `v`, and its fields."""
    mapping: dict[str, Any] = {"event": _NAMES[type(event)], "v": VERSION}
    for field, value in event._asdict().items():
        if field == UNFOLDED:
            mapping |= value
        elif value is not None or field not in OMITTED_IF_NONE:
            mapping[JSON_NAMES.get(field, field)] = _plain(value)
    return mapping


def for_plugins(event: Event) -> dict[str, Any]:
    """The event as observing plugins get it: without the code and the safety number."""
    return {key: value for key, value in as_mapping(event).items() if key not in PRIVATE}


def _plain(value: object) -> object:
    """Tuples as lists, and named ones as mappings."""
    if not isinstance(value, tuple):
        return value
    as_dict = getattr(value, "_asdict", None)
    return [_plain(each) for each in value] if as_dict is None else as_dict()

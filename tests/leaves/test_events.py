"""Events: every class has one name, and what leaves the process is what the class says."""

from __future__ import annotations

from tallow_core import events
from tallow_core.event_fields import EVENTS, as_mapping, for_plugins
from tallow_core.events import (
    CodeReady,
    DemoDone,
    FileDone,
    LeftOut,
    PluginListed,
    RenamedFile,
    SafetyShown,
    SuiteAgreed,
    TransferDone,
)

SUITE = SuiteAgreed("a", "b", "c", "d", "e")


def test_every_event_has_one_name() -> None:
    members = {each.strip() for each in events.Event.split("|")}  # type: ignore[attr-defined]
    assert members == {event.__name__ for event in EVENTS.values()}
    assert len(set(EVENTS.values())) == len(EVENTS)


def test_fields_are_in_order_after_name_and_version() -> None:
    assert list(as_mapping(FileDone("a", 1, "00"))) == ["event", "v", "path", "bytes", "tree_hash"]


def test_what_holds_others_is_plain() -> None:
    left_out, renamed = (LeftOut("a", "special"),), (RenamedFile("b", "c"),)
    assert as_mapping(TransferDone(1, 0, 2, 0.5, left_out, renamed))["skipped"] == [
        {"path": "a", "reason": "special"}
    ]
    assert as_mapping(TransferDone(1, 0, 2, 0.5, left_out, renamed))["renamed"] == [
        {"path": "b", "name": "c"}
    ]
    assert as_mapping(DemoDone("direct", 1, 2, 0.5, SUITE))["suite"] == SUITE._asdict()


def test_what_only_some_have_is_left_out() -> None:
    assert "renamed" not in as_mapping(TransferDone(1, 0, 2, 0.5, ()))
    assert as_mapping(TransferDone(1, 0, 2, 0.5, (), ()))["renamed"] == []
    row = PluginListed("hash", "x", "d", "1", "allowed", "no")
    assert list(as_mapping(row))[-1] == "checked"
    shown = as_mapping(row._replace(class_name="X", variables={"labels": []}))
    assert (shown["class"], shown["labels"]) == ("X", [])


def test_plugins_get_no_code_and_no_number() -> None:
    assert for_plugins(CodeReady("1-a-b-c", ())) == {"event": "code", "v": 1, "listen": []}
    assert for_plugins(SafetyShown("1", asked=True)) == {"event": "safety", "v": 1, "asked": True}

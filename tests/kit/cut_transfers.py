"""Transfers that are cut off, to be resumed."""

from __future__ import annotations

from tests.kit.lab import MEGABYTE, Lab, Place, Tallow, write_large

NO_REDIAL = "[session]\nreconnect = 0\n"


def cut_off(lab: Lab, ann: Place, bob: Place, *words: str, least: int = 5 * MEGABYTE) -> Tallow:
    """A transfer of `t` whose receiver is killed when it has `least` bytes; returns the sender."""
    sender = lab.send(ann, "t", "--throttle", "20MB", *words)
    receiver = lab.receive(bob, sender.code)
    receiver.event("progress", lambda event: event["bytes"] >= least)
    receiver.kill()
    return sender


def prepared(lab: Lab) -> tuple[Place, Place]:
    """Two places that do not dial again, and a folder `t` with a small and a large file."""
    ann, bob = lab.pair()
    for place in (ann, bob):
        place.configure(NO_REDIAL)
    (ann.work / "t").mkdir()
    (ann.work / "t" / "a").write_text("first")
    write_large(ann.work / "t" / "large", 16 * MEGABYTE)
    return ann, bob

"""T-22: a disk that fills up in the middle of a single file, and the same transfer once there is
room again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, Event, Lab, Tallow, leftovers, mounted, tree, write_large

SIZE = 24 * MEGABYTE
SEGMENT = 4 * MEGABYTE


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 megabytes."""
    with mounted(tmp_path / "small", 32) as place:
        yield place


def fill(place: Path) -> Path:
    """Use up all the room there is."""
    other = place / "other"
    with other.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return other


def told(receiver: Tallow, place: Path) -> None:
    """The documented exit status, the cause, and what to do."""
    receiver.ends(9)
    (error,) = receiver.named("error")
    assert error["name"] == "file-system"
    assert "the disk is full; make room there" in error["message"]
    assert f"what was verified is kept in {place}" in receiver.err.text
    assert "to go on" in receiver.err.text


def partially(least: int) -> Callable[[Event], bool]:
    """Whether a progress event has so many bytes."""

    def fits(event: Event) -> bool:
        enough: bool = event["bytes"] >= least
        return enough

    return fits


def partial(inbox: Path) -> int:
    """Bytes of the unfinished file; nothing else may be there but its journal."""
    (staging,) = leftovers(inbox)
    assert staging.startswith(".tallow-")
    (name,) = [name for name in leftovers(inbox / staging) if name != "journal"]
    return (inbox / staging / name).stat().st_size


@pytest.mark.parametrize("kind", ["plain", "sparse"])
def test_t22_a_disk_that_fills_up_in_one_file(lab: Lab, small: Path, kind: str) -> None:
    """Twice in a row; each time what was verified stays, and in the end the file is whole and came
    once."""
    ann, bob = lab.pair()
    bob.inbox = small / "in"
    if kind == "plain":
        write_large(ann.work / "large", SIZE)
    else:
        with (ann.work / "large").open("wb") as file:
            file.write(os.urandom(SIZE // 2))
            file.seek(SIZE)
            file.write(os.urandom(SIZE // 2))
    before = 0
    for _ in range(2):
        sender = lab.send(ann, "large", "--throttle", "8MB")
        receiver = lab.receive(bob, sender.code)
        receiver.event("progress", partially(before + SEGMENT + MEGABYTE))
        other = fill(small)
        told(receiver, bob.inbox)
        sender.ends(7)
        assert str(small) not in sender.named("error")[0]["message"]
        assert sender.err.text.count("to go on") == 1
        resumed = receiver.named("resume")
        assert (resumed[0]["bytes"] if resumed else 0) >= before
        before = partial(bob.inbox) // SEGMENT * SEGMENT
        assert before >= SEGMENT
        other.unlink()
    sender = lab.send(ann, "large")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("resume")[0]["bytes"] == before
    assert tree(bob.inbox) == {"large": tree(ann.work)["large"]}
    assert leftovers(bob.inbox) == ["large"]


def test_t22_going_on_takes_only_the_room_that_the_rest_needs(lab: Lab, small: Path) -> None:
    """What is there needs no second place; where the rest has none that is said first, the sender
    waits, and nothing is lost."""
    ann, bob = lab.pair()
    bob.inbox = small / "in"
    write_large(ann.work / "large", SIZE)
    sender = lab.send(ann, "large", "--throttle", "12MB")
    receiver = lab.receive(bob, sender.code)
    receiver.event("progress", partially(3 * SEGMENT + MEGABYTE))
    fill(small)
    told(receiver, bob.inbox)
    sender.ends(7)
    sender = lab.send(ann, "large")
    receiver = lab.receive(bob, sender.code).ends(9)
    assert "are free in" in receiver.named("error")[0]["message"]
    assert not receiver.named("progress")
    assert f"what was verified is kept in {bob.inbox}" in receiver.err.text
    os.truncate(
        small / "other",
        (small / "other").stat().st_size - (SIZE - partial(bob.inbox) // SEGMENT * SEGMENT),
    )
    assert shutil.disk_usage(small).free < SIZE
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("resume")[0]["bytes"] >= 3 * SEGMENT
    assert tree(bob.inbox) == tree(ann.work)


def test_t22_records_that_cannot_be_kept_take_nothing_away(lab: Lab, small: Path) -> None:
    """It is said that the state directory cannot be written (exit 3), and what is in the output
    folder stays for later."""
    ann, bob = lab.pair()
    write_large(ann.work / "large", SIZE)
    sender = lab.send(ann, "large", "--throttle", "8MB")
    receiver = lab.receive(bob, sender.code)
    receiver.event("progress", partially(SEGMENT + MEGABYTE))
    receiver.kill()
    records = bob.state_home / "tallow" / "resume" / "received"
    for words in (("--bind", str(records), str(records)), ("-o", "remount,ro,bind", str(records))):
        subprocess.run(["mount", *words], check=True)
    try:
        receiver = lab.receive(bob, sender.code).ends(3)
        assert (
            "what is needed to resume a transfer cannot be kept in"
            in receiver.named("error")[0]["message"]
        )
    finally:
        subprocess.run(["umount", str(records)], check=True)
    sender.kill()
    sender = lab.send(ann, "large")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("resume")[0]["bytes"] >= SEGMENT
    assert tree(bob.inbox) == tree(ann.work)
    assert leftovers(bob.inbox) == ["large"]

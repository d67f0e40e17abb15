"""What ends a transfer midway: kills, interrupts and refusals. No half file has its name, and both
ends say the right thing."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, PROGRAM, Lab, Place, Tallow, leftovers, write_large

FED = 8 * MEGABYTE


def midway(lab: Lab, ann: Place, bob: Place, *path: str) -> tuple[Tallow, Tallow]:
    """A transfer that has begun and cannot end: the sender reads a pipe that stays open."""
    sender = lab.send(ann, "-", *path, stdin="pipe")
    receiver = lab.receive(bob, sender.code, *path)
    sender.feed(bytes(FED))
    receiver.event("progress", lambda event: event["bytes"] >= FED // 2)
    assert [name for name in leftovers(bob.inbox) if not name.startswith(".")] == [], (
        "a name was given too early"
    )
    assert leftovers(bob.inbox), "it is written somewhere else than in the output folder"
    return sender, receiver


def test_the_relay_is_killed(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    relay, url = lab.relay()
    sender, receiver = midway(lab, ann, bob, "--relay", url)
    relay.kill()
    receiver.ends(7)
    sender.ends(7)
    assert leftovers(bob.inbox) == []
    for process in (sender, receiver):
        assert process.events[-1]["event"] == "error"
        assert process.named("done") == []


@pytest.mark.slow
def test_the_relay_is_killed_under_a_large_file(lab: Lab, roomy: Path) -> None:
    ann, bob = lab.pair(apart=True)
    bob.inbox = roomy / "inbox"
    for place in (ann, bob):
        place.configure("[session]\nreconnect = 0\n")
    relay, url = lab.relay()
    write_large(ann.work / "large", 64 * MEGABYTE)
    (ann.work / "before").write_text("all of it")
    sender = lab.send(ann, "before", "large", "--relay", url, "--throttle", "10MB")
    receiver = lab.receive(bob, sender.code, "--relay", url)
    receiver.event("progress", lambda event: event["bytes"] > MEGABYTE)
    relay.kill()
    receiver.ends(7)
    sender.ends(7)
    assert [name for name in leftovers(bob.inbox) if not name.startswith(".tallow-")] == ["before"]
    assert "go on" in receiver.err.text
    assert (bob.inbox / "before").read_text() == "all of it"


def test_the_receiver_is_killed(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender, receiver = midway(lab, ann, bob)
    receiver.kill()
    sender.ends(7)
    assert [name for name in leftovers(bob.inbox) if not name.startswith(".")] == []


def test_the_sender_is_killed(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender, receiver = midway(lab, ann, bob)
    sender.kill()
    receiver.ends(7)
    assert leftovers(bob.inbox) == []


def test_the_sender_is_killed_behind_the_relay(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    relay, url = lab.relay()
    sender, receiver = midway(lab, ann, bob, "--relay", url)
    sender.kill()
    receiver.ends(7)
    assert leftovers(bob.inbox) == []
    assert relay.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_receiver_is_interrupted(lab: Lab, number: signal.Signals) -> None:
    ann, bob = lab.pair()
    sender, receiver = midway(lab, ann, bob)
    receiver.signal(number)
    receiver.ends(130)
    sender.ends(7)
    assert receiver.named("error")[0]["name"] == "interrupted"
    assert "interrupted there" in sender.named("error")[0]["message"]
    assert leftovers(bob.inbox) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_sender_is_interrupted(lab: Lab, number: signal.Signals) -> None:
    ann, bob = lab.pair()
    sender, receiver = midway(lab, ann, bob)
    sender.signal(number)
    sender.ends(130)
    receiver.ends(7)
    assert leftovers(bob.inbox) == []


def test_the_sender_is_interrupted_while_it_waits(lab: Lab) -> None:
    ann = lab.place()
    (ann.work / "file").touch()
    sender = lab.send(ann, "file")
    assert list(ann.runtime.rglob("*.json"))
    sender.signal(signal.SIGINT)
    sender.ends(130)
    assert not list(ann.runtime.rglob("*.json"))


def test_the_record_of_a_killed_sender_is_removed(lab: Lab) -> None:
    """The next one who looks does that, and is not led astray by it."""
    ann, bob = lab.pair()
    (ann.work / "file").touch()
    code = "4821-stamp-daybreak-kindred"
    lab.send(ann, "file", env={"TALLOW_CODE": code}).kill()
    (stale,) = ann.runtime.rglob("*.json")
    sender = lab.send(ann, "file", env={"TALLOW_CODE": code})
    lab.receive(bob, code).ends(0)
    sender.ends(0)
    assert not stale.exists()


def test_the_receiver_declines(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "file").write_text("12345")
    sender = lab.send(ann, "file")
    receiver = lab.start(
        bob, "receive", "-o", bob.inbox, env={"TALLOW_CODE": sender.code}, stdin="pipe"
    )
    receiver.says("Receive 1 file, 5 bytes? [y/N] ")
    assert "  file  5 bytes\n" in receiver.err.text
    assert sender.process.poll() is None
    receiver.feed("n\n")
    receiver.ends(6)
    sender.ends(6)
    assert not bob.inbox.exists()


def test_nobody_to_ask(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "file").touch()
    sender = lab.send(ann, "file")
    receiver = lab.start(bob, "receive", env={"TALLOW_CODE": sender.code}).ends(2)
    assert "--yes" in receiver.err.text
    sender.ends(6)


def test_a_receiver_that_leaves_before_it_accepts(lab: Lab) -> None:
    """The code is still good: the sender goes on waiting."""
    ann, bob = lab.pair()
    (ann.work / "file").write_text("content")
    sender = lab.send(ann, "file")
    first = lab.start(bob, "receive", env={"TALLOW_CODE": sender.code}, stdin="pipe")
    first.says("[y/N]")
    first.kill()
    sender.says("left before it accepted anything")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert (bob.inbox / "file").read_text() == "content"
    assert len(sender.named("peer")) == 2


def test_a_receiver_that_cannot_write(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "file").touch()
    bob.inbox.write_text("a file where the folder should be")
    sender = lab.send(ann, "file")
    lab.receive(bob, sender.code).ends(9)  # before it uses the code up
    bob.inbox.unlink()
    (bob.inbox / "file").mkdir(parents=True)
    lab.receive(bob, sender.code, "--overwrite", "always").ends(9)
    sender.ends(7)
    assert str(bob.inbox) not in sender.out.text + sender.err.text, (
        "the sender learns a path of the receiver"
    )


def test_a_reader_that_goes_away(lab: Lab) -> None:
    """`tallow receive --stdout | head`: the end of the pipe is no bug."""
    ann, bob = lab.pair()
    sender = lab.send(ann, "-", stdin="pipe")
    program = ["/bin/sh", "-c", '"$@" | head -c 1', "sh"]
    receiver = lab.receive(bob, sender.code, "--stdout", program=[*program, *PROGRAM])
    for _ in range(64):
        sender.feed(bytes(MEGABYTE))
    sender.end_of_input()
    receiver.wait()
    assert sender.wait() in (6, 7)
    assert receiver.out.text == "\0"

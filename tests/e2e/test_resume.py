"""Transfers that are cut off and go on: what was verified is not sent again, and what arrives is what was sent."""

from __future__ import annotations

from tests.support import MEGABYTE, Lab, leftovers, tree, write_large

NO_REDIAL = "[session]\nreconnect = 0\n"


def test_a_killed_receiver_goes_on(lab: Lab) -> None:
    ann, bob = lab.pair()
    ann.configure(NO_REDIAL)
    (ann.work / "t").mkdir()
    (ann.work / "t" / "a").write_text("first")
    write_large(ann.work / "t" / "large", 48 * MEGABYTE)
    (ann.work / "t" / "z").write_text("last")
    sender = lab.send(ann, "t", "--throttle", "40MB")
    receiver = lab.receive(bob, sender.code)
    receiver.event("progress", lambda event: event["bytes"] >= 16 * MEGABYTE)
    receiver.kill()
    sender.ends(7)
    sender = lab.send(ann, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    (resumed,) = receiver.named("resume")
    assert resumed == sender.named("resume")[0]
    assert resumed["files"] == 1
    assert resumed["bytes"] >= 12 * MEGABYTE
    assert tree(bob.inbox) == tree(ann.work)
    assert leftovers(bob.inbox) == ["t"]
    assert receiver.named("done")[0]["files"] == 3
    assert not list((bob.state_home / "tallow" / "resume").rglob("*-*"))
    assert not list((ann.state_home / "tallow" / "resume").rglob("*-*"))


def test_the_same_run_goes_on(lab: Lab) -> None:
    """The relay is killed and started again at the same place: nobody types anything."""
    ann, bob = lab.pair(apart=True)
    home = lab.place()
    relay, url = lab.relay(place=home)
    write_large(ann.work / "large", 48 * MEGABYTE)
    sender = lab.send(ann, "large", "--relay", url, "--throttle", "40MB")
    receiver = lab.receive(bob, sender.code, "--relay", url)
    receiver.event("progress", lambda event: event["bytes"] >= 16 * MEGABYTE)
    relay.kill()
    for process in (sender, receiver):
        process.event("reconnect")
    again, _ = lab.relay(place=home, bind=url.partition("://")[2].partition("#")[0])
    receiver.ends(0)
    sender.ends(0)
    assert receiver.named("resume")[0]["bytes"] >= 12 * MEGABYTE
    assert tree(bob.inbox) == tree(ann.work)
    assert leftovers(bob.inbox) == ["large"]
    assert again.process.poll() is None

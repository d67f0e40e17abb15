"""Transfers that are cut off and go on: what was verified is not sent again, and what arrives is
what was sent."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal

from tests.kit.cut_transfers import NO_REDIAL, cut_off, prepared
from tests.kit.lab import MEGABYTE, Lab, leftovers, tree, write_large


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


def test_links_and_holes_go_on(lab: Lab) -> None:
    ann, bob = prepared(lab)
    folder = ann.work / "t"
    (folder / "b").hardlink_to(folder / "a")
    (folder / "c").symlink_to("a")
    (folder / "deep").mkdir(mode=0o500 | 0o200)
    (folder / "deep" / "file").write_text("deep")
    (folder / "zz").hardlink_to(folder / "a")
    with (folder / "holes").open("wb") as file:
        file.truncate(20 * MEGABYTE)
        file.seek(9 * MEGABYTE)
        file.write(b"island" * 100_000)
    os.utime(folder / "deep", ns=(10**18, 10**18))
    cut_off(lab, ann, bob, least=27 * MEGABYTE).ends(7)
    sender = lab.send(ann, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("resume")[0]["files"] >= 3
    assert tree(bob.inbox) == tree(ann.work)
    assert (
        (bob.inbox / "t" / "zz").stat().st_ino
        == (bob.inbox / "t" / "a").stat().st_ino
        == (bob.inbox / "t" / "b").stat().st_ino
    )
    assert os.readlink(bob.inbox / "t" / "c") == "a"
    assert (bob.inbox / "t" / "deep").stat().st_mtime_ns == 10**18
    assert leftovers(bob.inbox) == ["t"]
    assert receiver.named("done")[0]["links"] == sender.named("done")[0]["links"]


def test_a_sparse_file_goes_on_in_a_hole_and_behind_it(lab: Lab) -> None:
    ann, bob = prepared(lab)
    with (ann.work / "t" / "holes").open("wb") as file:
        file.write(os.urandom(6 * MEGABYTE))
        file.seek(17 * MEGABYTE)
        file.write(os.urandom(20 * MEGABYTE))
        file.truncate(45 * MEGABYTE)
    (ann.work / "t" / "large").unlink()
    cut_off(lab, ann, bob, least=26 * MEGABYTE).ends(7)
    sender = lab.send(ann, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("resume")[0]["bytes"] >= 22 * MEGABYTE
    assert tree(bob.inbox) == tree(ann.work)


def test_a_changed_source_is_refused_with_a_choice(lab: Lab) -> None:
    ann, bob = prepared(lab)
    cut_off(lab, ann, bob).ends(7)
    facts = (ann.work / "t" / "large").stat()
    os.utime(ann.work / "t" / "large", ns=(1, 1))
    refused = lab.run(ann, "send", "--json", "t").ends(9)
    assert "t/large" in refused.named("error")[0]["message"]
    assert "--anew" in refused.named("error")[0]["message"]
    assert not refused.named("code")
    os.utime(ann.work / "t" / "large", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    lab.send(ann, "t").kill()  # restored: it is sent
    os.utime(ann.work / "t" / "large", ns=(1, 1))
    sender = lab.send(ann, "t", "--anew")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert not receiver.named("resume")
    assert tree(bob.inbox / "t (1)") == tree(ann.work / "t")


def test_t34_a_stranger_with_the_same_files_gets_no_resume(lab: Lab) -> None:
    ann, bob = prepared(lab)
    cut_off(lab, ann, bob).ends(7)
    eve = lab.place(beside=bob)
    shutil.copytree(ann.work / "t", eve.work / "t")  # times too
    sender = lab.send(eve, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert not receiver.named("resume")
    assert not sender.named("resume")
    assert tree(bob.inbox / "t (1)") == tree(ann.work / "t")
    sender = lab.send(ann, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("resume")
    assert tree(bob.inbox / "t") == tree(ann.work / "t")


def test_t34_a_record_that_was_stolen_without_its_secret_proves_nothing(lab: Lab) -> None:
    """The sender names the transfer, with a secret that differs in one bit: it hears no more than
    of one that is not known."""
    ann, bob = prepared(lab)
    cut_off(lab, ann, bob).ends(7)
    (record,) = (bob.state_home / "tallow" / "resume" / "received").iterdir()
    raw = bytearray(record.read_bytes()[:-32])
    raw[len(b"tallow received 1\n") + 16] ^= 1
    record.write_bytes(raw + hashlib.sha256(raw).digest())
    sender = lab.send(ann, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert not sender.named("resume")
    assert not receiver.named("resume")


def test_only_the_first_receiver_comes_back(lab: Lab) -> None:
    """While the sender waits for it, the code alone lets nobody in."""
    ann, bob = prepared(lab)
    ann.configure("")
    sender = cut_off(lab, ann, bob)
    sender.event("reconnect")
    carol = lab.place(beside=bob)
    stranger = lab.receive(carol, sender.code).ends(7)
    assert not stranger.named("offer"), "the names were told to somebody else"
    assert leftovers(carol.inbox) == []
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("resume")
    assert tree(bob.inbox) == tree(ann.work)


def test_another_output_folder_is_pointed_out(lab: Lab) -> None:
    ann, bob = prepared(lab)
    cut_off(lab, ann, bob).ends(7)
    old, bob.inbox = bob.inbox, bob.work / "elsewhere"
    sender = lab.send(ann, "t")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert f"--output {old}" in receiver.err.text
    assert tree(bob.inbox) == tree(ann.work)


def test_a_receiver_that_is_interrupted_says_how_to_go_on(lab: Lab) -> None:
    ann, bob = prepared(lab)
    sender = lab.send(ann, "t", "--throttle", "20MB")
    receiver = lab.receive(bob, sender.code)
    receiver.event("progress", lambda event: event["bytes"] >= 5 * MEGABYTE)
    receiver.signal(signal.SIGINT)
    receiver.ends(130)
    sender.ends(7)
    assert "to go on" in receiver.err.text
    assert "to go on" in sender.err.text
    sender = lab.send(ann, "t")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert tree(bob.inbox) == tree(ann.work)

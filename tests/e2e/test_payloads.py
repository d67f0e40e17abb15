"""What can be sent: large, many, nothing, odd names, streams, text; and what cannot be, which is
said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, Lab, digest, leftovers, tree, write_large

LARGE = 1 << 30
MOST_MEMORY = 150 * MEGABYTE


@pytest.mark.slow
@pytest.mark.parametrize("through_relay", [False, True], ids=["local", "relay"])
def test_one_gibibyte_in_little_memory(roomy: Path, through_relay: bool) -> None:
    size = LARGE if not through_relay else LARGE // 4
    lab = Lab(roomy)
    try:
        ann, bob = lab.pair(apart=through_relay)
        write_large(ann.work / "large.bin", size)
        relay, url = lab.relay() if through_relay else (None, "")
        path = ["--relay", url] if relay else []
        sender = lab.send(ann, "large.bin", *path)
        receiver = lab.receive(bob, sender.code, *path)
        receiver.ends(0, 150)
        sender.ends(0)
        assert digest(bob.inbox / "large.bin") == digest(ann.work / "large.bin")
        assert sender.named("file") == receiver.named("file")
        for name, process in {"sender": sender, "receiver": receiver, "relay": relay}.items():
            if process is not None:
                print(
                    f"{name}: {process.peak / MEGABYTE:.0f} MiB at most for {size / MEGABYTE:.0f}"
                    " MiB"
                )
                assert 10 * MEGABYTE < process.peak < MOST_MEMORY
        seen = [event["bytes"] for event in receiver.named("progress")]
        assert seen == sorted(seen)
        assert seen[-1] == size
    finally:
        lab.close()


def test_a_thousand_small_files(lab: Lab) -> None:
    ann, bob = lab.pair()
    for number in range(1000):
        folder = ann.work / "many" / f"folder {number % 40}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.dat").write_bytes(os.urandom(number * 7))
    for number in range(5):
        (ann.work / "many" / f"nothing {number}" / "at all").mkdir(parents=True)
    sender = lab.send(ann, "many")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert tree(bob.inbox / "many") == tree(ann.work / "many")
    assert len(receiver.named("file")) == receiver.named("done")[0]["files"] == 1000
    assert sorted(map(str, sender.named("file"))) == sorted(map(str, receiver.named("file")))


def test_modes_and_times_arrive(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "folder").mkdir()
    (ann.work / "folder" / "run.sh").write_text("true\n")
    (ann.work / "folder" / "run.sh").chmod(0o4755)
    os.utime(ann.work / "folder" / "run.sh", ns=(10**18, 10**18))
    sender = lab.send(ann, "folder")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    facts = (bob.inbox / "folder" / "run.sh").stat()
    assert facts.st_mtime_ns == 10**18
    assert facts.st_mode & 0o7111 == 0o111


def test_an_empty_file(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "empty").touch()
    sender = lab.send(ann, "empty")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert (bob.inbox / "empty").read_bytes() == b""
    assert [(event["path"], event["bytes"]) for event in receiver.named("file")] == [("empty", 0)]


def test_an_empty_folder(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "hollow").mkdir()
    sender = lab.send(ann, "hollow")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert tree(bob.inbox) == {"hollow": None}
    assert [(event["files"], event["bytes"]) for event in receiver.named("done")] == [(0, 0)]


@pytest.mark.parametrize(
    "name", ["grüße 🎁.txt", "日本語", "e\u0301te\u0301", "-dash", "a'b\"c $(x) `y`"]
)
def test_names(lab: Lab, name: str) -> None:
    ann, bob = lab.pair()
    (ann.work / name).write_text("here")
    sender = lab.send(ann, "--", name)
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert [path.name for path in bob.inbox.iterdir()] == [name]
    assert [event["path"] for event in sender.named("file")] == [name]


def test_standard_input_to_standard_output(lab: Lab, tmp_path: Path) -> None:
    ann, bob = lab.pair()
    content = os.urandom(3 * MEGABYTE + 5)
    sender = lab.send(ann, "-", stdin="pipe")
    sender.feed(content)
    sender.end_of_input()
    with (tmp_path / "out").open("wb") as out:
        receiver = lab.receive(bob, sender.code, "--stdout", stdout=out.fileno())
        receiver.ends(0)
    sender.ends(0)
    assert (tmp_path / "out").read_bytes() == content
    assert [event["event"] for event in receiver.err.events if event["event"] != "progress"] == [
        "peer",
        "suite",
        "offer",
        "file",
        "done",
    ]
    assert receiver.named("offer") == [
        {"event": "offer", "v": 1, "files": 1, "links": 0, "bytes": None}
    ]
    assert receiver.named("progress")[-1]["total"] is None
    assert receiver.named("file") == sender.named("file")
    assert not bob.inbox.exists()


def test_the_code_comes_before_the_payload_is_read(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, "-", stdin="pipe")  # the code is here, and not a byte was written yet
    receiver = lab.receive(bob, sender.code, "--stdout")
    receiver.event("offer")
    sender.feed(b"now")
    sender.end_of_input()
    receiver.ends(0)
    sender.ends(0)
    assert receiver.out.text == "now"


def test_a_file_to_standard_output(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "file").write_text("content\n")
    sender = lab.send(ann, "file")
    assert lab.receive(bob, sender.code, "--stdout").ends(0).out.text == "content\n"
    sender.ends(0)


def test_standard_output_takes_one_file(lab: Lab) -> None:
    ann, bob = lab.pair()
    for name in ("one", "two"):
        (ann.work / name).touch()
    sender = lab.send(ann, "one", "two")
    receiver = lab.receive(bob, sender.code, "--stdout").ends(2)
    assert receiver.out.text == ""
    sender.ends(6)


SHOWN = "hi \\x1b[31mthere\nnext\tline \\u202eexe.jpg\\x9b"


def test_text_is_shown_escaped(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, "--text", "hi \x1b[31mthere\nnext\tline \u202eexe.jpg\x9b")
    receiver = lab.start(bob, "receive", "--yes", env={"TALLOW_CODE": sender.code}).ends(0)
    sender.ends(0)
    assert receiver.out.text == SHOWN + "\n"
    for raw in ("\x1b", "\u202e", "\x9b"):
        assert raw not in receiver.out.text + receiver.err.text
    assert leftovers(bob.work) == []


def test_text_as_an_event(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, "--text", "a \x1b]0;title\x07 b")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert [event["text"] for event in receiver.named("text")] == ["a \\x1b]0;title\\x07 b"]
    assert not bob.inbox.exists()


def test_hostile_names_are_shown_escaped(lab: Lab) -> None:
    """The name itself may be sent and land; what is printed of it is harmless."""
    ann, bob = lab.pair()
    (ann.work / "f").mkdir()
    (ann.work / "f" / "\u202egpj.exe").touch()
    sender = lab.send(ann, "f", "-vv")
    receiver = lab.receive(bob, sender.code, "-vv")
    receiver.wait()
    sender.wait()
    for process in (sender, receiver):
        assert "\u202e" not in process.out.text + process.err.text
    shown = [event["path"] for event in receiver.named("file")] + [
        each["path"] for each in sender.named("done")[0]["skipped"]
    ]
    assert shown == ["f/\\u202egpj.exe"]


def test_a_name_that_may_not_be_sent(lab: Lab) -> None:
    """The rest arrives; the sender says what did not, and ends with 9."""
    ann, bob = lab.pair()
    (ann.work / "f").mkdir()
    for name in ("con.txt", "good.txt"):
        (ann.work / "f" / name).touch()
    sender = lab.send(ann, "f")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(9)
    assert tree(bob.inbox).keys() == {"f", "f/good.txt"}
    assert sender.named("done")[0]["skipped"] == [{"path": "f/con.txt", "reason": "name"}]
    assert [(event["name"], event["exit"]) for event in sender.named("error")] == [
        ("file-system", 9)
    ]
    assert receiver.named("done")[0]["files"] == 1


def test_a_file_that_goes_away(lab: Lab) -> None:
    """It was offered, and is gone when its turn comes: both say so, the rest arrives."""
    ann, bob = lab.pair()
    (ann.work / "f").mkdir()
    (ann.work / "f" / "first").write_text("1")
    (ann.work / "f" / "second").write_text("2")
    sender = lab.send(ann, "f")
    receiver = lab.start(
        bob, "receive", "--json", "-o", bob.inbox, env={"TALLOW_CODE": sender.code}, stdin="pipe"
    )
    receiver.event("offer")
    sender.event("offer")
    (ann.work / "f" / "first").unlink()
    receiver.feed("y\n")
    receiver.ends(0)
    sender.ends(9)
    assert tree(bob.inbox).keys() == {"f", "f/second"}
    for process in (sender, receiver):
        assert process.named("done")[0]["skipped"] == [{"path": "f/first", "reason": "changed"}]
    assert "could not read" in receiver.err.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "f").mkdir()
    (ann.work / "f" / "closed").touch(0o000)
    (ann.work / "f" / "open").touch()
    sender = lab.send(ann, "f")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(9)
    assert tree(bob.inbox).keys() == {"f", "f/open"}
    assert sender.named("done")[0]["skipped"] == [{"path": "f/closed", "reason": "unreadable"}]


def test_links_and_special_files_are_left_out(lab: Lab) -> None:
    """T-06, and the exit status is still 0."""
    ann, bob = lab.pair()
    (ann.home / "secret").write_text("do not send")
    (ann.work / "f").mkdir()
    (ann.work / "f" / "file").touch()
    (ann.work / "f" / "link").symlink_to(ann.home / "secret")
    (ann.work / "f" / "folder").symlink_to(ann.home)
    os.mkfifo(ann.work / "f" / "pipe")
    sender = lab.send(ann, "f")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert tree(bob.inbox).keys() == {"f", "f/file"}
    assert {each["path"]: each["reason"] for each in sender.named("done")[0]["skipped"]} == {
        "f/link": "link",
        "f/folder": "link",
        "f/pipe": "special",
    }


def test_what_is_not_there_cannot_be_sent(lab: Lab) -> None:
    ann = lab.place()
    sender = lab.run(ann, "send", "--json", "nowhere").ends(9)
    assert [event["event"] for event in sender.events] == ["error"]

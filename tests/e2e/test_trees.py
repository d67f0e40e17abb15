"""Trees between real processes: links, holes, choices at both ends, changes, a limit on the rate,
and a disk that fills up."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, Lab, leftovers, mounted, tree, write_large


def a_tree(folder: Path) -> Path:
    """Everything that a tree may hold."""
    root = folder / "tree"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    os.link(root / "a.txt", root / "sub" / "hard")
    (root / "sub" / "up").symlink_to("../a.txt")
    (root / "here").symlink_to("sub")
    with (root / "holes").open("wb") as file:
        file.truncate(200 * MEGABYTE)
        file.seek(100 * MEGABYTE)
        file.write(b"middle")
    (root / "sub" / "b.log").write_text("b" * 1000)
    os.utime(root / "sub" / "up", ns=(10**18, 10**18), follow_symlinks=False)
    os.utime(root / "sub" / "empty", ns=(2 * 10**18, 2 * 10**18))
    (root / "sub").chmod(0o750)
    os.utime(root / "sub", ns=(3 * 10**18, 3 * 10**18))
    return root


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """What a faithful copy shares, with the files of one inode numbered alike."""
    found: dict[str, tuple[object, ...]] = {}
    groups: dict[int, str] = {}
    for path in sorted(root.rglob("*")):
        name, status = str(path.relative_to(root)), path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        content = (
            os.readlink(path)
            if path.is_symlink()
            else (path.read_bytes() if path.is_file() else None)
        )
        mode = None if path.is_symlink() else stat.S_IMODE(status.st_mode)
        found[name] = (
            kind,
            mode,
            status.st_mtime_ns,
            content,
            groups.setdefault(status.st_ino, name) if path.is_file() else None,
        )
    return found


def test_a_tree_arrives_as_it_is(lab: Lab) -> None:
    ann, bob = lab.pair()
    root = a_tree(ann.work)
    sender = lab.send(ann, "tree")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert facts(bob.inbox / "tree") == facts(root)
    assert (bob.inbox / "tree" / "holes").stat().st_blocks * 512 < 5 * MEGABYTE
    assert leftovers(bob.inbox) == ["tree"]
    for process in (sender, receiver):
        offer, done = process.named("offer")[0], process.named("done")[0]
        assert (offer["files"], offer["links"], done["files"], done["links"]) == (4, 3, 4, 3)
        assert offer["bytes"] == done["bytes"] == 200 * MEGABYTE + 1 + 10 + 1000
        assert done["skipped"] == []
    assert sender.named("file") == receiver.named("file")


def test_a_sparse_file_of_a_terabyte_costs_what_it_holds(lab: Lab) -> None:
    ann, bob = lab.pair()
    with (ann.work / "disk.img").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(os.urandom(MEGABYTE))
    sender = lab.send(ann, "disk.img")
    receiver = lab.receive(bob, sender.code).ends(0, 120)
    sender.ends(0)
    received = bob.inbox / "disk.img"
    assert received.stat().st_size == 1 << 40
    assert received.stat().st_blocks * 512 < 3 * MEGABYTE
    with received.open("rb") as file, (ann.work / "disk.img").open("rb") as sent:
        file.seek(1 << 39)
        sent.seek(1 << 39)
        assert file.read(MEGABYTE + 10) == sent.read(MEGABYTE + 10)
    for process in (sender, receiver):
        assert process.peak < 128 * MEGABYTE


def test_a_sparse_file_to_standard_output_is_whole(lab: Lab, tmp_path: Path) -> None:
    ann, bob = lab.pair()
    root = a_tree(ann.work)
    sender = lab.send(ann, "tree/holes")
    with (tmp_path / "out").open("wb") as out:
        lab.receive(bob, sender.code, "--stdout", stdout=out.fileno()).ends(0)
    sender.ends(0)
    assert (tmp_path / "out").read_bytes() == (root / "holes").read_bytes()


def test_follow(lab: Lab) -> None:
    ann, bob = lab.pair()
    a_tree(ann.work)
    (ann.work / "elsewhere").write_text("asked for")
    (ann.work / "tree" / "out").symlink_to(ann.work / "elsewhere")
    sender = lab.send(ann, "tree", "--follow", "--exclude", "holes")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert (bob.inbox / "tree" / "out").read_text() == "asked for"
    assert (bob.inbox / "tree" / "here" / "b.log").read_text() == "b" * 1000
    assert not any(path.is_symlink() for path in bob.inbox.rglob("*"))


def test_a_name_that_is_not_utf8(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "f").mkdir()
    (ann.work / "f" / os.fsdecode(b"caf\xe9")).write_text("x")
    sender = lab.send(ann, "f")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert leftovers(bob.inbox / "f") == ["caf%E9"]
    assert sender.named("done")[0]["renamed"] == [{"path": "f/caf\\udce9", "name": "caf%E9"}]
    assert "caf%E9" in sender.err.text


def test_a_file_that_changes_while_it_is_sent(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "f").mkdir()
    write_large(ann.work / "f" / "busy", 8 * MEGABYTE)
    os.link(ann.work / "f" / "busy", ann.work / "f" / "same")
    (ann.work / "f" / "calm").write_text("calm")
    sender = lab.send(ann, "f", "--throttle", "4MB")
    receiver = lab.receive(bob, sender.code)
    receiver.event("progress", lambda event: event["bytes"] > MEGABYTE)
    with (ann.work / "f" / "busy").open("r+b") as file:
        file.write(b"torn")
    receiver.ends(0)
    sender.ends(9)
    assert tree(bob.inbox).keys() == {"f", "f/calm"}
    assert sender.named("done")[0]["skipped"] == [{"path": "f/busy", "reason": "changed"}]
    assert receiver.named("done")[0]["skipped"] == [
        {"path": "f/busy", "reason": "changed"},
        {"path": "f/same", "reason": "unreadable"},
    ]


# -- choices -------------------------------------------------------------------------------------


def test_dry_run_lists_and_does_nothing(lab: Lab) -> None:
    ann = lab.place()
    root = a_tree(ann.work)
    (root / ".gitignore").write_text("*.log\n")
    (root / "out").symlink_to("/etc/passwd")
    run = lab.run(ann, "send", "--dry-run", "--json", "--git", "--exclude", "holes", "tree").ends(0)
    entries = {
        event["path"]: (event["kind"], event["bytes"], event["target"])
        for event in run.named("entry")
    }
    assert entries == {
        "tree": ("directory", 0, None),
        "tree/.gitignore": ("file", 6, None),
        "tree/a.txt": ("file", 1, None),
        "tree/here": ("symlink", 0, "sub"),
        "tree/run.sh": ("file", 10, None),
        "tree/sub": ("directory", 0, None),
        "tree/sub/empty": ("directory", 0, None),
        "tree/sub/hard": ("hard-link", 0, None),
        "tree/sub/up": ("symlink", 0, "../a.txt"),
    }
    left_out = {event["path"]: event["reason"] for event in run.named("left_out")}
    assert left_out == {"tree/holes": "excluded", "tree/out": "link", "tree/sub/b.log": "excluded"}
    assert run.events[-1] == {"event": "offer", "v": 1, "files": 3, "links": 3, "bytes": 17}
    assert not list(ann.runtime.rglob("*.json"))
    plain = lab.run(ann, "send", "--dry-run", "tree").ends(0)
    assert "tree/here -> sub" in plain.out.lines
    assert "left out: tree/out (a symbolic link)" in plain.err.text


def test_dry_run_fails_as_sending_would(lab: Lab) -> None:
    ann = lab.place()
    (ann.work / "f").mkdir()
    (ann.work / "f" / "a:b").touch()
    run = lab.run(ann, "send", "--dry-run", "--json", "f").ends(9)
    assert run.named("left_out") == [
        {"event": "left_out", "v": 1, "path": "f/a:b", "reason": "name"}
    ]


@pytest.mark.parametrize(
    "words", [["--text", "x", "--git"], ["-", "--dry-run"], ["-", "--exclude", "x"]]
)
def test_filters_are_for_files(lab: Lab, words: list[str]) -> None:
    lab.run(lab.place(), "send", *words).ends(2)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["*.txt"], {"tree", "tree/a.txt"}),
        (["hard"], {"tree", "tree/sub", "tree/sub/hard"}),
        (
            ["sub/", "!*.log"],
            {"tree", "tree/sub", "tree/sub/empty", "tree/sub/hard", "tree/sub/up"},
        ),
        (["/tree/holes"], {"tree", "tree/holes"}),
        (["empty"], {"tree", "tree/sub", "tree/sub/empty"}),
        (["up"], {"tree", "tree/sub", "tree/sub/up"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_only(lab: Lab, only: list[str], expected: set[str]) -> None:
    ann, bob = lab.pair()
    root = a_tree(ann.work)
    sender = lab.send(ann, "tree")
    receiver = lab.receive(
        bob, sender.code, *(word for pattern in only for word in ("--only", pattern))
    ).ends(0)
    sender.ends(0)
    assert {str(path.relative_to(bob.inbox)) for path in bob.inbox.rglob("*")} == expected
    was = facts(root)
    for name, (kind, mode, _, content, _) in facts(bob.inbox / "tree").items():
        assert (kind, mode, content) == (was[name][0], was[name][1], was[name][3])
    assert leftovers(bob.inbox) == ["tree"]
    sent = {event["path"] for event in sender.named("file")}
    assert sent == {f"tree/{name}" for name in ("a.txt", "holes") if f"tree/{name}" in expected} | (
        {"tree/a.txt"} if "tree/sub/hard" in expected else set()
    )
    assert receiver.named("done")[0]["bytes"] == sender.named("done")[0]["bytes"]
    totals = [event["total"] for event in receiver.named("progress")]
    assert totals == [receiver.named("done")[0]["bytes"]] * len(totals)


def test_only_what_is_not_offered(lab: Lab) -> None:
    ann, bob = lab.pair()
    a_tree(ann.work)
    sender = lab.send(ann, "tree")
    lab.receive(bob, sender.code, "--only", "nothing").ends(2)
    sender.ends(6)
    assert leftovers(bob.inbox) == []


def test_only_one_of_several_to_standard_output(lab: Lab) -> None:
    ann, bob = lab.pair()
    a_tree(ann.work)
    sender = lab.send(ann, "tree")
    receiver = lab.receive(bob, sender.code, "--stdout", "--only", "a.txt").ends(0)
    sender.ends(0)
    assert receiver.out.text == "a"


def test_t09_files_are_refused_one_by_one(lab: Lab) -> None:
    ann, bob = lab.pair()
    a_tree(ann.work)
    sender = lab.send(ann, "tree")
    receiver = lab.start(
        bob, "receive", "--json", "-o", bob.inbox, env={"TALLOW_CODE": sender.code}, stdin="pipe"
    )
    receiver.feed("s\n")
    listed = receiver.says("Which ones?")
    numbers = {
        line.split()[1].rstrip("/"): line.split()[0]
        for line in listed.splitlines()
        if line.split()[0].isdigit()
    }
    assert numbers["tree"] == "1"
    receiver.feed("!\n")
    receiver.says("that is no pattern")
    receiver.feed("-1\n")
    receiver.says("nothing is left then")
    receiver.feed(
        f"-{numbers['tree/holes']} -*.log -{numbers['tree/run.sh']}-{numbers['tree/run.sh']}\n"
    )
    receiver.says("Receive 1 file, 3 links, 1 byte? [y/N/s to choose] ")
    receiver.feed("s\n" + f"{numbers['tree/sub']} -hard\n")
    receiver.says("Receive 1 file, 1 link, 1.0 kB? ")
    receiver.feed("y\n")
    receiver.ends(0)
    sender.ends(0)
    landed = bob.inbox / "tree"
    assert {str(path.relative_to(landed)) for path in landed.rglob("*")} == {
        "sub",
        "sub/empty",
        "sub/b.log",
        "sub/up",
    }
    assert [event["path"] for event in sender.named("file")] == ["tree/sub/b.log"]


# -- what is there already -----------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", ["ask", "rename", "never", "always"])
def test_overwrite_with_links(lab: Lab, overwrite: str) -> None:
    ann, bob = lab.pair()
    a_tree(ann.work)
    there = bob.inbox / "tree" / "sub"
    there.mkdir(parents=True)
    for name in ("hard", "up"):
        (there / name).write_text("mine")
    sender = lab.send(ann, "tree", "--exclude", "holes")
    receiver = lab.receive(bob, sender.code, "--overwrite", overwrite).ends(0)
    sender.ends(0)
    kept = {
        name: not (there / name).is_symlink() and (there / name).read_text() == "mine"
        for name in ("hard", "up")
    }
    assert kept == dict.fromkeys(("hard", "up"), overwrite != "always")
    skipped = {each["path"] for each in receiver.named("done")[0]["skipped"]}
    assert skipped == ({"tree/sub/hard", "tree/sub/up"} if overwrite == "never" else set())
    landed = bob.inbox / ("tree (1)" if overwrite in ("ask", "rename") else "tree")
    if overwrite != "never":
        assert os.readlink(landed / "sub" / "up") == "../a.txt"
        assert (landed / "sub" / "hard").stat().st_ino == (landed / "a.txt").stat().st_ino


def test_never_and_a_first_name_that_is_taken(lab: Lab) -> None:
    """The content is asked for all the same: the further name needs it."""
    ann, bob = lab.pair()
    a_tree(ann.work)
    (bob.inbox / "tree").mkdir(parents=True)
    (bob.inbox / "tree" / "a.txt").write_text("mine")
    sender = lab.send(ann, "tree", "--exclude", "holes")
    lab.receive(bob, sender.code, "--overwrite", "never").ends(0)
    sender.ends(0)
    assert (bob.inbox / "tree" / "a.txt").read_text() == "mine"
    assert (bob.inbox / "tree" / "sub" / "hard").read_text() == "a"


# -- the rate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["send", "receive"])
@pytest.mark.timing
def test_throttle(lab: Lab, side: str) -> None:
    ann, bob = lab.pair()
    write_large(ann.work / "large", 6 * MEGABYTE)
    limit = ["--throttle", "2MB"]
    sender = lab.send(ann, "large", *(limit if side == "send" else []))
    began = time.monotonic()
    receiver = lab.receive(bob, sender.code, *(limit if side == "receive" else [])).ends(0)
    sender.ends(0)
    seconds = receiver.named("done")[0]["seconds"]
    assert 6 * MEGABYTE / 2e6 * 0.95 < seconds < 6 * MEGABYTE / 2e6 * 1.25
    assert time.monotonic() - began > seconds


@pytest.mark.timing
def test_throttle_from_the_config_file(lab: Lab) -> None:
    ann, bob = lab.pair()
    ann.configure("[send]\nthrottle = 1000000\n")
    write_large(ann.work / "large", 2 * MEGABYTE)
    sender = lab.send(ann, "large")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("done")[0]["seconds"] > 1.9


def test_a_rate_that_is_none(lab: Lab) -> None:
    run = lab.run(lab.place(), "send", "--throttle", "fast", "x").ends(2)
    assert "500k" in run.err.text


# -- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    with mounted(tmp_path / "small", 8) as place:
        yield place


def test_t22_space_is_checked_before_the_first_byte(lab: Lab, small: Path) -> None:
    """What is chosen counts, and of a sparse file its data."""
    ann, bob = lab.pair()
    bob.inbox = small / "in"
    (ann.work / "f").mkdir()
    write_large(ann.work / "f" / "large", 9 * MEGABYTE)
    (ann.work / "f" / "little").write_text("x")
    with (ann.work / "f" / "holes").open("wb") as file:
        file.truncate(1 << 33)
    sender = lab.send(ann, "f")
    receiver = lab.receive(bob, sender.code).ends(9)
    sender.ends(6)
    assert "free" in receiver.named("error")[0]["message"]
    assert leftovers(bob.inbox) == []
    sender = lab.send(ann, "f")
    lab.receive(bob, sender.code, "--only", "*", "--only", "!large").ends(0)
    sender.ends(0)
    assert leftovers(bob.inbox / "f") == ["holes", "little"]


@pytest.mark.parametrize("overwrite", ["rename", "always"])
def test_t22_a_disk_that_fills_up_keeps_what_was_verified(
    lab: Lab, small: Path, overwrite: str
) -> None:
    ann, bob = lab.pair()
    bob.inbox = small / "in"
    (ann.work / "f").mkdir()
    for number in range(6):
        write_large(ann.work / "f" / f"{number}", MEGABYTE)
    sender = lab.send(ann, "f", "--throttle", "1MB")
    receiver = lab.receive(bob, sender.code, "--overwrite", overwrite)
    receiver.event("file")
    with (small / "other").open("wb", buffering=0) as other, contextlib.suppress(OSError):
        while True:
            other.write(bytes(65536))
    receiver.ends(9)
    sender.ends(7)
    kept = leftovers(bob.inbox / "f")
    assert kept == [str(number) for number in range(len(kept))]
    assert 1 <= len(kept) < 6
    for name in kept:
        assert (bob.inbox / "f" / name).read_bytes() == (ann.work / "f" / name).read_bytes()
    message = receiver.named("error")[0]["message"]
    assert "the disk is full" in message
    assert f"{len(kept)} file" in message
    assert message.endswith("kept")
    # Besides what is verified, the folder from which the transfer can go on.
    assert [name for name in leftovers(bob.inbox) if not name.startswith(".tallow-")] == ["f"]
    assert str(small) not in sender.named("error")[0]["message"]


# -- many ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_stays_flat_with_many_entries(lab: Lab, roomy: Path) -> None:
    ann, bob = lab.pair()
    bob.inbox = roomy / "inbox"
    source = roomy / "many"
    for number in range(300):
        (source / f"{number:03d}").mkdir(parents=True)
        for at in range(100):
            (source / f"{number:03d}" / f"{at:03d}").symlink_to(
                f"../{number:03d}/{at:03d}.txt"
            ) if at % 2 else (source / f"{number:03d}" / f"{at:03d}").touch()
    peaks = []
    for words in (("--only", "/many/000/"), ()):
        sender = lab.send(ann, str(source))
        receiver = lab.receive(bob, sender.code, *words).ends(0, 170)
        sender.ends(0)
        peaks.append(max(sender.peak, receiver.peak))
    print(f"{peaks[1] / MEGABYTE:.0f} MiB at most for 30,000 entries")
    assert peaks[1] < 128 * MEGABYTE
    assert peaks[1] < peaks[0] + 12 * MEGABYTE

"""T-05, T-08 and the links of a tree: made last, from what was written here, never followed and
never replacing what may not be."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tallow_core.errors import FileSystemError, LocalProtocolError, RemoteProtocolError
from tallow_core.files.output.hard_links import HardLinks
from tallow_core.files.output.output_tree import OutputTree
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.output.staging import EphemeralStaging
from tallow_core.files.skipped import Skipped

ALL = list(Overwrite)
TIME = 1_234_567_890_987_654_321


def _put(
    tree: OutputTree,
    *components: str,
    data: bytes = b"new",
    keep: int | None = None,
    named: bool = True,
) -> str | None:
    writer = tree.begin(
        components, 0o640, TIME, number=keep or 0, keep=keep is not None, named=named
    )
    if writer is None:
        return None
    writer.write(0, data)
    return writer.commit(len(data))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "f").write_bytes(b"precious")
    return folder


@pytest.mark.parametrize("overwrite", ALL)
def test_links_land(out: Path, overwrite: Overwrite) -> None:
    with OutputTree(str(out), overwrite) as tree:
        tree.enter(("d",), 0o555, TIME)
        tree.symlink(("d", "a"), "e/f", TIME + 1)
        tree.enter(("d", "e"), 0o755, TIME)
        _put(tree, "d", "e", "f", keep=3)
        tree.symlink(("d", "e", "up"), "..", TIME + 2)
        tree.hard_link(("d", "g"), 3)
        assert tree.links == 2  # those of the folder d are made when it is left
    assert tree.links == 3
    assert os.readlink(out / "d" / "a") == "e/f"
    assert os.readlink(out / "d" / "e" / "up") == ".."
    assert (out / "d" / "a").lstat().st_mtime_ns == TIME + 1
    assert (out / "d" / "g").stat().st_ino == (out / "d" / "e" / "f").stat().st_ino
    assert (out / "d" / "g").stat().st_nlink == 2
    assert (stat.S_IMODE((out / "d").stat().st_mode), (out / "d").stat().st_mtime_ns) == (
        0o555,
        TIME,
    )
    assert sorted(os.listdir(out)) == ["d"]
    (out / "d").chmod(0o755)


def test_t05_a_link_is_made_after_all_that_lies_beside_it(out: Path) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as tree:
        tree.enter(("d",), 0o755, TIME)
        tree.symlink(("d", "a"), "e", TIME)
        tree.enter(("d", "e"), 0o755, TIME)
        _put(tree, "d", "e", "f")
        _put(tree, "d", "g")
        assert not os.path.lexists(out / "d" / "a")
        _put(tree, "h")
        assert os.path.lexists(out / "d" / "a")


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "..",
        "../x",
        "e/../x",
        "../../x",
        "",
        "a//b",
        "./a",
        "a/.",
        "a\\b",
        "C:",
        "\x1b[2J",
        "a" * 256,
    ],
)
def test_t05_a_target_that_leads_out_is_never_made(out: Path, target: str) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as tree:
        tree.enter(("d",), 0o755, TIME)
        with pytest.raises(LocalProtocolError):
            tree.symlink(("d", "a"), target, TIME)
        with pytest.raises(LocalProtocolError):
            tree.symlink(("top",), "d", TIME)
    assert os.listdir(out / "d") == []


def test_t05_nothing_lands_below_a_link(out: Path, outside: Path) -> None:
    with OutputTree(str(out), Overwrite.ALWAYS) as tree:
        tree.enter(("d",), 0o755, TIME)
        tree.symlink(("d", "a"), "b", TIME)
        for below in (("d", "a", "f"), ("d", "a"), ("d", "A")):
            with pytest.raises(RemoteProtocolError):
                tree.begin(below, 0o644, TIME)
            with pytest.raises(RemoteProtocolError):
                tree.enter(below, 0o755, TIME)
    assert os.listdir(out / "d") == ["a"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_overwriting_with_links(out: Path, outside: Path, kind: str) -> None:
    def prepare() -> None:
        (out / "d").mkdir()
        for name in ("hard", "soft"):
            place = out / "d" / name
            place.write_bytes(b"old") if kind == "file" else place.symlink_to(
                outside / "f" if kind == "link" else "nowhere"
            )

    def land(overwrite: Overwrite) -> OutputTree:
        with OutputTree(str(out), overwrite) as tree:
            tree.enter(("d",), 0o755, TIME)
            _put(tree, "d", "first", keep=1)
            tree.hard_link(("d", "hard"), 1)
            tree.symlink(("d", "soft"), "first", TIME)
        return tree

    prepare()
    before = {name: os.lstat(out / "d" / name).st_ino for name in ("hard", "soft")}
    never = land(Overwrite.NEVER)
    assert never.skipped == [Skipped("d/hard", "exists"), Skipped("d/soft", "exists")]
    assert {name: os.lstat(out / "d" / name).st_ino for name in ("hard", "soft")} == before
    (out / "d" / "first").unlink()
    always = land(Overwrite.ALWAYS)
    assert (always.links, always.skipped) == (2, [])
    assert os.readlink(out / "d" / "soft") == "first"
    assert (out / "d" / "hard").stat().st_ino == (out / "d" / "first").stat().st_ino
    rename = land(Overwrite.RENAME)
    assert rename.links == 2
    assert sorted(os.listdir(out)) == ["d", "d (1)"]
    assert (outside / "f").read_bytes() == b"precious"


def test_rename_gives_links_the_next_free_name(out: Path) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as tree:
        tree.enter(("d",), 0o755, TIME)
        _put(tree, "d", "first", keep=1)
        for name in ("hard.txt", "soft"):
            (out / "d" / name).write_bytes(b"theirs")
        tree.hard_link(("d", "hard.txt"), 1)
        tree.symlink(("d", "soft"), "first", TIME)
    assert sorted(os.listdir(out / "d")) == [
        "first",
        "hard (1).txt",
        "hard.txt",
        "soft",
        "soft (1)",
    ]
    assert (out / "d" / "hard.txt").read_bytes() == b"theirs"


@pytest.mark.parametrize("make", ["hard", "soft"])
def test_t01_a_folder_is_never_replaced_by_a_link(out: Path, make: str) -> None:
    (out / "d" / "x").mkdir(parents=True)
    (out / "d" / "x" / "keep").touch()
    tree = OutputTree(str(out), Overwrite.ALWAYS)
    tree.enter(("d",), 0o755, TIME)
    _put(tree, "d", "first", keep=1)
    if make == "hard":
        with pytest.raises(FileSystemError, match="folder"):
            tree.hard_link(("d", "x"), 1)
    else:
        tree.symlink(("d", "x"), "first", TIME)
        with pytest.raises(FileSystemError, match="folder"):
            tree.close()
    tree.close()
    assert os.listdir(out / "d" / "x") == ["keep"]
    assert os.listdir(out) == ["d"]


# Hard links


def test_a_file_that_is_left_out_still_gives_its_links(out: Path) -> None:
    """The first name is not chosen, or taken: the content lands under the others."""
    (out / "taken").write_bytes(b"mine")
    with OutputTree(str(out), Overwrite.NEVER) as tree:
        tree.enter(("d",), 0o755, TIME)
        assert _put(tree, "d", "first", keep=1, named=False) == ""
        tree.hard_link(("d", "second"), 1)
        assert _put(tree, "taken", keep=3) == ""
        tree.hard_link(("third",), 3)
    assert (out / "d" / "second").read_bytes() == b"new"
    assert (out / "third").read_bytes() == b"new"
    assert (out / "taken").read_bytes() == b"mine"
    assert sorted(os.listdir(out)) == ["d", "taken", "third"]
    assert stat.S_IMODE((out / "third").stat().st_mode) == 0o640 & ~_umask()
    assert (out / "third").stat().st_nlink == 1


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def test_a_link_to_what_never_came_is_left_out(out: Path) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as tree:
        failed = tree.begin(("a",), 0o644, TIME, keep=True)
        assert failed is not None
        failed.discard()
        tree.hard_link(("b",), 0)
        tree.hard_link(("c",), 77)
    assert tree.skipped == [Skipped("b", "unreadable"), Skipped("c", "unreadable")]
    assert os.listdir(out) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_hard_links_a_copy_is_made(
    out: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    with OutputTree(str(out), Overwrite.RENAME) as tree:
        writer = tree.begin(("a",), 0o640, TIME, keep=True)
        assert writer is not None
        writer.write(3 << 20, b"end of a hole")
        writer.commit(5 << 20)
        tree.hard_link(("b",), 0)
        tree.hard_link(("c",), 0)
    assert sorted(os.listdir(out)) == ["a", "b", "c"]
    first = (out / "a").read_bytes()
    for name in ("b", "c"):
        status = (out / name).stat()
        assert (out / name).read_bytes() == first
        assert (status.st_nlink, status.st_mtime_ns) == (1, TIME)
        assert status.st_mode == (out / "a").stat().st_mode
        assert status.st_blocks * 512 < 2 << 20


def test_t05_what_was_put_in_the_place_of_a_kept_file_is_not_linked(
    out: Path, outside: Path
) -> None:
    """Only who is this user could do it: the folder is private. The inode is looked at all the
    same."""
    tree = OutputTree(str(out), Overwrite.RENAME)
    _put(tree, "a", keep=0)
    (staging,) = (name for name in os.listdir(out) if name.startswith(".tallow-"))
    (kept,) = os.listdir(out / staging)
    for replace in (
        lambda place: os.link(outside / "f", place),
        lambda place: place.symlink_to(outside / "f"),
    ):
        (out / staging / kept).unlink()
        replace(out / staging / kept)
        with pytest.raises(FileSystemError):
            tree.hard_link(
                (f"b{replace.__code__.co_firstlineno}{replace.__code__.co_names[0]}",), 0
            )
    tree.close()
    assert os.listdir(out) == ["a"]
    assert (outside / "f").read_bytes() == b"precious"


@pytest.mark.parametrize("call", ["link", "symlink"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_t08_a_link_that_cannot_be_made_is_told_and_leaves_nothing(
    out: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    tree = OutputTree(str(out), Overwrite.RENAME)
    tree.enter(("d",), 0o755, TIME)
    with monkeypatch.context() as patched:
        _put(tree, "d", "f", keep=1)
        patched.setattr(os, call, fail)
        make = tree.close
        if call == "link":
            make = partial(tree.hard_link, ("d", "g"), 1)
        else:
            tree.symlink(("d", "g"), "f", TIME)
        with pytest.raises(FileSystemError, match="'d/g'"):
            make()
    tree.abort()
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == ["d", "d/f"]


def test_a_file_system_without_symbolic_links_leaves_them_out(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", fail)
    with OutputTree(str(out), Overwrite.RENAME) as tree:
        tree.enter(("d",), 0o755, TIME)
        tree.symlink(("d", "l"), "f", TIME)
    assert tree.skipped == [Skipped("d/l", "link")]
    assert os.listdir(out / "d") == []


def test_abort_makes_no_more_links(out: Path) -> None:
    tree = OutputTree(str(out), Overwrite.RENAME)
    tree.enter(("d",), 0o755, TIME)
    _put(tree, "d", "f", keep=1)
    tree.symlink(("d", "l"), "f", TIME)
    tree.abort()
    tree.abort()
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == ["d", "d/f"]
    assert (out / "d" / "f").stat().st_nlink == 1


def test_descriptors_are_closed(out: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    for finish in (OutputTree.close, OutputTree.abort):
        tree = OutputTree(str(out), Overwrite.RENAME)
        tree.enter(("d",), 0o755, TIME)
        tree.symlink(("d", "a"), "f", TIME)
        tree.enter(("d", "e"), 0o755, TIME)
        tree.symlink(("d", "e", "a"), "f", TIME)
        _put(tree, "d", "f", keep=1)
        tree.hard_link(("d", "g"), 1)
        finish(tree)
    assert len(os.listdir("/dev/fd")) == before


def test_many_kept_files_take_little_memory() -> None:
    """Twelve to sixteen bytes each: how many there are is for the sender to choose."""
    kept = HardLinks(EphemeralStaging(-1))
    assert kept._numbers.itemsize + kept._inodes.itemsize <= 16


# Holes


def test_holes_are_not_written(out: Path) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as tree:
        writer = tree.begin(("a",), 0o644, TIME)
        assert writer is not None
        writer.write(1 << 30, b"x")
        writer.commit(3 << 30)
        empty = tree.begin(("b",), 0o644, TIME)
        assert empty is not None
        empty.commit(1 << 20)
    assert (out / "a").stat().st_size == 3 << 30
    assert (out / "a").stat().st_blocks * 512 < 1 << 20
    assert (out / "b").read_bytes() == bytes(1 << 20)
    assert (out / "a").stat().st_mtime_ns == TIME


def test_t22_a_size_that_no_file_has_is_told(out: Path) -> None:
    tree = OutputTree(str(out), Overwrite.RENAME)
    writer = tree.begin(("a",), 0o644, TIME)
    assert writer is not None
    with pytest.raises(FileSystemError, match="'a'"):
        writer.commit((1 << 63) - 1)
    tree.close()
    assert os.listdir(out) == []


# Races


def _racing(work: Callable[[], None], swap: Callable[[], None], rounds: int = 60) -> int:
    """Run `work` again and again while a thread swaps; returns how often it swapped."""
    stop, count = threading.Event(), [0]

    def loop() -> None:
        while not stop.is_set():
            swap()
            count[0] += 1

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        for _ in range(rounds):
            work()
    finally:
        stop.set()
        thread.join(20)
    return count[0]


@pytest.mark.parametrize("overwrite", ALL)
def test_t05_folders_swapped_for_links_while_links_are_made(
    out: Path, outside: Path, tmp_path: Path, overwrite: Overwrite
) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    number = iter(range(1_000_000))

    def swap() -> None:
        for victim in (out / "d" / "e", out / "d"):
            with suppress(OSError):
                victim.rename(aside / str(next(number)))
            with suppress(OSError):
                victim.symlink_to(outside)
            with suppress(OSError):
                victim.unlink()

    def work() -> None:
        with suppress(FileSystemError), OutputTree(str(out), overwrite) as tree:
            tree.enter(("d",), 0o755, TIME)
            tree.symlink(("d", "a"), "e/f", TIME)
            tree.enter(("d", "e"), 0o755, TIME)
            _put(tree, "d", "e", "f", keep=1)
            tree.hard_link(("d", "e", "g"), 1)
            tree.symlink(("d", "e", "up"), "../a", TIME)

    assert _racing(work, swap)
    assert os.listdir(outside) == ["f"]
    assert (outside / "f").read_bytes() == b"precious"
    assert (outside / "f").stat().st_nlink == 1


@pytest.mark.parametrize("overwrite", ALL)
def test_t05_the_names_of_links_swapped_while_they_are_made(
    out: Path, outside: Path, overwrite: Overwrite
) -> None:
    (out / "d").mkdir()

    def swap() -> None:
        for name in ("g", "l"):
            place = out / "d" / name
            with suppress(OSError):
                place.symlink_to(outside / "f")
            with suppress(OSError):
                place.unlink()

    def work() -> None:
        with suppress(FileSystemError), OutputTree(str(out), overwrite) as tree:
            tree.enter(("d",), 0o755, TIME)
            _put(tree, "d", "f", keep=1)
            tree.hard_link(("d", "g"), 1)
            tree.symlink(("d", "l"), "f", TIME)

    assert _racing(work, swap)
    assert os.listdir(outside) == ["f"]
    status = (outside / "f").stat()
    assert (
        status.st_nlink,
        stat.S_IMODE(status.st_mode) & 0o777 != 0o640,
        status.st_mtime_ns != TIME,
    ) == (1, True, True)

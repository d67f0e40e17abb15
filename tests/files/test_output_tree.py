"""T-03, T-05, T-07 and T-08: what is received lands under the output folder, whole or not at all,
and harms nothing there."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import FileSystemError, LocalProtocolError, RemoteProtocolError, TallowError
from tallow_core.files.output import exclusive_rename as renaming
from tallow_core.files.output import placement as placing
from tallow_core.files.output.exclusive_rename import rename_new
from tallow_core.files.output.output_tree import OutputTree
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.skipped import Skipped
from tallow_core.protocol.transfer.content_reader import FileWhole
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tests.kit.corpus import ORDINARY, PATHS, TREES
from tests.kit.corpus import Entry as Listed

ALL = list(Overwrite)
TIME = 1_234_567_890_987_654_321


@pytest.fixture(params=["in pieces", "whole"], autouse=True)
def _way(request: pytest.FixtureRequest) -> Iterator[None]:
    """How `_put` puts files: all that holds for one way holds for the other."""
    _put_whole[:] = [request.param == "whole"]
    yield
    _put_whole.clear()


_put_whole: list[bool] = []


def whole(
    *components: str, data: bytes = b"new", mode: int = 0o644, mtime_ns: int = TIME, number: int = 0
) -> FileWhole:
    """A small file as the reader of content gives it."""
    return FileWhole(
        number,
        Entry(EntryKind.FILE, components, mode, mtime_ns, len(data)),
        memoryview(data),
        bytes(32),
    )


def _put(
    output: OutputTree, *components: str, data: bytes = b"new", mode: int = 0o644
) -> str | None:
    if _put_whole[0]:
        output.put(whole(*components, data=data, mode=mode))
        return next((path for _, path in output.settle()), None)
    writer = output.begin(components, mode, TIME)
    if writer is None:
        return None
    writer.write(0, data)
    return writer.commit()


def _tree(root: Path) -> dict[str, bytes | str]:
    """All that is below `root`: contents of files, targets of links, and "/" for folders."""
    found: dict[str, bytes | str] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = "/" if path.is_dir() else path.read_bytes()
    return found


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


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("overwrite", ALL)
def test_a_tree_lands_whole(out: Path, overwrite: Overwrite) -> None:
    with OutputTree(str(out), overwrite) as output:
        output.enter(("d",), 0o755, TIME)
        output.enter(("d", "empty"), 0o700, TIME)
        assert _put(output, "d", "f", data=b"one") == "d/f"
        assert _put(output, "e", data=b"") == "e"
    assert _tree(out) == {"d": "/", "d/empty": "/", "d/f": b"one", "e": b""}


def test_facts_are_set_on_files_and_folders(out: Path, umask: Callable[[int], int]) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as output:
        output.enter(("d",), 0o555, TIME)
        output.enter(("d", "e"), 0o705, TIME + 1)
        _put(output, "d", "e", "f", mode=0o444)
        _put(output, "d", "g")
    for name, mode, mtime in [
        ("d", 0o555, TIME),
        ("d/e", 0o705, TIME + 1),
        ("d/e/f", 0o444, TIME),
        ("d/g", 0o644, TIME),
    ]:
        status = (out / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (mode, mtime), name


@pytest.mark.parametrize("mask", [0, 0o002, 0o022, 0o027, 0o077])
@pytest.mark.parametrize("mode", [0o7777, 0o4755, 0o2775, 0o1777, 0o100644, 0o777, 0o600, 0])
def test_t07_mode_is_masked_and_never_special(
    out: Path, umask: Callable[[int], int], mask: int, mode: int
) -> None:
    umask(mask)
    with OutputTree(str(out), Overwrite.RENAME) as output:
        output.enter(("d",), mode, TIME)
        _put(output, "f", mode=mode)
    for name in ("d", "f"):
        assert stat.S_IMODE((out / name).stat().st_mode) == mode & 0o777 & ~mask
    assert umask(mask) == mask


def test_t07_a_folder_below_a_setgid_folder_is_not_setgid(
    out: Path, umask: Callable[[int], int]
) -> None:
    out.chmod(0o2755)
    with OutputTree(str(out), Overwrite.RENAME) as output:
        output.enter(("d",), 0o2755, TIME)
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o755


@pytest.mark.parametrize("mtime", [0, -1, 2**62, 2**63 - 1, 2**63, 2**200, -(2**63), -(2**200)])
def test_any_time_is_taken(out: Path, mtime: int) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as output:
        output.enter(("d",), 0o755, mtime)
        writer = output.begin(("f",), 0o644, mtime)
        assert writer is not None
        writer.commit()
    assert sorted(_tree(out)) == ["d", "f"]


def test_output_is_made_with_its_parents(tmp_path: Path, umask: Callable[[int], int]) -> None:
    umask(0o027)
    with OutputTree(str(tmp_path / "a" / "b"), Overwrite.RENAME) as output:
        _put(output, "f")
    assert (tmp_path / "a" / "b" / "f").read_bytes() == b"new"
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")] == [
        0o750,
        0o750,
    ]


def test_output_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "file/below", "dangling"):
        with pytest.raises(FileSystemError):
            OutputTree(str(tmp_path / name), Overwrite.ALWAYS)
    assert _tree(tmp_path) == {"dangling": "nowhere", "file": b"old"}


# Overwriting


def test_rename_takes_the_next_free_name(out: Path) -> None:
    for name in ("a.txt", "a (1).txt", ".rc", "x.tar.gz"):
        (out / name).write_bytes(b"old")
    (out / "dir.d").mkdir()
    (out / "link").symlink_to("nowhere")
    with OutputTree(str(out), Overwrite.RENAME) as output:
        assert _put(output, ".rc") == ".rc (1)"
        assert _put(output, "a.txt") == "a (2).txt"
        output.enter(("dir.d",), 0o755, TIME)
        assert _put(output, "dir.d", "f") == "dir.d (1)/f"
        assert _put(output, "link") == "link (1)"
        assert _put(output, "x.tar.gz") == "x.tar (1).gz"
    tree = _tree(out)
    fresh = {name for name, content in tree.items() if content == b"new"}
    assert fresh == {".rc (1)", "a (2).txt", "dir.d (1)/f", "link (1)", "x.tar (1).gz"}
    assert [tree[name] for name in ("a.txt", "a (1).txt", ".rc", "x.tar.gz", "link", "dir.d")] == [
        b"old"
    ] * 4 + ["nowhere", "/"]


def test_rename_shortens_a_name_that_would_be_too_long(out: Path) -> None:
    names = ["a" * 251 + ".txt", "b" * 255, "c." + "d" * 253, "\u65e5" * 85]
    for name in names:
        (out / name).touch()
    with OutputTree(str(out), Overwrite.RENAME) as output:
        landed = [_put(output, name) for name in names]
    assert landed == [
        "a" * 247 + " (1).txt",
        "b" * 251 + " (1)",
        "c." + "d" * 249 + " (1)",
        "\u65e5" * 83 + " (1)",
    ]


def test_rename_ends_when_all_names_are_taken(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "_MAX_NUMBER", 2)
    taken = dict.fromkeys(("a", "a (1)", "a (2)", "b", "b (1)", "b (2)"), "/")
    for name in taken:
        (out / name).mkdir()
    with OutputTree(str(out), Overwrite.RENAME) as output:
        with pytest.raises(FileSystemError, match="2 times"):
            output.enter(("a",), 0o755, TIME)
        with pytest.raises(FileSystemError, match="2 times"):
            _put(output, "b")
    assert _tree(out) == taken


def test_never_leaves_out_what_is_there(out: Path, outside: Path) -> None:
    (out / "d").mkdir(mode=0o711)
    (out / "d" / "old").write_bytes(b"old")
    (out / "d" / "sub").mkdir()
    (out / "link").symlink_to(outside / "f")
    (out / "link2").symlink_to("nowhere")
    os.utime(out / "d" / "sub", ns=(7, 7))
    with OutputTree(str(out), Overwrite.NEVER) as output:
        output.enter(("d",), 0o755, TIME)
        assert _put(output, "d", "new") == "d/new"
        assert _put(output, "d", "old") is None
        output.enter(("d", "sub"), 0o755, TIME)
        assert _put(output, "link") is None
        assert _put(output, "link2") is None
        skipped = output.skipped
    assert skipped == [Skipped(name, "exists") for name in ("d/old", "link", "link2")]
    assert (out / "d" / "old").read_bytes() == b"old"
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o711
    assert (out / "d" / "sub").stat().st_mtime_ns == 7
    assert (outside / "f").read_bytes() == b"precious"


def test_never_does_not_replace_what_appears_later(out: Path) -> None:
    with OutputTree(str(out), Overwrite.NEVER) as output:
        writer = output.begin(("f",), 0o644, TIME)
        assert writer is not None
        (out / "f").write_bytes(b"theirs")
        with pytest.raises(FileSystemError):
            writer.commit()
    assert _tree(out) == {"f": b"theirs"}


def test_always_replaces_files_and_links_but_no_folder(out: Path, outside: Path) -> None:
    (out / "file").write_bytes(b"old")
    (out / "folder").mkdir()
    (out / "folder" / "keep").write_bytes(b"keep")
    (out / "link").symlink_to(outside / "f")
    os.link(outside / "f", out / "twin")
    with OutputTree(str(out), Overwrite.ALWAYS) as output:
        assert _put(output, "file") == "file"
        with pytest.raises(FileSystemError):
            output.begin(("folder",), 0o644, TIME)
        late = output.begin(("late",), 0o644, TIME)
        assert late is not None
        (out / "late").mkdir()
        with pytest.raises(FileSystemError):
            late.commit()
        assert _put(output, "link") == "link"
        assert _put(output, "twin") == "twin"
    assert _tree(out) == {
        "file": b"new",
        "folder": "/",
        "folder/keep": b"keep",
        "late": "/",
        "link": b"new",
        "twin": b"new",
    }
    assert (outside / "f").read_bytes() == b"precious"


@pytest.mark.parametrize("overwrite", [Overwrite.NEVER, Overwrite.ALWAYS])
@pytest.mark.parametrize("kind", ["link", "dangling", "file", "fifo"])
def test_t05_what_is_in_the_way_of_a_folder_ends_the_transfer(
    out: Path, outside: Path, overwrite: Overwrite, kind: str
) -> None:
    if kind == "file":
        (out / "d").touch()
    elif kind == "fifo":
        os.mkfifo(out / "d")
    else:
        (out / "d").symlink_to(outside if kind == "link" else "nowhere")
    with OutputTree(str(out), overwrite) as output:
        with pytest.raises(FileSystemError, match="'d'"):
            output.enter(("d",), 0o755, TIME)
        with pytest.raises(LocalProtocolError):
            output.begin(("d", "f"), 0o644, TIME)
        assert _put(output, "e") == "e"
    assert os.listdir(outside) == ["f"]
    assert sorted(os.listdir(out)) == ["d", "e"]


# Names


@pytest.mark.parametrize("group", PATHS)
def test_t02_hostile_paths_make_nothing(out: Path, group: str) -> None:
    for path in PATHS[group]:
        for overwrite in ALL:
            with OutputTree(str(out), overwrite) as output:
                for depth in range(1, min(len(path), 5)):
                    with suppress(RemoteProtocolError):
                        output.enter(path[:depth], 0o755, TIME)
                made = _tree(out)
                with pytest.raises(RemoteProtocolError):
                    output.begin(path, 0o644, TIME)
                with pytest.raises(RemoteProtocolError):
                    output.enter(path, 0o755, TIME)
                assert _tree(out) == made
    assert not [name for name in _tree(out.parent) if not name.startswith("out")]


@pytest.mark.parametrize("group", TREES)
def test_t02_hostile_trees_stop_at_the_last_entry(out: Path, group: str) -> None:
    for tree in TREES[group]:
        with OutputTree(str(out), Overwrite.RENAME) as output:
            for entry in tree[:-1]:
                _take(output, entry)
            made = _tree(out)
            with pytest.raises(RemoteProtocolError):
                _take(output, tree[-1])
            assert _tree(out) == made


def _take(output: OutputTree, entry: Listed) -> None:
    if entry.directory:
        output.enter(entry.path, 0o755, TIME)
    else:
        _put(output, *entry.path)


_HOSTILE = [name for paths in PATHS.values() for path in paths for name in path if len(name) < 300]
_NAME = st.one_of(
    st.sampled_from(_HOSTILE),
    st.sampled_from(ORDINARY),
    st.sampled_from(["f", "to-outside", "sub"]),
    st.text(max_size=5),
)
_ENTRIES = st.lists(st.tuples(st.lists(_NAME, min_size=1, max_size=3), st.booleans()), max_size=6)


@settings(deadline=None)
@given(
    output=st.sampled_from(["none", "new", "new/below", "file", "folder", "link", "dangling"]),
    overwrite=st.sampled_from(ALL),
    entries=_ENTRIES,
    order=st.booleans(),
)
def test_t03_whatever_is_sent_lands_under_the_output(
    output: str, overwrite: Overwrite, entries: list[tuple[list[str], bool]], order: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        base = Path(name).resolve()
        for folder in ("cwd", "folder", "target", "outside/sub"):
            (base / folder).mkdir(parents=True)
        (base / "outside" / "f").write_bytes(b"precious")
        (base / "file").write_bytes(b"old")
        (base / "link").symlink_to("target")
        (base / "dangling").symlink_to("nowhere")
        for folder in ("folder", "target"):
            (base / folder / "to-outside").symlink_to("../outside")
            (base / folder / "sub").mkdir()
            (base / folder / "sub" / "to-outside").symlink_to("../../outside/f")
        root = {"none": base / "cwd", "new/below": base / "new", "link": base / "target"}.get(
            output, base / output
        )
        before = {
            name: facts
            for name, facts in _tree(base).items()
            if not (base / name).is_relative_to(root)
        }
        here = os.getcwd()
        os.chdir(base / "cwd")
        try:
            with (
                suppress(FileSystemError),
                OutputTree("." if output == "none" else str(base / output), overwrite) as received,
            ):
                for components, directory in sorted(entries) if order else entries:
                    with suppress(TallowError):
                        _take(received, Listed(tuple(components), directory))
        finally:
            os.chdir(here)
        after = {
            name: facts
            for name, facts in _tree(base).items()
            if not (base / name).is_relative_to(root)
        }
        assert after == before
        if root.is_dir() and output != "file":
            for path in root.rglob("*"):
                assert path.is_symlink() or path.resolve().is_relative_to(root)
                assert not path.name.startswith(".tallow-")


# Races


def _swapping(
    victim: Path, outside: Path, aside: Path, stop: threading.Event, count: list[int]
) -> None:
    for number in (
        itertools.count()
    ):  # a name of its own each time: the one before may have become a folder that is not empty
        if stop.is_set():
            return
        with suppress(OSError):
            victim.rename(aside / f"{number}")
        with suppress(OSError):
            victim.symlink_to(outside)
            count[0] += 1
        with suppress(OSError):
            victim.unlink()


@pytest.mark.parametrize("overwrite", ALL)
@pytest.mark.parametrize("victim", ["d", "d/e", "d/e/f"])
def test_t05_a_racing_swap_never_leads_outside(
    out: Path, outside: Path, tmp_path: Path, overwrite: Overwrite, victim: str
) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    target = outside / "f" if victim == "d/e/f" else outside
    stop, count = threading.Event(), [0]
    thread = threading.Thread(target=_swapping, args=(out / victim, target, aside, stop, count))
    landed, runs, deadline = 0, 0, time.monotonic() + 10
    thread.start()
    try:
        while (
            runs < 2_000
            and not (runs >= 150 and landed and count[0] > 100)
            and time.monotonic() < deadline
        ):
            runs += 1
            with suppress(FileSystemError), OutputTree(str(out), overwrite) as output:
                output.enter(("d",), 0o755, TIME)
                output.enter(("d", "e"), 0o755, TIME)
                landed += _put(output, "d", "e", "f") is not None
    finally:
        stop.set()
        thread.join(20)
    assert count[0]
    assert _tree(outside) == {"f": b"precious"}
    assert stat.S_IMODE((outside / "f").stat().st_mode) != 0o755


def test_t05_a_folder_swapped_right_after_mkdir_is_not_entered(
    out: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def swap(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real(path, mode, dir_fd=dir_fd)
        os.rename(path, "moved", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        os.symlink(outside, path, dir_fd=dir_fd)

    with OutputTree(str(out), Overwrite.RENAME) as output:
        monkeypatch.setattr(os, "mkdir", swap)
        with pytest.raises(FileSystemError):
            output.enter(("d",), 0o755, TIME)
        monkeypatch.undo()
    assert _tree(outside) == {"f": b"precious"}


def test_t05_a_staging_folder_swapped_for_a_link_is_not_used(
    out: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def swap(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real(path, mode, dir_fd=dir_fd)
        os.rename(path, "moved", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        os.symlink(outside, path, dir_fd=dir_fd)

    with OutputTree(str(out), Overwrite.RENAME) as output:
        monkeypatch.setattr(os, "mkdir", swap)
        with pytest.raises(FileSystemError):
            output.begin(("f",), 0o644, TIME)
        monkeypatch.undo()
    assert _tree(outside) == {"f": b"precious"}


@pytest.mark.parametrize("overwrite", ALL)
def test_t05_a_parent_swapped_while_a_file_is_on_its_way(
    out: Path, outside: Path, overwrite: Overwrite
) -> None:
    with OutputTree(str(out), overwrite) as output:
        output.enter(("d",), 0o755, TIME)
        writer = output.begin(("d", "f"), 0o644, TIME)
        assert writer is not None
        (out / "d").rename(out / "moved")
        (out / "d").symlink_to(outside)
        writer.write(0, b"new")
        writer.commit()
        output.enter(("d", "sub"), 0o755, TIME)
    assert _tree(outside) == {"f": b"precious"}
    assert _tree(out / "moved") == {"f": b"new", "sub": "/"}


@pytest.mark.parametrize("overwrite", ALL)
def test_t05_a_leaf_planted_while_a_file_is_on_its_way(
    out: Path, outside: Path, overwrite: Overwrite
) -> None:
    with OutputTree(str(out), overwrite) as output:
        writer = output.begin(("f",), 0o777, TIME)
        assert writer is not None
        writer.write(0, b"new")
        (out / "f").symlink_to(outside / "f")
        with suppress(FileSystemError):
            writer.commit()
    assert _tree(outside) == {"f": b"precious"}
    expected: dict[Overwrite, dict[str, bytes | str]] = {
        Overwrite.RENAME: {"f": str(outside / "f"), "f (1)": b"new"},
        Overwrite.NEVER: {"f": str(outside / "f")},
        Overwrite.ALWAYS: {"f": b"new"},
    }
    assert _tree(out) == expected[overwrite]


def test_t05_cleaning_up_follows_no_link(out: Path, outside: Path) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as output:
        output.begin(("f",), 0o644, TIME)
        (staging,) = out.glob(".tallow-*")
        (temporary,) = staging.iterdir()
        staging.rename(out / "moved")
        staging.symlink_to(outside)
        (outside / temporary.name).write_bytes(b"theirs")
    assert _tree(outside) == {"f": b"precious", temporary.name: b"theirs"}
    assert staging.is_symlink()
    assert not list((out / "moved").iterdir())


def test_t05_cleaning_up_removes_no_folder_of_others(out: Path) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as output:
        _put(output, "f")
        (staging,) = out.glob(".tallow-*")
        staging.rename(out / "moved")
        staging.mkdir()
    assert staging.is_dir()


# Temporary files


def test_t08_temporary_files_are_private_and_unpredictable(
    out: Path, umask: Callable[[int], int]
) -> None:
    umask(0)
    names = set()
    for _ in range(3):
        with OutputTree(str(out), Overwrite.RENAME) as output:
            writers = [output.begin((f"{number}",), 0o777, TIME) for number in range(3)]
            (staging,) = out.iterdir()
            names.add(staging.name)
            assert stat.S_IMODE(staging.stat().st_mode) == 0o700
            assert len(staging.name) == len(".tallow-") + 16
            for writer in writers:
                assert writer is not None
                writer.write(0, b"data")
            for file in staging.iterdir():
                names.add(file.name)
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
                assert len(file.name) == 32
    assert len(names) == 12
    assert not list(out.iterdir())


def test_t08_a_folder_is_private_until_it_is_left(out: Path) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as output:
        output.enter(("d",), 0o777, TIME)
        assert stat.S_IMODE((out / "d").stat().st_mode) == 0o700


def test_t08_a_planted_temporary_file_is_not_opened(
    out: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as output:
        _put(output, "a")
        (staging,) = out.glob(".tallow-*")
        monkeypatch.setattr(output.staging, "temporary_name", lambda: "guessed")
        for name, target in (("b", outside / "f"), ("c", outside / "new"), ("d", None)):
            (staging / "guessed").symlink_to(target) if target else (staging / "guessed").touch()
            with pytest.raises(FileSystemError):
                _put(output, name)
            (staging / "guessed").unlink()
    assert _tree(outside) == {"f": b"precious"}


def test_t08_nothing_is_under_a_final_name_before_commit(out: Path) -> None:
    def broken_off() -> None:
        with OutputTree(str(out), Overwrite.RENAME) as output:
            output.enter(("d",), 0o750, TIME)
            _put(output, "d", "done")
            half = output.begin(("d", "half"), 0o644, TIME)
            assert half is not None
            half.write(0, b"ha")
            assert _tree(out / "d") == {"done": b"new"}
            raise RuntimeError("broken off")

    with pytest.raises(RuntimeError):
        broken_off()
    assert _tree(out) == {"d": "/", "d/done": b"new"}
    assert stat.S_IMODE((out / "d").stat().st_mode) == 0o750


def test_t08_cleanup_removes_only_its_own(out: Path) -> None:
    (out / ".tallow-0000000000000000").mkdir()
    (out / ".tallow-0000000000000000" / "theirs").touch()
    output = OutputTree(str(out), Overwrite.RENAME)
    writer = output.begin(("f",), 0o644, TIME)
    assert writer is not None
    (staging,) = (path for path in out.iterdir() if not path.name.endswith("0000"))
    (staging / "foreign").touch()
    writer.discard()
    writer.discard()
    output.close()
    output.close()
    output.abort()
    assert [path.name for path in staging.iterdir()] == ["foreign"]
    assert (out / ".tallow-0000000000000000" / "theirs").exists()


def test_files_may_be_committed_after_their_folder_was_left(
    out: Path, umask: Callable[[int], int]
) -> None:
    with OutputTree(str(out), Overwrite.RENAME) as output:
        output.enter(("d",), 0o555, TIME)
        late = output.begin(("d", "f"), 0o644, TIME)
        assert late is not None
        _put(output, "e")
        late.write(3, b"new")
        late.write(0, b"old")
        assert late.commit() == "d/f"
        assert ((out / "d").stat().st_mode & 0o777, (out / "d").stat().st_mtime_ns) == (0o555, TIME)
    assert _tree(out) == {"d": "/", "d/f": b"oldnew", "e": b"new"}


def test_partial_writes_are_continued(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda fd, data, offset: real(fd, memoryview(data)[:3], offset)
    )
    with OutputTree(str(out), Overwrite.RENAME) as output:
        _put(output, "f", data=b"0123456789")
    assert (out / "f").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG, errno.EIO]
)
@pytest.mark.parametrize("call", ["open", "pwrite", "utime", "mkdir"])
def test_t08_failures_of_the_system_are_told_and_leave_nothing(
    out: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    output = OutputTree(str(out), Overwrite.RENAME)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(FileSystemError, match="'f'") as caught:
            _put(output, "f")
    assert not str(caught.value).endswith(".")
    output.close()
    assert _tree(out) == {}


def test_a_file_system_without_modes_still_takes_files(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no modes here")

    monkeypatch.setattr(os, "fchmod", fail)
    monkeypatch.setattr(os, "utime", fail)
    with OutputTree(str(out), Overwrite.RENAME) as output:
        assert _put(output, "f") == "f"


@pytest.mark.parametrize("native", [True, False, errno.EINVAL, errno.ENOSYS])
def test_t08_rename_never_replaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool | int
) -> None:
    if native is False:
        monkeypatch.setattr(renaming, "_native", lambda: None)
    elif native is not True:
        monkeypatch.setattr(renaming, "_native", lambda: lambda *_: -1)
        monkeypatch.setattr(ctypes, "get_errno", lambda: native)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        (tmp_path / "new").write_bytes(b"new")
        (tmp_path / "file").write_bytes(b"old")
        (tmp_path / "folder").mkdir()
        (tmp_path / "dangling").symlink_to("nowhere")
        for taken in ("file", "folder", "dangling"):
            with pytest.raises(FileExistsError):
                rename_new(fd, "new", fd, taken)
        rename_new(fd, "new", fd, "free")
        with pytest.raises(FileNotFoundError):
            rename_new(fd, "new", fd, "free2")
    finally:
        os.close(fd)
    assert _tree(tmp_path) == {"dangling": "nowhere", "file": b"old", "folder": "/", "free": b"new"}


def test_descriptors_are_closed(out: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    output = OutputTree(str(out), Overwrite.RENAME)
    output.enter(("d",), 0o755, TIME)
    output.enter(("d", "e"), 0o755, TIME)
    output.begin(("d", "e", "f"), 0o644, TIME)
    output.begin(("d", "g"), 0o644, TIME)
    output.close()
    assert len(os.listdir("/dev/fd")) == before
    with pytest.raises(LocalProtocolError):
        output.begin(("h",), 0o644, TIME)

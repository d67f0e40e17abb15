"""T-06: the sender reads what was named, and nothing through a link inside it."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from tallow_core.errors import FileSystemError, UsageError
from tallow_core.files.skipped import Skipped
from tallow_core.files.source.source_entry import SourceEntry
from tallow_core.files.source.source_tree import SourceTree
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.path_names import TreeOrder
from tests.kit.corpus import ORDINARY

SECRET = b"outside"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "f").write_bytes(b"inside")
    (root / "sub" / "deep" / "g").write_bytes(b"deep")
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "f").write_bytes(SECRET)
    (outside / "deep" / "g").write_bytes(SECRET)
    return root


def _read(sources: SourceTree, entry: SourceEntry) -> bytes:
    opened = sources.open(entry)
    try:
        opened.check()
        return os.read(opened.fd, 100)
    finally:
        opened.close()


def _file(sources: SourceTree, *components: str) -> SourceEntry:
    return next(entry for entry in sources.walk() if entry.components == components)


def test_walk_is_in_canonical_order_and_complete(tmp_path: Path) -> None:
    root = tmp_path / "all"
    root.mkdir()
    wanted = []
    for name in ORDINARY:
        folder = root / name
        folder.mkdir()
        (folder / "B").write_bytes(b"b")
        (folder / "a").touch()
        wanted += [("all", name), ("all", name, "a"), ("all", name, "B")]
    (tmp_path / "ALONE").write_bytes(b"1234")
    order = TreeOrder()
    with SourceTree([str(root), str(tmp_path / "ALONE")]) as sources:
        entries = list(sources.walk())
        for entry in entries:
            order.place(entry.components, entry.directory)
        assert not sources.skipped
        assert sorted(entry.components for entry in entries) == sorted(
            [("all",), ("ALONE",), *wanted]
        )
        assert next(entry for entry in entries if entry.components == ("ALONE",)).entry.size == 4
        assert [entry.components for entry in sources.walk()] == [
            entry.components for entry in entries
        ]
        contents = {
            entry.components[-1]: _read(sources, entry) for entry in entries if not entry.directory
        }
    assert contents == {"ALONE": b"1234", "a": b"", "B": b"b"}


def test_facts_of_an_entry(tree: Path) -> None:
    file = tree / "sub" / "f"
    file.chmod(0o4751)
    os.utime(file, ns=(5, 1_234_567_890_123_456_789))
    with SourceTree([str(tree)]) as sources:
        entry = _file(sources, "tree", "sub", "f")
    status = file.stat()
    expected = Entry(EntryKind.FILE, ("tree", "sub", "f"), 0o751, 1_234_567_890_123_456_789, 6)
    assert entry == SourceEntry(expected, (status.st_dev, status.st_ino))


@pytest.mark.sockets
def test_t06_links_and_special_files_are_left_out(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "to-file").symlink_to(tmp_path / "outside" / "f")
    (tree / "to-folder").symlink_to(tmp_path / "outside")
    (tree / "dangling").symlink_to("nowhere")
    (tree / "loop").symlink_to("loop")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tree)  # the path of a socket has to be short
        server.bind("socket")
        with SourceTree([str(tree)]) as sources:
            names = {entry.components[-1] for entry in sources.walk()}
            skipped = set(sources.skipped)
    assert names == {
        "tree",
        "sub",
        "deep",
        "f",
        "g",
        "dangling",
        "loop",
    }  # a link that stays in the tree is one, wherever it leads
    links = {Skipped(f"tree/{name}", "link") for name in ("to-file", "to-folder")}
    assert skipped == links | {Skipped("tree/fifo", "special"), Skipped("tree/socket", "special")}


def test_unreadable_is_left_out(tree: Path) -> None:
    (tree / "sub" / "f").chmod(0)
    (tree / "sub" / "deep").chmod(0)
    if os.access(tree / "sub" / "f", os.R_OK):
        pytest.skip("root may read everything")
    with SourceTree([str(tree)]) as sources:
        assert [entry.components[-1] for entry in sources.walk()] == ["tree", "sub"]
        assert set(sources.skipped) == {
            Skipped("tree/sub/f", "unreadable"),
            Skipped("tree/sub/deep", "unreadable"),
        }
    (tree / "sub" / "deep").chmod(0o700)


def test_unreadable_as_the_system_says_is_left_out(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_f(
        path: str, mode: int, *, dir_fd: int | None = None, effective_ids: bool = False
    ) -> bool:
        return path != "f"

    monkeypatch.setattr(os, "access", refuse_f)
    with SourceTree([str(tree)]) as sources:
        assert "f" not in {entry.components[-1] for entry in sources.walk()}
        assert sources.skipped == [Skipped("tree/sub/f", "unreadable")]


def test_names_that_no_receiver_takes_are_left_out(tree: Path) -> None:
    bad = ["a:b", "back\\slash", "CON.txt", "dot.", "esc\x1b[2J", ".tallow-0123", "\u202egpj.exe"]
    for name in bad:
        (tree / name).touch()
    raw = os.fsencode(tree) + b"/\xff\xfe"
    os.close(os.open(raw, os.O_CREAT | os.O_WRONLY))
    (tree / "Same").touch()
    (tree / "same").touch()
    with SourceTree([str(tree)]) as sources:
        names = [entry.components[-1] for entry in sources.walk()]
        skipped = {(skipped.path, skipped.reason) for skipped in sources.skipped}
    assert names == ["tree", "%FF%FE", "Same", "sub", "deep", "g", "f"]
    assert skipped == {(f"tree/{name}", "name") for name in [*bad, "same"]}


def test_a_tree_that_is_too_deep_is_cut(tmp_path: Path) -> None:
    folder = tmp_path / "top"
    folder.joinpath(*["d"] * 70).mkdir(parents=True)
    with SourceTree([str(folder)]) as sources:
        entries = list(sources.walk())
    assert len(entries) == 64
    assert [skipped.reason for skipped in sources.skipped] == ["name"]


def test_what_is_named_may_be_a_link(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "folder-link").symlink_to(tree)
    (tmp_path / "file-link").symlink_to(tree / "sub" / "f")
    with SourceTree([str(tmp_path / "folder-link"), str(tmp_path / "file-link")]) as sources:
        entries = {entry.components: entry for entry in sources.walk()}
        assert not entries["file-link",].directory
        assert _read(sources, entries["file-link",]) == b"inside"
        assert _read(sources, entries["folder-link", "sub", "f"]) == b"inside"


@pytest.mark.parametrize(
    ("named", "name"),
    [
        (".", "sub"),
        ("..", "tree"),
        ("deep/..", "sub"),
        ("deep/", "deep"),
        ("../sub/.", "sub"),
        ("f", "f"),
    ],
)
def test_top_level_name(tree: Path, monkeypatch: pytest.MonkeyPatch, named: str, name: str) -> None:
    monkeypatch.chdir(tree / "sub")
    with SourceTree([named]) as sources:
        assert next(sources.walk()).components == (name,)


def test_what_cannot_be_named(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "a:b").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "TREE").touch()
    for path in (
        str(tmp_path / "missing"),
        "",
        str(tmp_path / "fifo"),
        str(tree / "sub" / "f" / "x"),
    ):
        with pytest.raises(FileSystemError):
            SourceTree([path])
    for paths in (
        ["/"],
        [str(tmp_path / "a:b")],
        [str(tree), str(tmp_path / "other" / "TREE")],
        [str(tree), f"{tree}/"],
    ):
        with pytest.raises(UsageError):
            SourceTree(paths)


def test_t06_leaf_swapped_between_walk_and_open(tree: Path, tmp_path: Path) -> None:
    with SourceTree([str(tree)]) as sources:
        entry = _file(sources, "tree", "sub", "f")
        (tree / "sub" / "f").unlink()
        (tree / "sub" / "f").symlink_to(tmp_path / "outside" / "f")
        with pytest.raises(FileSystemError, match="changed while it was being sent"):
            _read(sources, entry)
        (tree / "sub" / "f").unlink()
        os.mkfifo(tree / "sub" / "f")
        with pytest.raises(FileSystemError, match="changed"):
            _read(sources, entry)
        (tree / "sub" / "f").unlink()
        with pytest.raises(FileSystemError, match="changed"):
            _read(sources, entry)


@pytest.mark.parametrize("folder", ["sub", "sub/deep"])
def test_t06_folder_swapped_for_a_link_between_walk_and_open(
    tree: Path, tmp_path: Path, folder: str
) -> None:
    with SourceTree([str(tree)]) as sources:
        entry = _file(sources, "tree", "sub", "deep", "g")
        (tree / folder).rename(tmp_path / "moved")
        (tree / folder).symlink_to(tmp_path / "outside" / folder.removeprefix("sub").lstrip("/"))
        assert (tree / "sub" / "deep" / "g").read_bytes() == SECRET
        with pytest.raises(FileSystemError, match="changed"):
            _read(sources, entry)


def test_t06_top_level_swapped_for_another(tree: Path, tmp_path: Path) -> None:
    with SourceTree([str(tree)]) as sources:
        entry = _file(sources, "tree", "sub", "f")
        tree.rename(tmp_path / "moved")
        (tmp_path / "other").mkdir()
        (tmp_path / "outside").rename(tmp_path / "other" / "sub")
        tree.symlink_to(tmp_path / "other")
        with pytest.raises(FileSystemError, match="changed"):
            _read(sources, entry)
        with pytest.raises(FileSystemError, match="changed"):
            list(sources.walk())


def test_t06_file_replaced_by_another(tree: Path, tmp_path: Path) -> None:
    with SourceTree([str(tree)]) as sources:
        entry = _file(sources, "tree", "sub", "f")
        (tmp_path / "outside" / "f").rename(tree / "sub" / "f")
        with pytest.raises(FileSystemError, match="changed"):
            _read(sources, entry)


def test_t06_top_level_swapped_during_the_walk(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def swap(
        path: str, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        status = real(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        tree.rename(tmp_path / "moved")
        tree.symlink_to(tmp_path / "outside")
        return status

    with SourceTree([str(tree)]) as sources:
        monkeypatch.setattr(os, "stat", swap)
        with pytest.raises(FileSystemError, match="changed"):
            list(sources.walk())


def test_t06_folder_swapped_for_a_link_during_the_walk(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def swap(
        path: str, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        status = real(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        if path == "deep":
            (tree / "sub" / "deep").rename(tmp_path / "moved")
            (tree / "sub" / "deep").symlink_to(tmp_path / "outside")
        return status

    with SourceTree([str(tree)]) as sources:
        monkeypatch.setattr(os, "stat", swap)
        assert [entry.components[-1] for entry in sources.walk()] == ["tree", "sub", "f"]
        assert sources.skipped == [Skipped("tree/sub/deep", "unreadable")]


def test_t06_a_racing_swap_never_shows_what_is_outside(tree: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    swaps = 0

    def race() -> None:
        nonlocal swaps
        while not stop.is_set():
            (tree / "sub").rename(tmp_path / "moved")
            (tree / "sub").symlink_to(tmp_path / "outside")
            (tree / "sub").unlink()
            (tmp_path / "moved").rename(tree / "sub")
            swaps += 1

    thread = threading.Thread(target=race)
    read, refused = 0, 0
    with SourceTree([str(tree)]) as sources:
        entry = _file(sources, "tree", "sub", "deep", "g")
        thread.start()
        deadline = time.monotonic() + 20
        try:
            while (min(read, refused, swaps) < 50) and time.monotonic() < deadline:
                sources.close()
                try:
                    assert _read(sources, entry) == b"deep"
                    read += 1
                except FileSystemError:
                    refused += 1
        finally:
            stop.set()
            thread.join(20)
    assert swaps
    assert read
    assert refused


def test_descriptors_are_closed(tree: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    sources = SourceTree([str(tree)])
    walk = sources.walk()
    for _ in range(3):
        next(walk)
    walk.close()  # type: ignore[attr-defined]
    _read(sources, _file(sources, "tree", "sub", "deep", "g"))
    sources.close()
    sources.close()
    assert len(os.listdir("/dev/fd")) == before

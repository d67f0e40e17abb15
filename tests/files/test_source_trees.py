"""T-06 and what a tree holds beside plain files: links, holes, odd names, patterns, and what
changes meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tallow_core.errors import FileSystemError, UsageError
from tallow_core.files.extents import data_extents, measure
from tallow_core.files.os_faults import ChangedError
from tallow_core.files.skipped import Skipped
from tallow_core.files.source.source_entry import SourceEntry
from tallow_core.files.source.source_tree import SourceTree
from tallow_core.files.source.top_level import top_levels
from tallow_core.files.source.tree_filter import TreeFilter, TreeOptions
from tallow_core.files.source.tree_reader import TreeReader
from tallow_core.files.source.tree_walk import TreeWalk
from tallow_core.protocol.transfer.manifest_entry import EntryKind
from tallow_core.protocol.transfer.path_names import TreeOrder

SECRET = b"outside"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "f").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "f").write_bytes(SECRET)
    return root


def walk(sources: SourceTree) -> dict[str, SourceEntry]:
    order, entries = TreeOrder(), {}
    for number, source in enumerate(sources.walk()):
        order.place(source.components, source.directory)
        entries["/".join(source.components)] = source
        if source.entry.kind == EntryKind.HARD_LINK:
            assert list(entries.values())[source.entry.first].entry.kind in (
                EntryKind.FILE,
                EntryKind.SPARSE,
            )
            assert source.entry.first < number
    return entries


def names(root: Path, **choice: object) -> set[str]:
    with SourceTree([str(root)], TreeOptions(**choice)) as sources:  # type: ignore[arg-type]
        return {name.partition("/")[2] for name in walk(sources)} - {""}


def read(sources: SourceTree, entry: SourceEntry) -> bytes:
    opened = sources.open(entry)
    try:
        opened.check()
        return os.read(opened.fd, 100)
    finally:
        opened.close()


# Links

KEPT = {
    "f": "f",
    "./f": "f",
    "deep//g": "deep/g",
    "deep/": "deep",
    "..": "..",
    "../sub/f": "../sub/f",
    ".": ".",
    "nowhere": "nowhere",
}
LEFT_OUT = [
    "/etc/passwd",
    "../..",
    "../../outside/f",
    "deep/../f",
    "../sub/../f",
    "a:b",
    "\udcff",
    "C:\\x",
    "../" * 40 + "x",
]


@pytest.mark.parametrize(("target", "sent"), KEPT.items(), ids=range(len(KEPT)))
def test_t06_a_link_that_stays_in_the_tree_is_sent_as_one(
    tree: Path, target: str, sent: str
) -> None:
    (tree / "sub" / "link").symlink_to(target)
    os.symlink(target, tree / "sub" / "link2")
    with SourceTree([str(tree)]) as sources:
        entry = walk(sources)["tree/sub/link2"].entry
        assert (entry.kind, entry.target, entry.size, entry.mode) == (EntryKind.SYMLINK, sent, 0, 0)
        assert entry.mtime_ns == (tree / "sub" / "link2").lstat().st_mtime_ns
        assert sources.skipped == []


@pytest.mark.parametrize("target", LEFT_OUT, ids=range(len(LEFT_OUT)))
def test_t06_a_link_that_may_lead_out_is_left_out(tree: Path, target: str) -> None:
    os.symlink(target, tree / "sub" / "link")
    with SourceTree([str(tree)]) as sources:
        assert "tree/sub/link" not in walk(sources)
        assert sources.skipped == [Skipped("tree/sub/link", "link")]


def test_links_are_followed_when_asked(tree: Path, tmp_path: Path) -> None:
    (tree / "to-file").symlink_to(tmp_path / "outside" / "f")
    (tree / "to-folder").symlink_to(tmp_path / "outside")
    (tree / "inside").symlink_to("sub")
    (tree / "dangling").symlink_to(tmp_path / "nowhere")
    (tree / "sub" / "loop").symlink_to("..")
    (tree / "sub" / "self").symlink_to("self")
    (tree / "null").symlink_to("/dev/null")
    with SourceTree([str(tree)], TreeOptions(follow=True)) as sources:
        entries = walk(sources)
        assert not any(
            source.entry.kind == EntryKind.SYMLINK
            for source in entries.values()
            if source.components[-1] != "self"
        )
        assert read(sources, entries["tree/to-file"]) == SECRET
        assert read(sources, entries["tree/to-folder/f"]) == SECRET
        assert read(sources, entries["tree/inside/f"]) == b"inside"
        skipped = {(each.path, each.reason) for each in sources.skipped}
    assert {
        ("tree/dangling", "link"),
        ("tree/sub/loop", "link"),
        ("tree/inside/loop", "link"),
        ("tree/null", "special"),
    } <= skipped


def test_t06_a_followed_link_must_still_lead_to_the_same_place(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "f").write_bytes(b"other")
    (tree / "file").symlink_to(tmp_path / "outside" / "f")
    (tree / "folder").symlink_to(tmp_path / "outside")
    with SourceTree([str(tree)], TreeOptions(follow=True)) as sources:
        entries = walk(sources)
        for name, target in (("file", "other/f"), ("folder", "other")):
            (tree / name).unlink()
            (tree / name).symlink_to(tmp_path / target)
        for name in ("tree/file", "tree/folder/f"):
            with pytest.raises(ChangedError):
                read(sources, entries[name])


def test_t06_a_followed_folder_must_be_the_same_even_if_the_file_is(
    tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    os.link(tmp_path / "outside" / "f", tmp_path / "other" / "f")
    (tree / "folder").symlink_to(tmp_path / "outside")
    with SourceTree([str(tree)], TreeOptions(follow=True)) as sources:
        entry = walk(sources)["tree/folder/f"]
        assert read(sources, entry) == SECRET
        sources.close()
        (tree / "folder").unlink()
        (tree / "folder").symlink_to(tmp_path / "other")
        with pytest.raises(ChangedError):
            read(sources, entry)


def test_t06_without_follow_nothing_is_followed_even_where_a_walk_with_it_was(
    tree: Path, tmp_path: Path
) -> None:
    (tree / "file").symlink_to(tmp_path / "outside" / "f")
    with (
        SourceTree([str(tree)], TreeOptions(follow=True)) as following,
        SourceTree([str(tree)]) as sources,
    ):
        entry = walk(following)["tree/file"]
        walk(sources)
        with pytest.raises(ChangedError):
            read(sources, entry)


def test_further_names_of_a_file_are_hard_links(tree: Path, tmp_path: Path) -> None:
    first = tree / "a"
    first.write_bytes(b"x")
    for place in (
        tree / "sub" / "deep" / "b",
        tree / "z",
        tmp_path / "elsewhere",
        tree / "sub" / "q",
    ):
        os.link(first, place)
    with SourceTree([str(tree), str(tmp_path / "elsewhere")]) as sources:
        for _ in range(2):
            entries = walk(sources)
            linked = {
                name: source.entry.first
                for name, source in entries.items()
                if source.entry.kind == EntryKind.HARD_LINK
            }
            (number,) = set(linked.values())
            assert list(entries)[number] == "elsewhere"
            assert linked.keys() == {"tree/a", "tree/sub/deep/b", "tree/z", "tree/sub/q"}
    tops = top_levels([str(tree), str(tmp_path / "elsewhere")])
    once = TreeWalk(tops, TreeReader(tops), TreeFilter(TreeOptions()), [], [], follow=False)
    assert list(once.entries())
    assert once._linked == {}, "memory is given back when the last name has come"


def test_a_file_with_a_name_outside_is_sent_as_itself(tree: Path, tmp_path: Path) -> None:
    os.link(tmp_path / "outside" / "f", tree / "one")
    with SourceTree([str(tree)]) as sources:
        assert walk(sources)["tree/one"].entry.kind == EntryKind.FILE


# Holes


def sparse(path: Path, size: int, *parts: tuple[int, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in parts:
            file.seek(at)
            file.write(data)
    if measured(path) >= size:
        pytest.skip("this file system keeps no holes")
    return path


def measured(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return measure(fd, path.stat().st_size)
    finally:
        os.close(fd)


def test_a_sparse_file_says_how_much_data_it_has(tree: Path) -> None:
    sparse(tree / "holes", 10 << 20, (3 << 20, b"x" * 5000), ((10 << 20) - 1, b"y"))
    (tree / "full").write_bytes(b"x" * (1 << 20))
    with SourceTree([str(tree)]) as sources:
        entries = walk(sources)
    entry = entries["tree/holes"].entry
    assert (entry.kind, entry.size) == (EntryKind.SPARSE, 10 << 20)
    assert 5001 <= entry.data < 1 << 20
    assert entries["tree/full"].entry.kind == EntryKind.FILE


def test_extents_cover_all_data(tmp_path: Path) -> None:
    path = sparse(tmp_path / "f", 8 << 20, (0, b"a"), (4 << 20, b"b" * 10), (6 << 20, b"c"))
    fd = os.open(path, os.O_RDONLY)
    try:
        whole, rebuilt = path.read_bytes(), bytearray(8 << 20)
        for start, end in data_extents(fd, 8 << 20):
            rebuilt[start:end] = os.read(fd, end - start)
        assert bytes(rebuilt) == whole
        assert list(data_extents(fd, 0)) == []
        assert list(data_extents(fd, 1)) == [(0, 1)]
    finally:
        os.close(fd)


# Names


def test_a_name_that_is_not_utf8_is_sent_readably(tree: Path) -> None:
    raw = os.fsencode(tree)
    (tree / "caf%E9").write_bytes(b"taken")
    for name in (b"caf\xe9", b"caf\xe9s", b"d\xff"):
        if name == b"d\xff":
            os.mkdir(raw + b"/" + name)
            (tree / os.fsdecode(name) / "f").write_bytes(b"below")
        else:
            with open(raw + b"/" + name, "wb") as file:
                file.write(name)
    with SourceTree([str(tree)]) as sources:
        entries = walk(sources)
        assert read(sources, entries["tree/caf%E9"]) == b"taken"
        assert read(sources, entries["tree/caf%E9s"]) == b"caf\xe9s"
        assert read(sources, entries["tree/d%FF/f"]) == b"below"
        assert sources.skipped == [Skipped("tree/caf%E9", "name")]
        assert sources.renamed == [("tree/caf\udce9s", "caf%E9s"), ("tree/d\udcff", "d%FF")]


def test_what_is_named_may_have_such_a_name(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xfe")
    Path(path).write_bytes(b"x")
    with SourceTree([path]) as sources:
        entries = walk(sources)
        assert read(sources, entries["%FE"]) == b"x"
        assert sources.renamed == [("\udcfe", "%FE")]


# Patterns


def test_exclude(tree: Path) -> None:
    for name in ("a.log", "keep.log", "sub/b.log", "sub/deep/c"):
        (tree / name).touch()
    assert names(tree, exclude=("*.log", "!keep.log")) == {
        "keep.log",
        "sub",
        "sub/deep",
        "sub/deep/c",
        "sub/f",
    }
    assert names(tree, exclude=("deep/",)) == {"a.log", "keep.log", "sub", "sub/b.log", "sub/f"}
    assert names(tree, exclude=("/tree/sub",)) == {"a.log", "keep.log"}
    assert names(tree, exclude=("/sub",)) == names(tree)
    with SourceTree([str(tree)], TreeOptions(exclude=("tree",))) as sources:
        assert walk(sources) == {}
        assert sources.skipped == [Skipped("tree", "excluded")]
    with pytest.raises(UsageError, match="pattern"):
        SourceTree([str(tree)], TreeOptions(exclude=("!",)))


def test_excluded_links_are_not_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "link").symlink_to(tmp_path / "outside")
    with SourceTree([str(tree)], TreeOptions(follow=True, exclude=("link",))) as sources:
        assert "tree/link" not in walk(sources)
        assert sources.skipped == [Skipped("tree/link", "excluded")]


def project(root: Path) -> Path:
    files = {
        ".gitignore": "*.o\n/build/\n!keep.o\n\\\n# a comment\n\nlogs/*\n!logs/keep\n",
        "sub/.gitignore": "!special.o\nlocal\n",
        "other/.gitignore": "/local\n",
        ".git/info/exclude": "mine\n",
        ".git/HEAD": "",
    }
    plain = [
        "x.o",
        "keep.o",
        "build/y",
        "sub/build/y",
        "sub/x.o",
        "sub/special.o",
        "sub/local",
        "sub/in/local",
        "other/local",
        "other/in/local",
    ]
    for name in [*plain, "logs/a", "logs/keep", "mine", "sub/mine", "z"]:
        files.setdefault(name, name)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_git_leaves_out_what_git_ignores(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    found = {name for name in names(root, git=True) if (root / name).is_file()}
    kept = (
        ".gitignore keep.o logs/keep other/.gitignore other/in/local sub/.gitignore sub/build/y"
        " sub/special.o z"
    )
    assert found == set(kept.split())
    below = {name for name in names(root / "sub", git=True) if (root / "sub" / name).is_file()}
    assert below == {".gitignore", "build/y", "special.o"}


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_agrees_with_git(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / ".git" / "refs").mkdir(parents=True)
    (root / ".git" / "objects").mkdir()
    project(root)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        env={**os.environ, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"},
    ).stdout
    assert {name for name in names(root, git=True) if (root / name).is_file()} == set(
        filter(None, listed.decode().split("\0"))
    )


def test_t06_an_ignore_file_that_is_a_link_is_not_read(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "patterns").write_text("f\n")
    (tree / "sub" / ".gitignore").symlink_to(tmp_path / "patterns")
    assert "sub/f" in names(tree, git=True)


# Changes


@pytest.mark.parametrize("change", ["append", "shrink", "touch", "replace", "remove", "folder"])
def test_a_change_before_it_is_opened_is_noticed(tree: Path, change: str) -> None:
    file = tree / "sub" / "f"
    with SourceTree([str(tree)]) as sources:
        entry = walk(sources)["tree/sub/f"]
        if change == "append":
            file.write_bytes(b"inside and more")
        elif change == "shrink":
            os.truncate(file, 2)
        elif change == "touch":
            os.utime(file, ns=(1, 1))
        else:
            file.unlink()
            if change == "replace":
                file.write_bytes(b"inside")
                os.utime(file, ns=(entry.entry.mtime_ns, entry.entry.mtime_ns))
            elif change == "folder":
                file.mkdir()
        if change == "replace" and file.stat().st_ino == entry.inode[1]:
            pytest.skip("the file system gave the same number again")
        with pytest.raises(ChangedError):
            read(sources, entry)


def test_what_vanishes_during_the_walk_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def stat_then(path: str, **how: object) -> os.stat_result:
        if path == "f":
            with suppress(FileNotFoundError):
                (tree / "sub" / "f").unlink()
        if path == "deep":
            status = real(path, **how)  # type: ignore[arg-type]
            (tree / "sub" / "deep").rmdir()
            return status
        return real(path, **how)  # type: ignore[arg-type]

    with SourceTree([str(tree)]) as sources:
        monkeypatch.setattr(os, "stat", stat_then)
        assert walk(sources).keys() == {"tree", "tree/sub"}
        assert set(sources.skipped) == {
            Skipped("tree/sub/f", "changed"),
            Skipped("tree/sub/deep", "unreadable"),
        }


def test_what_was_named_and_vanished_is_told_and_the_rest_is_sent(
    tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "gone").touch()
    with SourceTree([str(tree), str(tmp_path / "gone")]) as sources:
        (tmp_path / "gone").unlink()
        assert "tree/sub/f" in walk(sources)
        assert sources.skipped == [Skipped("gone", "changed")]


def test_t06_a_followed_folder_swapped_by_a_race_shows_one_or_nothing(
    tree: Path, tmp_path: Path
) -> None:
    """What is followed is what the walk saw; a link turned elsewhere later is noticed."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(name.encode())
    link = tree / "link"
    link.symlink_to(tmp_path / "one")
    stop = threading.Event()

    def race() -> None:
        while not stop.is_set():
            for name in ("two", "one"):
                (tmp_path / "new").symlink_to(tmp_path / name)
                (tmp_path / "new").rename(link)

    thread = threading.Thread(target=race)
    with SourceTree([str(tree)], TreeOptions(follow=True)) as sources:
        entry = walk(sources)["tree/link/f"]
        thread.start()
        seen, refused = set(), 0
        try:
            for _ in range(3000):
                sources.close()
                try:
                    seen.add(read(sources, entry))
                except FileSystemError:
                    refused += 1
        finally:
            stop.set()
            thread.join(20)
    assert seen <= {b"one"}
    assert refused

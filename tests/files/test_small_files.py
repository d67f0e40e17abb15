"""T-08 for small files, which get their names together: none before it is complete, and whatever
stops it, what was told is true."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tallow_core.errors import FileSystemError
from tallow_core.files.output import placement as placing
from tallow_core.files.output import small_files
from tallow_core.files.output.journal import JournalSubject
from tallow_core.files.output.output_tree import OutputTree
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.output.resumable_staging import ResumableStaging
from tallow_core.files.output.small_files import MAX_WAITING_FILES
from tallow_core.protocol.transfer.content_reader import (
    FileWhole,
)
from tallow_core.protocol.transfer.manifest_entry import (
    Entry,
    EntryKind,
)
from tallow_plugins.hashes.blake3 import Blake3

TIME = 1_234_567_890_987_654_321
KEY, FACTS, SEGMENT = bytes(32), JournalSubject(bytes(16), bytes(32), "blake3", 1 << 20), 1 << 20
FOLDER = Entry(EntryKind.DIRECTORY, ("d",), 0o755, TIME, 0)


def small(number: int, *components: str) -> FileWhole:
    """A small file as the reader of content gives it."""
    return FileWhole(
        number, Entry(EntryKind.FILE, components, 0o640, TIME, 3), memoryview(b"new"), bytes(32)
    )


def names(folder: Path) -> list[str]:
    """What lies in a folder, without the staging folder."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".tallow-"))


def test_names_are_given_together_and_not_before(tmp_path: Path) -> None:
    with OutputTree(str(tmp_path), Overwrite.RENAME) as tree:
        for number in range(MAX_WAITING_FILES - 1):
            assert not tree.put(small(number, f"{number:03d}"))
        assert names(tmp_path) == []
        assert tree.put(small(MAX_WAITING_FILES, "last"))
        assert len(names(tmp_path)) == MAX_WAITING_FILES, "so many do not wait"
        tree.put(small(MAX_WAITING_FILES + 1, "later"))
        settled = tree.settle()
        assert [path for _, path in settled] == [
            *(f"{n:03d}" for n in range(MAX_WAITING_FILES - 1)),
            "last",
            "later",
        ]
        assert tree.settle() == []


def test_what_waits_gets_its_name_at_the_end_whatever_the_end(tmp_path: Path) -> None:
    for name in ("close", "abort"):
        tree = OutputTree(str(tmp_path), Overwrite.RENAME)
        tree.put(small(0, name))
        getattr(tree, name)()
        assert [path for _, path in tree.settle()] == [name]
    assert names(tmp_path) == ["abort", "close"]
    assert len(os.listdir(tmp_path)) == 2


def test_a_folder_that_was_left_has_its_time_when_its_files_have_names(tmp_path: Path) -> None:
    with OutputTree(str(tmp_path), Overwrite.RENAME) as tree:
        tree.enter(("d",), 0o755, TIME)
        tree.put(small(1, "d", "f"))
        tree.enter(("e",), 0o755, TIME)
        assert names(tmp_path / "d") == []
        tree.settle()
        assert (tmp_path / "d").stat().st_mtime_ns == TIME
        assert names(tmp_path / "d") == ["f"]


def test_a_small_file_has_its_mode_and_links(tmp_path: Path) -> None:
    with OutputTree(str(tmp_path), Overwrite.RENAME) as tree:
        tree.put(small(0, "a"), keep=True)
        tree.put(small(1, "b"), keep=True, named=False)
        tree.hard_link(("c",), 0)
        tree.hard_link(("d",), 1)
        tree.settle()
    assert names(tmp_path) == ["a", "c", "d"]
    assert (tmp_path / "a").samefile(tmp_path / "c")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def failing_at(third: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the naming of one file fail."""
    given = iter(range(100))

    def place(*arguments: object) -> str:
        if next(given) == third:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return placing.place(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(small_files, "place", place)


def test_one_name_that_fails_ends_it_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = OutputTree(str(tmp_path), Overwrite.RENAME)
    for number, name in enumerate("abcd"):
        tree.put(small(number, name))
    failing_at(2, monkeypatch)
    with pytest.raises(FileSystemError, match="'c'"):
        tree.settle()
    tree.abort()
    assert [path for _, path in tree.settle()] == ["a", "b"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_the_journal_has_one_record_for_all_and_tells_no_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it was killed while the names were given: those that were are there, the others come
    again."""
    entries = [small(number, name).entry for number, name in enumerate("abcd")]
    tree = OutputTree(str(tmp_path), Overwrite.RENAME)
    area = ResumableStaging.make(tree.root, KEY, FACTS)
    tree.stage_in(area)
    journal, name, inode = tmp_path / area.name / "journal", area.name, area.inode
    for number, each in enumerate("abcd"):
        tree.put(small(number, each))
    assert not area.is_worth_keeping
    before = journal.stat().st_size
    failing_at(2, monkeypatch)
    with pytest.raises(FileSystemError):
        tree.settle()
    assert 4 * 29 < journal.stat().st_size - before < 4 * 29 + 50, "one record"
    area.suspend()
    again = OutputTree(str(tmp_path), Overwrite.RENAME)
    kept = ResumableStaging.reopen(again.root, name, inode, KEY, FACTS, len(entries))
    assert kept is not None
    kept.survey(entries, Overwrite.RENAME, Blake3, SEGMENT)
    assert list(kept.leftovers.complete_files) == [1, 1, 0, 0]
    kept.remove()
    again.close()


def test_a_journal_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = OutputTree(str(tmp_path), Overwrite.RENAME)
    area = ResumableStaging.make(tree.root, KEY, FACTS)
    tree.stage_in(area)
    tree.put(small(0, "a"))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(FileSystemError, match="journal"):
            tree.settle()
    tree.abort()
    area.remove()
    assert os.listdir(tmp_path) == []

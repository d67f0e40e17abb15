"""The two makes of staging area: an output tree does the same with either, and they differ in what
they leave."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tallow_core.files.output.journal import JournalSubject
from tallow_core.files.output.output_tree import OutputTree
from tallow_core.files.output.placement import Overwrite
from tallow_core.files.output.resumable_staging import ResumableStaging
from tallow_core.files.output.staging import EphemeralStaging, StagingArea

KEY, SUBJECT = bytes(32), JournalSubject(bytes(16), bytes(32), "blake3", 1 << 20)
TIME = 1_234_567_890_987_654_321

MAKES: dict[str, Callable[[int], StagingArea]] = {
    "ephemeral": EphemeralStaging,
    "resumable": lambda root: ResumableStaging.make(root, KEY, SUBJECT),
}


def staging_folders(out: Path) -> list[Path]:
    return [path for path in out.iterdir() if path.name.startswith(".tallow-")]


@pytest.mark.parametrize("make", MAKES)
def test_a_tree_does_the_same_with_either(make: str, tmp_path: Path) -> None:
    tree = OutputTree(str(tmp_path), Overwrite.RENAME)
    staging = MAKES[make](tree.root)
    tree.stage_in(staging)
    tree.enter(("d",), 0o755, TIME, number=0)
    writer = tree.begin(("d", "f"), 0o640, TIME, number=1, keep=True)
    assert writer is not None
    writer.write(0, b"content")
    (folder,) = staging_folders(tmp_path)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (tmp_path / "d" / "f").exists()
    assert writer.commit(7) == "d/f"
    tree.hard_link(("d", "g"), 1, number=2)
    tree.symlink(("d", "h"), "f", TIME, number=3)
    tree.close()
    assert sorted(os.listdir(tmp_path / "d")) == ["f", "g", "h"]
    assert (tmp_path / "d" / "f").samefile(tmp_path / "d" / "g")
    assert tree.links == 2
    if isinstance(staging, ResumableStaging):
        assert os.listdir(folder) == ["journal"]
        staging.remove()
    assert staging_folders(tmp_path) == []


@pytest.mark.parametrize("make", MAKES)
def test_only_what_was_recorded_is_left_of_an_unfinished_file(make: str, tmp_path: Path) -> None:
    tree = OutputTree(str(tmp_path), Overwrite.RENAME)
    staging = MAKES[make](tree.root)
    tree.stage_in(staging)
    for number, name in enumerate(("begun", "recorded")):
        writer = tree.begin((name,), 0o640, TIME, number=number)
        assert writer is not None
        writer.write(0, b"content")
        if name == "recorded":
            writer.segment(0, bytes(32))
    tree.abort()
    if isinstance(staging, ResumableStaging):
        (folder,) = staging_folders(tmp_path)
        assert len(os.listdir(folder)) == 2, "the journal and one file"
        assert staging.is_worth_keeping
        staging.remove()
    assert os.listdir(tmp_path) == []


def test_an_ephemeral_area_is_made_when_it_is_needed(tmp_path: Path) -> None:
    with OutputTree(str(tmp_path), Overwrite.RENAME) as tree:
        tree.enter(("d",), 0o755, TIME)
    assert os.listdir(tmp_path) == ["d"]

"""The files and folders that are sent from the disk. They are walked in canonical order, and opened
again one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType

from tallow_core.errors import ConfigError
from tallow_core.files.skipped import Skipped
from tallow_core.files.source.opened_source import OpenedFile
from tallow_core.files.source.source_entry import SourceEntry
from tallow_core.files.source.top_level import top_levels
from tallow_core.files.source.tree_filter import TreeFilter, TreeOptions
from tallow_core.files.source.tree_reader import TreeReader
from tallow_core.files.source.tree_walk import TreeWalk


class SourceTree:
    """The files and folders at `paths`; each becomes a top-level name. Raises what `top_levels`
    raises. Not for several threads at once."""

    def __init__(self, paths: Sequence[str], options: TreeOptions | None = None) -> None:
        if os.open not in os.supports_dir_fd:
            raise ConfigError(
                "sending files needs a system that opens them relative to a folder (Linux, macOS,"
                " BSD): send through '-'"
            )
        self._options = options or TreeOptions()
        self.skipped: list[Skipped] = []
        self.renamed: list[tuple[str, str]] = []
        """Paths (raw) with a name that is not UTF-8, and the names they are sent under."""
        self._filter = TreeFilter(self._options)
        self._tops = top_levels(paths)
        self._reader = TreeReader(self._tops)

    def __enter__(self) -> SourceTree:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the folders that `open` keeps. Idempotent."""
        self._reader.close()

    def walk(self) -> Iterator[SourceEntry]:
        """Yield all entries in the canonical order of `TreeOrder`.

        What is left out is in `skipped`, which each walk starts anew: links that lead out of their
        tree, special files, what cannot be read, what is excluded, and names that may not be sent
        or that collide with the one before on some file system.
        """
        self.skipped.clear()
        self.renamed.clear()
        self._reader.forget()
        yield from TreeWalk(
            self._tops,
            self._reader,
            self._filter,
            self.skipped,
            self.renamed,
            follow=self._options.follow,
        ).entries()

    def open(self, source: SourceEntry) -> OpenedFile:
        """Open a file that `walk` yielded; fast in the order of the walk. Raises
        `FileSystemError`, a `ChangedError` if it is gone or lies behind a link now.

        Whether it is the file that was found, as it was, is for its `check`: call it before the
        content is used.
        """
        return self._reader.open(source)

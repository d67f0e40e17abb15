"""How much memory this process can still use, by the limits that Linux states."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_UNLIMITED = 1 << 62
"""A control group without a limit states a number above this one, or the word `max`."""


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that are left: the minimum of what the machine, the control groups and RLIMIT_AS allow.
    None where the system states no limit (not Linux). `root` holds `proc` and `sys`.
    """
    return min((*_of_machine(root), *_of_groups(root), *_of_limit(root)), default=None)


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    """The limits of each control group of this process and of its parents, in both versions of the
    interface."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            mount = root / "sys/fs/cgroup" / controllers
            names = (
                ("memory.max", "memory.current")
                if not controllers
                else ("memory.limit_in_bytes", "memory.usage_in_bytes")
            )
            group = mount / path.lstrip("/")
            # In a container the path may be that of the host system; then only the mount exists.
            for folder in (group, *group.parents) if group.is_relative_to(mount) else (mount,):
                yield from _of_group(folder, *names)
                if folder == mount:
                    break


def _of_group(folder: Path, limit_name: str, usage_name: str) -> Iterator[int]:
    limit, usage = _number(folder / limit_name), _number(folder / usage_name)
    if limit is not None and usage is not None and limit < _UNLIMITED:
        stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat"))
        # Cached files count as used, and the kernel frees them at once.
        cached = int(stat.get("total_inactive_file", stat.get("inactive_file", "0")))
        yield max(limit - usage + cached, 0)


def _of_limit(root: Path) -> Iterator[int]:
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = next(
        (
            int(line.split()[0]) * resource.getpagesize()
            for line in _lines(root / "proc/self/statm")
        ),
        0,
    )
    if limit != resource.RLIM_INFINITY:
        yield max(limit - used, 0)


def _number(file: Path) -> int | None:
    word = next(iter(_lines(file)), "")
    return int(word) if word.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("ascii", "replace").splitlines()
    except OSError:
        return []

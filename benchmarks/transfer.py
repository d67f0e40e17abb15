"""Measures Tallow as it is installed for this interpreter, beside a plain copy and other programs:
`python -m benchmarks.transfer`.

All cases take turns, round by round; see docs/how-to/benchmark.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks import machine, table
from benchmarks.groups import FULL, GROUPS, QUICK, Sizes
from benchmarks.install import install
from benchmarks.processes import Failed, all_ended
from benchmarks.samples import Case, Group, Sample, once

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it


def main(words: Sequence[str] | None = None) -> int:
    """Measure what was asked for; the exit status is 1 if a case failed (not if an aim was
    missed)."""
    with all_ended():
        return _main(_options(words))


def _main(options: argparse.Namespace) -> int:
    if options.install_peers:
        install(options.peers)
    print(
        f"{machine.description()}\nOthers may use it too: trust ratios (to the first row, in the"
        " same round), and look at their range."
    )
    report: dict[str, Any] = {"machine": machine.description(), "groups": []}
    failures = 0
    for name in GROUPS:
        if any(fnmatchcase(name, pattern.partition("/")[0]) for pattern in options.only):
            with tempfile.TemporaryDirectory(
                prefix=f"tallow-benchmark-{os.getpid()}-", dir=_place()
            ) as folder:
                failures += _measure(name, Path(folder), options, report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if failures else 0


def _measure(name: str, folder: Path, options: argparse.Namespace, report: dict[str, Any]) -> int:
    group = _selected(GROUPS[name](folder, _sizes(options), options.peers), options.only)
    print(f"\n{name}: {', '.join(case.name for case in group.cases)}", flush=True)
    loads: list[dict[str, float | None]] = []
    samples: dict[str, list[Sample | None]] = {
        case.name: [] for case in group.cases if not case.missing
    }
    failures = 0
    for number in range(rounds := options.rounds or group.rounds):
        loads.append(machine.load())
        _say(f"round {number + 1} of {rounds}: {_load(loads[-1])}")
        for case in group.cases:
            if not case.missing:
                samples[case.name].append(measured := _run(case, folder))
                failures += measured is None
    found = table.results(group, samples)
    table.show(replace(group, title=f"{group.title}; medians of {rounds} rounds"), found)
    report["groups"].append({**table.data(group, found), "loads": loads})
    return failures


def _run(case: Case, folder: Path) -> Sample | None:
    try:
        return once(case.run, folder)
    except (Failed, OSError) as error:
        _say(f"{case.name} failed: {error}")
        return None


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def _load(load: dict[str, float | None]) -> str:
    known = {"load {:.2f}": load["load"], "{:.0%} of all CPUs busy before it": load["busy"]}
    return (
        ", ".join(text.format(number) for text, number in known.items() if number is not None)
        or "load unknown"
    )


def _selected(group: Group, patterns: Sequence[str]) -> Group:
    """Leave out what was not asked for; the first case stays, since all others are compared with
    it, and so does one that an aim names."""

    def wanted(case: Case) -> bool:
        return any(
            fnmatchcase(f"{group.name}/{case.name}", pattern if "/" in pattern else f"{pattern}/*")
            for pattern in patterns
        )

    first, *others = group.cases
    asked = [case for case in others if wanted(case)]
    kept = {case.name for case in asked}
    kept |= {aim.of for case in asked if not case.missing for aim in case.aims.values()}
    return replace(group, cases=[first, *(case for case in others if case.name in kept)])


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.transfer",
        description=__doc__.partition("\n")[0] if __doc__ else None,
    )
    parser.add_argument("--rounds", type=_count, help="alternating rounds (3; 11 of what is short)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="CASE",
        help=f"{', '.join(GROUPS)}, or GROUP/ROW with wildcards; repeatable",
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="sizes of the aims: 1 GiB, 10,000 files, 8 GiB by pipes, 100,000 empty files",
    )
    parser.add_argument(
        "--size",
        type=_count,
        metavar="MIB",
        dest="file",
        help=f"of the file over loopback ({QUICK.file})",
    )
    parser.add_argument(
        "--wan-size",
        type=_count,
        metavar="MIB",
        dest="wire",
        help=f"of the file over the long wire ({QUICK.wire})",
    )
    parser.add_argument(
        "--stream-size",
        type=_count,
        metavar="MIB",
        dest="stream",
        help=f"from standard input ({QUICK.stream})",
    )
    parser.add_argument(
        "--files",
        type=_count,
        metavar="N",
        dest="small",
        help=f"how many small files ({QUICK.small})",
    )
    parser.add_argument(
        "--empty", type=_count, metavar="N", help=f"how many empty files ({QUICK.empty})"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all samples, medians, ratios and aims there",
    )
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="DIR",
        help="where other programs are looked for, before the PATH",
    )
    parser.add_argument(
        "--install-peers",
        action="store_true",
        help="install those that are missing into --peers DIR first",
    )
    options = parser.parse_args(words)
    options.only = options.only or [*GROUPS]
    if unknown := [
        word
        for word in options.only
        if not any(fnmatchcase(name, word.partition("/")[0]) for name in GROUPS)
    ]:
        parser.error(f"--only {unknown[0]}: there are {', '.join(GROUPS)}")
    if options.install_peers and options.peers is None:
        parser.error("--install-peers needs --peers DIR: what is installed stays there")
    options.peers = options.peers and options.peers.resolve()
    return options


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _sizes(options: argparse.Namespace) -> Sizes:
    given = {
        name: number for name in Sizes.__slots__ if (number := getattr(options, name)) is not None
    }
    return replace(FULL if options.full else QUICK, **given)


def _place() -> Path:
    if MEMORY.is_dir():
        return MEMORY
    place = Path(tempfile.gettempdir())
    print(f"{MEMORY} is not there: the files are in {place}, whose disk is measured too.")
    return place


if __name__ == "__main__":
    sys.exit(main())

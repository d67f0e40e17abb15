"""Measures Tallow as it is installed for this interpreter, and prints tables of medians. See docs/how-to/benchmark.md."""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks import startup, transfer
from benchmarks.transfer import Sample

T = TypeVar("T")

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder with a random name is made in it
PARTS = ("transfer", "files", "startup")
STARTS = 11
"""The fewest runs of each start-up measurement: they are short, and their medians wander."""


def main() -> None:
    """Measure the parts that were asked for."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="tallow-benchmark-", dir=_place()) as folder:
        for part in options.only or PARTS:
            _MEASURES[part](Path(folder), options.size << 20, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="MiB of the large file (1024)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (3)")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part only; may be repeated")
    options = parser.parse_args()
    if options.size < 1 or options.rounds < 1:
        parser.error("--size and --rounds are at least 1")
    return options


def _place() -> Path:
    if MEMORY.is_dir():
        return MEMORY
    place = Path(tempfile.gettempdir())
    print(f"{MEMORY} is not there: the files are in {place}, whose disk is measured too.")
    return place


def _alternate(cases: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Run each case once a round, so that whatever else the machine does meets all of them alike."""
    results: dict[str, list[T]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, measure in cases.items():
            results[name].append(measure())
    return results


def _transfers(folder: Path, size: int, rounds: int) -> None:
    source = folder / "large"
    transfer.large_file(source, size)
    copies = {
        "plain copy": transfer.plain,
        "tcp": transfer.direct("tcp"),
        "tls": transfer.direct("tls"),
        "relay, tls": transfer.relayed("tls"),
        "relay, tcp": transfer.relayed("tcp"),
    }
    transfer.once(transfer.plain, source, folder / "work")  # memory that a virtual machine was not given yet is slow the first time
    results = _copied(copies, source, folder, rounds)
    source.unlink()
    print(f"\nOne file of {size >> 20} MiB, medians of {rounds} alternating rounds; CPU of whole processes, start-up included\n")
    _table(
        [_headings("GB", "x plain (range)", "x plain CPU")]
        + [_figures(name, samples, size / 1e9, *_beside(samples, results["plain copy"])) for name, samples in results.items()]
    )


def _many(folder: Path, size: int, rounds: int) -> None:
    rows = [_headings("1,000 files")]
    for count, each in ((10_000, 4096), (100_000, 0)):
        source = folder / f"many-{each}"
        transfer.many_files(source, count, each)
        copied = _copied({"tcp": transfer.direct("tcp")}, source, folder, rounds)
        rows.append(_figures(f"{count:,} x {each} bytes", copied["tcp"], count / 1e3))
        shutil.rmtree(source)
    print(f"\nMany files through tcp, medians of {rounds} rounds\n")
    _table(rows)


def _copied(copies: Mapping[str, transfer.Copy], source: Path, folder: Path, rounds: int) -> dict[str, list[Sample]]:
    def bound(copy: transfer.Copy) -> Callable[[], Sample]:
        return lambda: transfer.once(copy, source, folder / "work")

    return _alternate({name: bound(copy) for name, copy in copies.items()}, rounds)


def _headings(unit: str, *beside: str) -> list[str]:
    return ["", f"{unit}/s", "command s", f"CPU s/{unit}", *beside, "peak MiB: sender", "receiver", "relay"]


def _figures(name: str, samples: Sequence[Sample], amount: float, *beside: str) -> list[str]:
    return [
        name,
        f"{statistics.median(amount / sample.seconds for sample in samples):.2f}",
        f"{statistics.median(sample.wall for sample in samples):.2f}",
        f"{statistics.median(sample.cpu / amount for sample in samples):.2f}",
        *beside,
        *(f"{max(peaks) / 2**20:.0f}" if peaks else "" for peaks in _peaks(samples)),
    ]


def _beside(samples: Sequence[Sample], base: Sequence[Sample]) -> tuple[str, str]:
    """Throughput and CPU as ratios to the plain copy of the same round."""
    speed = sorted(plain.seconds / sample.seconds for plain, sample in zip(base, samples, strict=True))
    cpu = statistics.median(sample.cpu / plain.cpu for plain, sample in zip(base, samples, strict=True))
    return f"{statistics.median(speed):.2f} ({speed[0]:.2f}-{speed[-1]:.2f})", f"{cpu:.2f}"


def _peaks(samples: Sequence[Sample]) -> tuple[list[int], list[int], list[int]]:
    relays = [sample.relay.peak for sample in samples if sample.relay is not None]
    return [sample.sender.peak for sample in samples], [sample.receiver.peak for sample in samples], relays


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *cells in rows:
        print(f"{first:<{widths[0]}}" + "".join(f"{cell:>{width + 2}}" for cell, width in zip(cells, widths[1:], strict=True)), flush=True)


def _starts(folder: Path, size: int, rounds: int) -> None:
    small, large = folder / "small", folder / "large"
    transfer.large_file(small, startup.SMALL)
    transfer.large_file(large, size)
    runs = max(rounds, STARTS)
    results = _alternate({name: _measured(folder, measure) for name, measure in startup.cases(small, large).items()}, runs)
    base = next(iter(results.values()))
    rows = [["", "ms", "x python -c pass"]]
    for name, seconds in results.items():
        ratio = statistics.median(one / first for first, one in zip(base, seconds, strict=True))
        rows.append([name, f"{statistics.median(seconds) * 1000:.1f}", f"{ratio:.1f}"])
    print(f"\nStart-up, medians of {runs} alternating runs\n")
    _table(rows)


def _measured(folder: Path, measure: Callable[[Path], float]) -> Callable[[], float]:
    def run() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            return measure(Path(work))

    return run


_MEASURES = {"transfer": _transfers, "files": _many, "startup": _starts}

if __name__ == "__main__":
    main()

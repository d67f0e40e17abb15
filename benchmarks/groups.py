"""The cases, by group: what is moved, how, and what each should reach."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import network, peers, socks, ssh, startup, tallow, wire
from benchmarks.network import Wire
from benchmarks.processes import TALLOW
from benchmarks.samples import Aim, Aims, Case, Group, Run, Sample

_BLOCK = 1 << 20
SMALL = 4096
STARTS = 11
"""Rounds of what takes well below a second: its medians wander."""
MOST = Aim(128)
"""MiB that any end may have resident, whatever is moved."""
WIRE = Wire(0.050, 125e6)
_ADDRESS = "10.78.0.1"
"""Of the host on which a transfer races: one that may be told to the other side, which loopback may
not."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is moved: MiB of one file on loopback, on the wire and of the stream; how many small
    and how many empty files."""

    file: int
    wire: int
    stream: int
    small: int
    empty: int


QUICK = Sizes(256, 64, 1024, 2_000, 10_000)
FULL = Sizes(1024, 1024, 8192, 10_000, 100_000)


def at_least(bound: float) -> Aim:
    """An aim for a ratio that should be high."""
    return Aim(bound, least=True)


def random_file(path: Path, mebibytes: int) -> Path:
    """A file that nothing can compress."""
    with open(path, "wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(_BLOCK))
    return path


def small_files(folder: Path, count: int, size: int) -> Path:
    """`count` files of `size` bytes, a hundred a folder."""
    for number in range(count):
        below = folder / f"{number // 100:05d}"
        if number % 100 == 0:
            below.mkdir(parents=True)
        (below / f"{number:06d}").write_bytes(os.urandom(size))
    return folder


def one_file(folder: Path, sizes: Sizes, place: Path | None) -> Group:
    """One large file over loopback: every path and cipher, and other programs, beside the plain
    copy."""
    source = random_file(folder / "large", sizes.file)
    plain_copy = tallow.plain(source)
    plain_copy(
        _warm(folder)
    )  # memory that a virtual machine was not given yet is slow the first time
    cheap = Aim(2)
    cases = [
        Case("plain", plain_copy),
        Case("plain-aligned", tallow.plain(source, buffer="aligned")),
        Case("tcp", tallow.direct(source, "tcp"), {"rate": at_least(0.8), "cpu": cheap}),
        Case(
            "tcp-socks5",
            socks.direct(source),
            {"rate": Aim(0.95, least=True, of="tcp")},
            socks.missing(),
        ),
    ]
    for cipher in tallow.ciphers():
        aims: Aims = {"rate": at_least(0.65), "cpu": cheap} if cipher == "aes-256-gcm" else {}
        cases.append(Case(f"tcp-{cipher}", tallow.direct(source, "tcp", "--cipher", cipher), aims))
    cases += [
        Case("tls", tallow.direct(source, "tls"), {"rate": at_least(0.45), "cpu": Aim(3)}),
        Case("relay-tcp", tallow.relayed(source, "tcp"), {"rate": at_least(0.5)}),
        Case("relay-tls", tallow.relayed(source, "tls"), {"rate": at_least(0.3)}),
        *_others(source, place),
    ]
    title = (
        f"One file of {sizes.file} MiB over loopback; of other programs the whole commands count"
    )
    return Group(
        "file",
        title,
        "GB",
        sizes.file * _BLOCK / 1e9,
        cases,
        ("rate", "whole", "cpu", "peak"),
        ("rate", "cpu"),
    )


def _others(source: Path, place: Path | None) -> list[Case]:
    return [
        Case(
            "scp-aes256-gcm",
            ssh.scp(source, place, "aes256-gcm@openssh.com"),
            missing=ssh.missing(place),
        ),
        Case(
            "magic-wormhole",
            peers.wormhole(source, place),
            missing=peers.missing(place, "wormhole", "twist"),
        ),
        Case("croc", peers.croc(source, place), missing=peers.missing(place, "croc")),
        Case("sendme", peers.sendme(source, place), missing=peers.missing(place, "sendme")),
    ]


def many_files(folder: Path, sizes: Sizes, place: Path | None) -> Group:
    """Many small files, beside tar through ssh."""
    source = small_files(folder / "tree", sizes.small, SMALL)
    cases = (
        Case("tar-ssh", ssh.tar(source, place), missing=ssh.missing(place)),
        Case("tcp", tallow.direct(source, "tcp"), {"seconds": Aim(0.6), "whole": Aim(1)}),
        Case("tls", tallow.direct(source, "tls")),
    )
    title = f"{sizes.small:,} files of {SMALL} bytes, a hundred a folder, over loopback"
    return Group(
        "tree",
        title,
        "1,000 files",
        sizes.small / 1e3,
        cases,
        ("seconds", "whole", "cpu", "peak"),
        ("seconds", "whole", "cpu"),
    )


def long_wire(folder: Path, sizes: Sizes, place: Path | None) -> Group:
    """One large file over a long wire, with one lane and with several."""
    source = random_file(folder / "large", sizes.wire)
    absent = network.missing()

    def run(copy: Callable[[tuple[tallow.Prefix, tallow.Prefix], Path], Sample]) -> Run:
        def between(work: Path) -> Sample:
            with network.joined(work, WIRE) as at:
                return copy(at, work)

        return between

    def plain(at: tuple[tallow.Prefix, tallow.Prefix], work: Path) -> Sample:
        return tallow.plain_between(source, work, wire.ADDRESSES[1], at=at)

    def direct(
        options: tuple[str, ...], at: tuple[tallow.Prefix, tallow.Prefix], work: Path
    ) -> Sample:
        return tallow.direct_between(source, work, wire.ADDRESSES[0], "tcp", options, at)

    cases = (
        Case("plain", run(plain), missing=absent),
        Case("tcp", run(partial(direct, ("--lanes", "1"))), {"rate": at_least(0.9)}, absent),
        Case(
            "tcp-4-lanes", run(partial(direct, ("--lanes", "4"))), {"rate": at_least(1.5)}, absent
        ),
    )
    title = (
        f"One file of {sizes.wire} MiB over {WIRE.rtt * 1000:.0f} ms round trip and"
        f" {WIRE.rate * 8 / 1e9:g} Gbit/s"
    )
    return Group(
        "wire",
        title,
        "GB",
        sizes.wire * _BLOCK / 1e9,
        cases,
        ("rate", "whole", "cpu", "peak"),
        ("rate", "cpu"),
    )


def racing(folder: Path, sizes: Sizes, place: Path | None) -> Group:
    """Through a relay on loopback, by that alone and while a direct path is looked for, and found
    at once."""
    source = random_file(folder / "large", sizes.file)
    absent = network.missing()

    def run(*options: str) -> Run:
        def alone(work: Path) -> Sample:
            with network.namespace(work / "net", _ADDRESS) as (_, at):
                return tallow.relayed_at(source, work, "tcp", options, at)

        return alone

    cases = (
        Case("relay-only", run("--relay-only"), missing=absent),
        Case("racing", run(), {"rate": at_least(0.95), "cpu": Aim(1.1)}, absent),
    )
    title = (
        f"One file of {sizes.file} MiB through a relay on loopback, by that alone and beside a"
        " direct path there"
    )
    return Group(
        "race",
        title,
        "GB",
        sizes.file * _BLOCK / 1e9,
        cases,
        ("rate", "whole", "cpu", "peak"),
        ("rate", "cpu"),
    )


def memory(folder: Path, sizes: Sizes, place: Path | None) -> Group:
    """Peak memory: a short and a long stream, and very many files."""
    source = small_files(folder / "empty", sizes.empty, 0)
    cases = (
        Case("stream-100-MiB", tallow.streamed(100 << 20), {"peak": MOST}),
        Case(f"stream-{sizes.stream}-MiB", tallow.streamed(sizes.stream << 20), {"peak": MOST}),
        Case(f"{sizes.empty}-empty-files", tallow.direct(source, "tcp"), {"peak": MOST}),
    )
    title = "Peak memory of sender and receiver: standard input to standard output, and empty files"
    return Group("memory", title, "", 1, cases, ("seconds", "whole", "cpu", "peak"), ())


def starts(folder: Path, sizes: Sizes, place: Path | None) -> Group:
    """What there is to wait for when little is moved."""
    small = folder / "small"
    small.write_bytes(os.urandom(SMALL))
    large = random_file(folder / "large", 64)
    tree = small_files(folder / "tree", 1_000, 0)
    soon: Aims = {"whole": Aim(20)}
    payloads = {"small-file": small, "64-MiB": large, "1000-files": tree, "stdin": Path("-")}
    cases = (
        Case("python-c-pass", startup.ended(startup.BARE)),
        Case("version", startup.ended((*TALLOW, "--version")), {"whole": Aim(6)}),
        Case("help", startup.ended((*TALLOW, "--help")), {"whole": Aim(12)}),
        *(
            Case(f"code-{name}", startup.code_shown(str(path)), soon)
            for name, path in payloads.items()
        ),
        Case("small-file", tallow.direct(small, "tcp"), {"cpu": Aim(40)}),
    )
    return Group(
        "start",
        "Start to finish of what is short",
        "",
        1,
        cases,
        ("whole", "cpu"),
        ("whole", "cpu"),
        STARTS,
    )


def _warm(folder: Path) -> Path:
    (work := folder / "warm").mkdir()
    return work


GROUPS: Mapping[str, Callable[[Path, Sizes, Path | None], Group]] = {
    "file": one_file,
    "tree": many_files,
    "wire": long_wire,
    "race": racing,
    "memory": memory,
    "start": starts,
}

"""T-02, T-03, T-04: names, over the wire, from a sender that knows the code."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tallow_core.errors import ForgedRecord, RemoteProtocolError, TallowError
from tallow_core.protocol.handshake.code import parse_code
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.transfer.decision import Decision, Offered
from tallow_core.transfer.receive import fetch_payload
from tests.kit.corpus import ORDINARY, PATHS, TREES
from tests.kit.hostile_peers import (
    CODE,
    Home,
    HostileHost,
    Peer,
    assert_harmless,
    attack,
    content,
    listening,
    raw_entry,
    raw_offer,
    receiver,
    steers,
    tree,
)
from tests.kit.in_process import context_of, nobody

Row = tuple[tuple[str, ...], bool]
HOSTILE: list[list[Row]] = [[(path, False)] for paths in PATHS.values() for path in paths]
HOSTILE += [[(path, True)] for paths in PATHS.values() for path in paths[:2]]
HOSTILE += [
    [(entry.path, entry.directory) for entry in rows] for trees in TREES.values() for rows in trees
]

SAMPLE = [[(path, False)] for paths in PATHS.values() for path in paths[-1:]]
SAMPLE += [[(entry.path, entry.directory) for entry in trees[0]] for trees in TREES.values()]


def encoded(rows: list[Row]) -> list[bytes]:
    """As the attacker sends them: what UTF-8 cannot hold travels in the nearest thing to it."""
    return [
        raw_entry(
            [name.encode("utf-8", "surrogatepass") for name in path],
            1 if folder else 2,
            size=0 if folder else 1,
        )
        for path, folder in rows
    ]


async def offer_rows(peer: Peer, rows: list[Row]) -> None:
    folders = sum(folder for _, folder in rows)
    await peer.line.seal(
        RecordType.OFFER_PAGE,
        raw_offer(peer.established, encoded(rows), directories=folders, size=len(rows) - folders),
    )


async def never_asked(_offered: Offered) -> Decision:
    """The prompt; a hostile offer must not get here."""
    raise AssertionError("the person was asked about a hostile offer")


def test_t02_corpus_is_as_large_as_asked() -> None:
    assert len(HOSTILE) >= 200


def test_t02_every_hostile_name_over_the_wire_is_refused_before_the_prompt(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    wrong: list[object] = []

    async def one(rows: list[Row]) -> None:
        async def after(peer: Peer) -> None:
            await offer_rows(peer, rows)
            await peer.line.closed()

        async with listening(HostileHost(after).serve) as port:
            try:
                await fetch_payload(
                    context, parse_code(CODE), f"127.0.0.1:{port}", never_asked, nobody
                )
                wrong.append((rows, "accepted"))
            except (RemoteProtocolError, ForgedRecord) as error:
                if steers(str(error)) or len(str(error)) > 600:
                    wrong.append((rows, str(error)))
            except TallowError as error:
                wrong.append((rows, repr(error)))

    async def all_of_them() -> None:
        for start in range(0, len(HOSTILE), 8):
            await asyncio.gather(*(one(rows) for rows in HOSTILE[start : start + 8]))

    attack(all_of_them(), 120)
    assert not wrong, wrong[:3]


@pytest.mark.parametrize("rows", SAMPLE, ids=lambda rows: ascii(rows)[:40])
def test_t02_t04_real_receiver_refuses_and_writes_nothing(rows: list[Row], tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    async def scenario() -> None:
        async def after(peer: Peer) -> None:
            await offer_rows(peer, rows)
            assert (
                "safe" in (said := await peer.line.last_words())
                or "path" in said
                or "protocol" in said
            )

        async with listening(HostileHost(after).serve) as port, receiver(home, port) as program:
            assert await program.wait() == 8
            assert_harmless(program)
            assert not any(event["event"] == "offer" for event in program.events())

    attack(scenario())
    assert not (home.root / "out").exists()
    assert not any("etc" in path for path in tree(tmp_path))


def test_t02_ordinary_names_get_through_from_the_same_attacker(tmp_path: Path) -> None:
    """The attacker's tools can also do it right: so the refusals above are about the names."""
    home = Home(tmp_path / "home")

    async def scenario() -> None:
        async def after(peer: Peer) -> None:
            await offer_rows(
                peer,
                [((name,), False) for name in ["-rf", "a", "caf\u00e9", "\u65e5\u672c\u8a9e.txt"]],
            )
            assert (await peer.line.open())[0] == RecordType.ACCEPT
            lane = await host.lane()
            await lane.seal(
                RecordType.DATA,
                b"".join(content(peer.established, number, b"x") for number in range(4)),
                final=True,
            )
            assert (await peer.line.open())[0] == RecordType.RECEIVED
            await peer.line.seal(RecordType.CLOSE, final=True)
            await peer.line.closed()

        host = HostileHost(after)
        async with listening(host.serve) as port, receiver(home, port) as program:
            assert await program.wait() == 0, program.said()

    attack(scenario())
    assert tree(home.root / "out") == ["-rf", "a", "caf\u00e9", "\u65e5\u672c\u8a9e.txt"]
    assert len(ORDINARY) > 40


@pytest.mark.parametrize(
    "output",
    ["missing", "new", "file", "folder", "link to a folder", "dangling link", "link to a file"],
)
@pytest.mark.parametrize("name", ["../planted", "..", "/planted", "a/../../planted", "a"])
def test_t03_whatever_the_output_is_nothing_lands_outside(
    output: str, name: str, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    home.environment()
    place = "out/new" if output == "new" else "out"
    out, other = home.root / "out", tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("mine")
    if output == "folder":
        out.mkdir()
    elif output == "file":
        out.write_text("mine")
    elif output.startswith(("link", "dangling")):
        out.symlink_to(
            {"link to a folder": other, "link to a file": other / "file"}.get(
                output, tmp_path / "nowhere" / "deep"
            )
        )
    before = set(tree(tmp_path))

    async def scenario() -> int:
        async def after(peer: Peer) -> None:
            await offer_rows(peer, [((name,), False)])
            if (await peer.line.open())[0] == RecordType.ACCEPT:
                await (await host.lane()).seal(
                    RecordType.DATA, content(peer.established, 0, b"x"), final=True
                )
                await peer.line.open()
                await peer.line.seal(RecordType.CLOSE, final=True)
            await peer.line.closed()

        host = HostileHost(after)
        async with listening(host.serve) as port, receiver(home, port, out=place) as program:
            status = await program.wait()
            assert_harmless(program)
            return status

    status = attack(scenario())
    planted = {
        path
        for path in set(tree(tmp_path)) - before
        if not path.startswith(("home/state", "home/config", "home/data", "home/run"))
    }
    if name != "a":
        # An output that is no folder is found before the code is used.
        assert status == (9 if output in ("file", "link to a file") else 8)
        assert planted == set()
    elif status == 0:
        where = {
            "link to a folder": {"other/a"},
            "new": {"home/out/new", "home/out/new/a", "home/out"},
        }
        assert planted - {"home/out"} <= where.get(output, {"home/out/a"}) | {
            "nowhere",
            "nowhere/deep",
            "nowhere/deep/a",
        }
    else:
        assert status == 9
        assert planted == set()
    assert (other / "file").read_text() == "mine"


def test_t09_a_long_list_is_summarised_and_can_be_read_in_full_before_the_answer(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    names = [f"name{at:03}" for at in range(100)]

    async def scenario() -> None:
        async def after(peer: Peer) -> None:
            await offer_rows(peer, [((name,), False) for name in names])
            assert (await peer.line.last_words()) != ""

        answers = b"l\n\n\nn\n"  # list all, two more pages, no
        async with (
            listening(HostileHost(after).serve) as port,
            receiver(home, port, yes=False, stdin=answers) as program,
        ):
            assert await program.wait() == 6, program.said()
            text = program.err.decode()
            asked = text.index("[y/N/s to choose/l to list all]")
            assert "... and 60 more" in text[:asked]
            assert all(name in text[asked:] for name in names)
            assert not any(event["event"] == "file" for event in program.events())

    attack(scenario())
    assert not (home.root / "out").exists()


def test_t09_without_an_answer_nothing_is_accepted(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    async def scenario() -> None:
        async def after(peer: Peer) -> None:
            await offer_rows(peer, [(("a",), False)])
            assert (await peer.line.last_words()) != ""

        async with (
            listening(HostileHost(after).serve) as port,
            receiver(home, port, yes=False) as program,
        ):
            assert await program.wait() == 2, program.said()
            assert b"  a  1 byte\n" in program.err

    attack(scenario())
    assert not (home.root / "out").exists()
